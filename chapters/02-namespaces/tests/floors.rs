//! Kernels without clone3, or without pidfds: behind a seccomp filter, or older than Linux 5.3.
#![allow(clippy::unwrap_used)]

mod demo;

use std::process::{Command, Output};

use demo::{DEMO, Room, WHY, Who, err, everybody, out, userns_allowed};
use kit::require;

fn under(room: &Room, rules: &[&str], args: &[&str]) -> Output {
    let filter = kit::without(rules);
    let mut command = room.demo(args);
    if room.who == Who::Me {
        let rest: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = Command::new(&filter[0]);
        command.args(&filter[1..]).arg(room.path().join(DEMO)).args(rest).current_dir("/");
        command.env("TMPDIR", room.path().join("tmp"));
    }
    command.env("FILTER", filter.join("\n")).output().unwrap()
}

#[test]
fn clone_and_unshare_take_the_place_of_clone3() {
    require!(kit::may_filter(), "not-root", "a filter without no_new_privs takes root");
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh", "stat", "cat"]);
        for (rule, errno) in [("clone3=ENOSYS", "ENOSYS"), ("clone3=EPERM", "EPERM")] {
            let script =
                "stat -L -c %i /proc/self/ns/time /proc/self/ns/pid; cat /proc/self/setgroups; exit 3";
            let output = under(&room, &[rule], &["--trace", "sh", "-c", script]);
            let (text, shown) = (err(&output), String::from_utf8_lossy(&output.stdout).into_owned());
            assert_eq!(output.status.code(), Some(3), "{who:?}: {text}");
            let refused = format!("= -1 {errno} (");
            let clone3: Vec<&str> = text.lines().filter(|l| l.starts_with("clone3(")).collect();
            assert!(!clone3.is_empty() && clone3.iter().all(|l| l.contains(&refused)), "{text}");
            assert!(text.contains("\nclone(CLONE_NEWNS|"), "{text}");
            // clone(2) has no bit for a time namespace: the child makes it.
            assert!(text.contains("\nunshare(CLONE_NEWTIME) = 0\n"), "{text}");
            let host =
                [namespaces::Kind::Time, namespaces::Kind::Pid].map(|k| k.own_inode().unwrap().to_string());
            let lines: Vec<&str> = shown.lines().collect();
            assert!(lines.len() == 3 && lines[0] != host[0] && lines[1] != host[1], "{shown}");
            // With several ids the helpers wrote the maps, and groups may be set: nothing was lost.
            assert_eq!(lines[2], if who == Who::Single { "deny" } else { "allow" }, "{who:?}");
        }
        assert_eq!(room.processes(), []);
    }
}

#[test]
fn without_pidfds_nothing_is_begun() {
    require!(kit::may_filter(), "not-root", "a filter without no_new_privs takes root");
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh"]);
        let output = under(&room, &["pidfd_open=ENOSYS"], &["sh", "-c", "echo ran"]);
        assert_eq!((output.status.code(), &*output.stdout), (Some(125), &b""[..]));
        let text = err(&output);
        assert!(text.contains("pidfd_open(") && text.contains("  because: the kernel is older"), "{text}");
        assert!(text.contains("  do: uname -r"), "{text}");
        assert_eq!(room.processes(), []);
        assert_eq!(out(&under(&room, &[], &["sh", "-c", "echo ran"])), "ran\n");
    }
}
