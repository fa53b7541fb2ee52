//! What a container, or somebody beside it, may try against us.

use std::os::unix::fs::MetadataExt;

use kit::Who;

#[test]
fn nobody_else_can_walk_into_a_store() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        md.run(["run", "--name", "suid", "hostbox", "sh", "-c", "cp /bin/sh /x; chmod 4755 /x"]).ok();
        for dir in ["containers", "layers", "images", "names"] {
            let mode = std::fs::metadata(md.root().join(dir)).unwrap().mode() & 0o777;
            assert_eq!(mode, 0o700, "{who:?}: {dir}");
        }
        md.line("rm suid").ok();
    }
}

#[test]
fn our_own_binary_is_no_program_of_an_image() {
    let md = kit::ours!();
    let dir = md.root().parent().unwrap().join("ours");
    kit::small_rootfs(&dir, Who::Me);
    std::os::unix::fs::symlink("/proc/self/exe", dir.join("link")).unwrap();
    std::fs::write(dir.join("script"), "#!/proc/self/exe x\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.join("script"), executable).unwrap();
    for program in ["/proc/self/exe", "/link", "/proc/1/exe", "/proc/thread-self/exe", "/script"] {
        let out = crate::in_rootfs(&md, &dir, &[program]);
        assert!(out.err().contains("minidocker's own binary"), "{program}: {}", out.err());
        out.complains(126, "operation not permitted");
    }
    // The kernel skips blanks and tabs behind #!, and takes a form feed for the first letter of a name.
    std::fs::create_dir(dir.join("\u{c}")).unwrap();
    std::os::unix::fs::symlink("/proc/self/exe", dir.join("\u{c}/sh")).unwrap();
    std::fs::write(dir.join("script"), "#!\u{c}/sh\n").unwrap();
    crate::in_rootfs(&md, &dir, &["/script"]).complains(126, "operation not permitted");
    // And it reads a first line that the user may not read.
    std::fs::write(dir.join("script"), "#!/proc/self/exe\n").unwrap();
    std::fs::set_permissions(dir.join("script"), std::os::unix::fs::PermissionsExt::from_mode(0o111))
        .unwrap();
    let root = dir.to_str().unwrap();
    let out = md.run(["run", "--rm", "-u", "1000", "--rootfs", root, "/script"]);
    let out = out.complains(126, "permission denied");
    crate::advised(&out, "  openat(AT_FDCWD, \"/script\", O_RDONLY) : EACCES (", "but not read it");
    md.nothing_left();
}

#[test]
fn the_shells_umask_does_not_reach_into_the_container() {
    for who in Who::all().iter().filter(|who| **who != Who::Single) {
        let md = kit::ours!(*who);
        let look = "cat /etc/hosts >/dev/null && cat /etc/passwd >/dev/null && echo read";
        let words = ["run", "--rm", "-u", "1000", "hostbox", "sh", "-c", look];
        md.call(words).through("umask 077; exec \"$@\"").run().ok().stdout_is("read");
        md.nothing_left();
    }
}

#[test]
fn an_endless_writer_ends_when_its_reader_goes() {
    let md = kit::ours!();
    let words = ["run", "--rm", "hostbox", "sh", "-c", "while :; do echo y || exit; done"];
    md.call(words).through("\"$@\" 2>/dev/null | head -n 1").run().ok().stdout_is("y");
    md.nothing_left();
}

#[test]
fn a_container_that_reads_nothing_does_not_keep_its_output_back() {
    let md = kit::ours!();
    let words = ["run", "--rm", "-i", "hostbox", "sh", "-c", "sleep 0.3; echo out; exec sleep 1000"];
    let mut client = md.call(words).stdin_open().spawn();
    // More than the pipe and the client's buffer hold.
    client.send(&vec![b'x'; 200 * 1024]);
    client.expect("out\n");
    client.signal(rustix::process::Signal::TERM);
    client.signal(rustix::process::Signal::KILL);
    client.finish_held().code(137);
    md.run(["rm", "-f"].into_iter().map(String::from).chain(ids(&md))).ok();
    md.nothing_left();
}

fn ids(md: &kit::Minidocker) -> Vec<String> {
    md.line("ps -aq").ok().lines()
}

#[test]
fn one_name_for_short_runs_is_never_lost() {
    let md = kit::ours!();
    let script =
        "for i in 1 2 3 4 5 6 7 8 9 10; do { said=$(\"$@\" 2>&1 | head -n 1); echo \"$said\"; } & done; wait";
    for _ in 0..5 {
        let words = ["run", "--rm", "--name", "same", "hostbox", "echo", "ran"];
        let lines = md.call(words).through(script).run().ok().lines();
        let (ran, refused): (Vec<_>, Vec<_>) = lines.iter().partition(|line| *line == "ran");
        assert_eq!((lines.len(), ran.is_empty()), (10, false), "{lines:?}");
        assert!(refused.iter().all(|line| line.contains("is already in use")), "{lines:?}");
    }
    md.line("ps -a").ok();
    md.nothing_left();
}
