//! Command lines, stores and images that are wrong, or built to lead us out to the host.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use kit::{Minidocker, Who, tree};

/// A tree whose `link` leads to `target`, and a place on the host that must stay as it is.
fn led_out(who: Who, link: &str, target: impl Fn(&Path) -> String, words: &[&str]) {
    let md = Minidocker::new(env!("CARGO_BIN_EXE_minidocker"), who);
    let (victim, dir) = (md.dir("victim"), md.dir("rootfs"));
    for below in ["etc", "net", "sys", "pts"] {
        fs::create_dir(victim.join(below)).unwrap();
        who.own(&victim.join(below));
    }
    fs::write(victim.join("file"), "the host's").unwrap();
    who.own(&victim.join("file"));
    kit::small_rootfs(&dir, md.who());
    let path = dir.join(link);
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    }
    let _ = fs::remove_file(&path);
    symlink(target(&victim), &path).unwrap();
    kit::give(&dir, who);
    let before = (tree(&victim), tree(&dir));
    let out = crate::in_rootfs(&md, &dir, words);
    let shown = format!("{who:?}: /{link} -> {}", target(&victim));
    if out.code != 0 {
        assert!([125, 126, 127].contains(&out.code), "{shown}: {out:?}");
        let code = out.code;
        out.complains(code, "");
    }
    assert_eq!(kit::difference(&before.0, &tree(&victim)), "", "{shown}");
    assert_eq!(kit::difference(&before.1, &tree(&dir)), "", "{shown}");
    md.nothing_left();
}

#[test]
fn links_in_the_image_lead_nowhere_on_the_host() {
    kit::require!(!Minidocker::is_docker(), "ours-only", "--rootfs is ours");
    let absolute = |victim: &Path| victim.display().to_string();
    let climbing = |victim: &Path| format!("{}{}", "../".repeat(30), victim.display());
    let write = ["sh", "-c", "echo x >/dev/null; echo y >/etc/hosts; echo z >/tmp/z; true"];
    for who in Who::all() {
        for link in ["dev", "proc", "sys", "tmp", "etc", "work"] {
            led_out(*who, link, absolute, &write);
            led_out(*who, link, climbing, &write);
        }
        for link in
            ["etc/hosts", "etc/hostname", "etc/resolv.conf", "dev/null", "dev/pts", "dev/shm", "etc/passwd"]
        {
            led_out(*who, link, |victim| format!("{}/file", victim.display()), &write);
            led_out(*who, link, climbing, &write);
        }
        led_out(*who, "proc", |_| "/dev".to_owned(), &write);
        led_out(*who, "dev", |_| "dev".to_owned(), &write);
    }
}

#[test]
fn links_in_the_place_of_our_files_are_hidden_as_in_docker() {
    for who in Who::all() {
        for target in ["/dev/null", "/dev", "/proc/1", "/sys/x", "nowhere"] {
            let md = kit::ours!(*who);
            let dir = md.dir("rootfs");
            kit::small_rootfs(&dir, md.who());
            for name in ["hosts", "hostname", "resolv.conf"] {
                symlink(target, dir.join("etc").join(name)).unwrap();
            }
            let look = "stat -c %t:%T /dev/null; cat /etc/hostname; ls -l /etc/resolv.conf";
            let out = crate::in_rootfs(&md, &dir, &["sh", "-c", look]).ok().quiet();
            let lines = out.lines();
            assert_eq!((lines[0].as_str(), lines[1].len()), ("1:3", 12), "{who:?} {target}");
            assert!(lines[2].starts_with("-rw-r--r--"), "{who:?} {target}: {}", lines[2]);
            md.nothing_left();
        }
    }
}

#[test]
fn our_files_on_dev_null_are_refused_with_the_reason() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let dir = md.dir("rootfs");
        kit::small_rootfs(&dir, md.who());
        // A link above is followed: only what lies at the very place is hidden.
        fs::rename(dir.join("etc"), dir.join("real")).unwrap();
        symlink("real", dir.join("etc")).unwrap();
        symlink("/dev/null", dir.join("real/resolv.conf")).unwrap();
        let out = crate::in_rootfs(&md, &dir, &["true"]).complains(125, "cannot mask /proc/");
        crate::advised(&out, "/dev/null is not the character device 1:3", "a link of the image led a mount");
        md.nothing_left();
    }
}

#[test]
fn a_working_directory_that_is_no_directory_is_told() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let cases = [
            ("/etc/passwd", "Cannot mkdir: /etc/passwd is not a directory", "EEXIST (File exists)"),
            ("/etc/passwd/x", "Cannot mkdir: /etc/passwd/x is not a directory", "ENOTDIR (Not a directory)"),
            ("/proc/x", "Cannot mkdir: /proc/x", "ENOENT (No such file or directory)"),
            ("/sys/x", "Cannot mkdir: /sys/x", "E"),
        ];
        for (dir, text, errno) in cases {
            let out = md.run(["run", "--rm", "-w", dir, "hostbox", "true"]).complains(125, text);
            crate::advised(&out, &format!("  mkdir({dir:?}, 0777) : {errno}"), "because: ");
        }
        md.nothing_left();
    }
}

