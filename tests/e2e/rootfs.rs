//! `--rootfs DIR`: a directory in place of an image, never written to.

use kit::{Who, debian, small_rootfs, tree};

#[test]
fn a_tree_is_run_and_never_written_to() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let dir = md.dir("rootfs");
        small_rootfs(&dir, md.who());
        let before = tree(&dir);
        let write = "echo x >/etc/passwd; echo y >/new; ls /new; ls /etc/hostname; echo $$";
        let out = crate::in_rootfs(&md, &dir, &["sh", "-c", write]).ok();
        assert_eq!(out.lines(), ["/new", "/etc/hostname", "1"], "{who:?}");
        assert_eq!(kit::difference(&before, &tree(&dir)), "", "{who:?}");
        md.nothing_left();
    }
}

#[test]
fn a_debian_tree_runs_its_own_programs() {
    let dir = debian();
    kit::require!(dir.is_ok(), "no-debian-tree", dir.unwrap_err());
    let dir = dir.unwrap();
    let before = tree(&dir);
    for who in Who::all() {
        let md = kit::ours!(*who);
        let program = "apt-get --version && perl -e \"print 42\"";
        let out = crate::in_rootfs(&md, &dir, &["bash", "-lc", program]).ok();
        assert!(out.out().starts_with("apt ") && out.out().ends_with("\n42"), "{who:?}: {}", out.out());
        crate::in_rootfs(&md, &dir, &["cat", "/etc/debian_version"]).ok().stdout_has("12").quiet();
        let spoil = "rm -rf /usr/share/doc 2>/dev/null; echo x >/etc/motd; touch /etc/hosts; exit 3";
        crate::in_rootfs(&md, &dir, &["sh", "-c", spoil]).code(3);
        md.nothing_left();
    }
    assert_eq!(kit::difference(&before, &tree(&dir)), "");
}

#[test]
fn a_relative_path_and_one_with_separators_of_overlay_work() {
    let md = kit::ours!();
    let long = "n".repeat(200);
    for name in
        ["plain", "a:b,c=d", "with blank", "back\\slash", "per%40cent", "ünï", "quo\"te'", long.as_str()]
    {
        let dir = md.dir(name);
        small_rootfs(&dir, md.who());
        let run = ["run", "--rm", "--rootfs", name, "sh", "-c", "echo here"];
        md.call(run).cwd(md.room()).run().ok().stdout_is("here").quiet();
    }
    md.call(["run", "--rm", "--rootfs", ".", "true"]).cwd(&md.room().join("plain")).run().ok();
    md.nothing_left();
}

#[test]
fn one_tree_serves_many_containers_at_once() {
    let md = kit::ours!();
    let dir = md.dir("rootfs");
    small_rootfs(&dir, md.who());
    let before = tree(&dir);
    let run = |n: usize| {
        let write = format!("echo {n} >/file; cat /file");
        md.call(["run", "--rm", "--rootfs", dir.to_str().unwrap(), "sh", "-c", &write]).spawn()
    };
    let all: Vec<_> = (0..8).map(run).collect();
    for (n, running) in all.into_iter().enumerate() {
        running.finish().ok().stdout_is(&n.to_string());
    }
    assert_eq!(kit::difference(&before, &tree(&dir)), "");
    md.nothing_left();
}

#[test]
fn flags_act_on_a_rootfs_too() {
    let md = kit::ours!();
    let dir = md.dir("rootfs");
    small_rootfs(&dir, md.who());
    let line =
        format!("run --rm --rootfs {} -e A=1 -w /tmp --entrypoint sh -- -c 'echo $A; pwd'", dir.display());
    md.line(&line).ok().stdout_is("1\n/tmp");
    let name = md.name("rf");
    md.run(["run", "--name", &name, "--rootfs", dir.to_str().unwrap(), "true"]).ok();
    md.line("ps -a").ok().stdout_has(&name);
    assert_eq!(crate::inspect(&md, &name)["Path"], "true");
    md.run(["rm", &name]).ok();
    md.nothing_left();
}

#[test]
fn a_tree_of_another_owner_is_readable_for_a_plain_user() {
    kit::require!(Who::all().len() > 1, "not-root", "only root can make a tree of another owner");
    for who in [Who::Plain, Who::Single] {
        let md = kit::ours!(who);
        // Made by root, mode 0755: its owner has no id inside.
        let dir = md.room().join("foreign");
        std::fs::create_dir(&dir).unwrap();
        small_rootfs(&dir, Who::Me);
        crate::in_rootfs(&md, &dir, &["sh", "-c", "cat /etc/passwd >/dev/null && echo read"])
            .ok()
            .stdout_is("read");
        md.nothing_left();
    }
}
