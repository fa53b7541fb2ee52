//! The demo binary in real mount namespaces.
#![allow(clippy::unwrap_used)]

mod demo;

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use demo::{Room, failure, out, userns_allowed, users};
use kit::require;

const WHY: &str = "user namespaces are forbidden here";

/// The mounts of the host, as this process sees them.
fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

#[test]
fn without_a_rootfs_a_shell_of_the_host_runs_in_a_root_of_its_own() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let (room, before) = (Room::new(uid), mounts());
        let text = out(&room.run(&["sh", "-c", "ls /; id -u; echo $$ > /written"]));
        let names: BTreeSet<&str> = text.lines().collect();
        assert!(names.is_superset(&["dev", "proc", "usr", "0"].into()), "{text}");
        assert!(!names.contains("etc") && !names.contains("home"), "{text}");
        assert_eq!(mounts(), before);
    }
}

#[test]
fn exit_codes_are_those_of_a_shell() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = Room::new(uid).with(&["sh", "sleep"]);
        std::fs::write(room.rootfs().join("data"), "no program").unwrap();
        let code = |args: &[&str]| room.run_in_rootfs(args).status.code();
        assert_eq!(code(&["sh", "-c", "exit 7"]), Some(7));
        assert_eq!(code(&["sh", "-c", "kill -TERM $$"]), Some(128 + 15));
        assert_eq!(code(&["nosuch"]), Some(127));
        assert_eq!(code(&["/nosuch"]), Some(127));
        assert_eq!(code(&["/data"]), Some(126));
        assert_eq!(room.run(&["--rootfs", "/nosuch", "sh"]).status.code(), Some(125));
    }
}

#[test]
fn proc_is_the_hosts_and_devices_work() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = Room::new(uid).with(&["sh", "head", "wc", "stat", "cat", "readlink"]);
        let pid = std::process::id();
        let script = format!(
            "cat /proc/{pid}/comm; echo gone > /dev/null; head -c 7 /dev/zero | wc -c; \
             head -c 3 /dev/urandom | wc -c; echo x 2>/dev/null > /dev/full || echo full; \
             stat -c '%F %a %t:%T' /dev/null /dev/tty; \
             readlink /dev/ptmx /dev/fd /dev/stdin /dev/stdout /dev/stderr"
        );
        let text = out(&room.run_in_rootfs(&["sh", "-c", &script]));
        let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
        let expected = "7\n3\nfull\ncharacter special file 666 1:3\ncharacter special file 666 5:0\n\
                        pts/ptmx\n/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n";
        assert_eq!(text, format!("{comm}{expected}"));
    }
}

#[test]
fn links_of_an_image_do_not_lead_mounts_to_the_host() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = Room::new(uid).with(&["sh", "ls", "cat"]);
        let outside = room.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        room.own(&outside);
        symlink(&outside, room.rootfs().join("dev")).unwrap();
        symlink("../../../../../usr/proc", room.rootfs().join("proc")).unwrap();
        room.own(&room.rootfs());
        let text = out(&room.run_in_rootfs(&["sh", "-c", "ls /dev/null; cat /usr/proc/self/comm"]));
        assert_eq!(text, "/dev/null\ncat\n");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        // It was made inside, at the same path.
        let inside = room.rootfs().join(outside.strip_prefix("/").unwrap());
        assert!(inside.is_dir());
    }
}

#[test]
fn root_breaks_out_of_chroot_and_not_out_of_pivot_root() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = Room::new(uid).with(&["ls"]);
        // Our directory exists on the host, and in no root file system.
        let marker = room.path().join("ch01-chroot");
        let breakout = room.example("breakout");
        let args = [breakout.to_str().unwrap(), "ls", marker.to_str().unwrap()];
        let escaped = out(&room.run(&[&["--chroot"], &args[..]].concat()));
        assert_eq!(escaped, format!("out of the root\n{}\n", marker.display()));
        let kept = room.run(&args);
        assert_eq!(String::from_utf8(kept.stdout.clone()).unwrap(), "still in the same root\n");
        assert!(failure(&kept).1.contains("No such file or directory"), "{kept:?}");
        assert_eq!(kept.status.code(), Some(2));
    }
}

#[test]
fn a_library_that_is_taken_away_is_named_by_the_loader_and_by_us() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = Room::new(uid).with(&["ls"]);
        let ls = std::path::Path::new("/usr/bin/ls");
        let needs = chroot::needs_of(&room.rootfs(), ls).unwrap();
        // Behind the program and its interpreter.
        let library = &needs[2];
        let name = library.file_name().unwrap().to_str().unwrap();
        assert_eq!(room.run_in_rootfs(&["ls", "/usr"]).status.code(), Some(0));

        let inside = room.rootfs().join(library.strip_prefix("/").unwrap());
        let inside = std::fs::canonicalize(inside.parent().unwrap()).unwrap().join(name);
        let aside = room.path().join("aside");
        std::fs::rename(&inside, &aside).unwrap();
        let (code, text) = failure(&room.run_in_rootfs(&["ls", "/usr"]));
        assert_eq!(code, Some(127), "{text}");
        assert!(text.contains(name), "{text}");
        let ours = chroot::needs_of(&room.rootfs(), ls).unwrap_err();
        assert!(matches!(&ours, chroot::Refusal::Library(m) if m.library == name), "{ours}");

        std::fs::rename(&aside, &inside).unwrap();
        assert_eq!(room.run_in_rootfs(&["ls", "/usr"]).status.code(), Some(0));
    }
}

#[test]
fn a_static_program_needs_no_library() {
    require!(userns_allowed(), "no-userns", WHY);
    let busybox = std::path::Path::new("/bin/busybox");
    let is_static = chroot::needs_of("/".as_ref(), busybox).is_ok_and(|needs| needs.len() == 1);
    require!(is_static, "no-busybox", "package busybox-static");
    for uid in users() {
        let room = Room::new(uid).with(&["busybox"]);
        let text = out(&room.run_in_rootfs(&["busybox", "sh", "-c", "echo $((6 * 7))"]));
        assert_eq!(text, "42\n");
        assert!(!room.rootfs().join("lib64").exists());
    }
}

#[test]
fn trace_shows_the_calls_in_their_order() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = Room::new(uid).with(&["true"]);
        let (code, text) = failure(&room.run_in_rootfs(&["--trace", "true"]));
        assert_eq!(code, Some(0), "{text}");
        let calls: Vec<&str> = text.lines().filter_map(|l| l.split('(').next()).collect();
        let order = ["clone3", "unshare", "mount", "pivot_root", "umount2", "chdir", "execve"];
        let mut rest = calls.iter();
        for call in order {
            assert!(rest.any(|c| *c == call), "{call} is missing or too early in\n{text}");
        }
        assert!(text.contains(r#"pivot_root(".", ".") = 0"#), "{text}");
    }
}