#[test]
fn a_working_directory_that_is_a_link_stays_inside() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let (victim, dir) = (md.dir("victim"), md.dir("rootfs"));
        kit::small_rootfs(&dir, md.who());
        symlink(&victim, dir.join("work")).unwrap();
        symlink(format!("{}{}/new", "../".repeat(30), victim.display()), dir.join("climb")).unwrap();
        symlink("/proc/self/fd", dir.join("fds")).unwrap();
        symlink("/proc/1/cwd", dir.join("cwd")).unwrap();
        let before = tree(&victim);
        let works = [
            "/work",
            "/work/new",
            "/climb",
            "/climb/a",
            "/fds/3",
            "/fds/4",
            "/fds/5",
            "/fds/6",
            "/fds/7",
            "/fds/8",
            "/cwd",
        ];
        for work in works {
            let root = dir.to_str().unwrap();
            let look = "ls -A . ; echo x >here; cat ../../../../../../../etc/passwd";
            let out = md.run(["run", "--rm", "-w", work, "--rootfs", root, "sh", "-c", look]);
            let inside = out.out().lines().any(|l| l == "root:x:0:0:root:/root:/bin/sh")
                && !out.out().contains("daemon");
            assert!(inside || out.code != 0, "{who:?} {work}: {out:?}");
            assert_eq!(kit::difference(&before, &tree(&victim)), "", "{who:?} {work}");
        }
        md.nothing_left();
    }
}

#[test]
fn mount_points_that_are_files_are_refused_or_replaced_inside() {
    for who in Who::all() {
        for link in ["dev", "proc", "sys", "etc"] {
            let md = kit::ours!(*who);
            let dir = md.dir("rootfs");
            kit::small_rootfs(&dir, md.who());
            fs::remove_dir_all(dir.join(link)).unwrap();
            fs::write(dir.join(link), "a file").unwrap();
            let before = tree(&dir);
            let out = crate::in_rootfs(&md, &dir, &["true"]);
            if link == "etc" {
                let out = out.complains(125, "/etc/resolv.conf");
                crate::advised(&out, ") : ENOTDIR (Not a directory)", "something of another kind");
            } else {
                out.ok().quiet();
            }
            assert_eq!(kit::difference(&before, &tree(&dir)), "", "{who:?} {link}");
            md.nothing_left();
        }
    }
}

#[test]
fn a_root_that_can_t_be_written_is_said_so() {
    let md = kit::ours!();
    for (root, what) in
        [("/proc/nosuch", "/proc/nosuch"), ("/dev/null", "/dev/null"), ("/dev/null/x", "/dev/null/x")]
    {
        let out = md.call(["run", "--rm", "hostbox", "true"]).env("MINIDOCKER_ROOT", root).run();
        assert!(out.err().contains(what), "{}", out.err());
        out.complains(125, "");
    }
    let out = md.call(["ps", "-a"]).env("MINIDOCKER_ROOT", md.room().join("new")).run().ok();
    assert_eq!(out.lines().len(), 1);
}

#[test]
fn words_that_are_no_words_are_refused() {
    let md = kit::ours!();
    let lines = [
        ("run", "requires at least 1 argument"),
        ("run --rm", "requires at least 1 argument"),
        ("kill", "requires at least 1 argument"),
        ("rm", "requires at least 1 argument"),
        ("inspect", "requires at least 1 argument"),
        ("run --name", "flag needs an argument: --name"),
        ("run -e", "flag needs an argument: 'e' in -e"),
        ("run -ite", "flag needs an argument: 'e' in -e"),
        ("run --rm --workdir", "flag needs an argument: --workdir"),
        ("run --rootfs", "flag needs an argument: --rootfs"),
        ("ps -n", "flag needs an argument: 'n' in -n"),
        (
            "run -e '' hostbox true",
            "invalid argument \"\" for \"-e, --env\" flag: invalid environment variable: ",
        ),
        ("run --network '' hostbox true", "no name set for network"),
        ("run -e =x hostbox true", "invalid environment variable: =x"),
        ("run --rm=maybe hostbox true", "invalid argument \"maybe\" for \"--rm\" flag"),
    ];
    for (line, text) in lines {
        let out = md.line(line);
        assert!([1, 125].contains(&out.code), "{line}: {}", out.code);
        let code = out.code;
        out.complains(code, text);
    }
    md.nothing_left();
}
