//! Each refusal with its very errno, and the library's own answers, by the examples.
#![allow(clippy::unwrap_used)]

mod demo;

use demo::{Room, WHY, Who, everybody, out, userns_allowed};
use kit::require;
use namespaces::Kind;

fn gallery(room: &Room, case: &str) -> String {
    out(&room.command("gallery", &[case]).output().unwrap()).trim_end().to_owned()
}

/// The same for everybody.
const FOR_ALL: [(&str, &str); 16] = [
    ("uid-map-twice", "write EPERM"),
    ("uid-map-of-overlap", "write EINVAL"),
    ("setgroups-after-deny", "setgroups EPERM"),
    ("setuid-to-unmapped", "setresuid EINVAL"),
    ("allow-after-deny", "write EPERM"),
    ("fork-after-pid-1", "clone3 ENOMEM"),
    ("userns-with-threads", "unshare EINVAL"),
    ("userns-in-chroot", "unshare EPERM"),
    ("userns-of-unmapped", "unshare EPERM"),
    ("userns-33-deep", "unshare ENOSPC"),
    ("sethostname-without-uts", "sethostname EPERM"),
    ("proc-without-pidns", "mount EPERM"),
    ("sysfs-without-netns", "mount EPERM"),
    ("proc-with-pidns", "ok"),
    ("setns-own-user", "setns EINVAL"),
    ("loopback-without-netns", "ioctl EPERM"),
];

/// What root may and others may not.
const FOR_ROOT_ALONE: [(&str, &str); 3] = [
    ("gid-map-before-deny", "write EPERM"),
    ("uid-map-of-two-ids", "write EPERM"),
    ("unshare-without-userns", "unshare EPERM"),
];

#[test]
fn the_kernel_refuses_with_these_errnos() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &[]).with_example("gallery");
        for (case, expected) in FOR_ALL {
            assert_eq!(gallery(&room, case), expected, "{who:?} {case}");
        }
        for (case, refused) in FOR_ROOT_ALONE {
            let expected = if who.uid() == 0 { "ok" } else { refused };
            assert_eq!(gallery(&room, case), expected, "{who:?} {case}");
        }
    }
}

#[test]
fn the_list_of_cases_is_the_list_of_tests() {
    let room = Room::new(Who::Me, &[]).with_example("gallery");
    let listed = out(&room.command("gallery", &[]).output().unwrap());
    let mut listed: Vec<&str> = listed.lines().collect();
    let mut tested: Vec<&str> = FOR_ALL.iter().chain(&FOR_ROOT_ALONE).map(|(case, _)| *case).collect();
    tested.push("offsets-too-late");
    listed.sort_unstable();
    tested.sort_unstable();
    assert_eq!(listed, tested);
}

#[test]
fn the_uptime_is_a_day_ahead_inside_and_not_outside() {
    require!(userns_allowed(), "no-userns", WHY);
    require!(Kind::Time.is_known(), "no-time-namespaces", "this kernel has no time namespaces");
    for who in everybody() {
        let room = Room::new(who, &[]).with_example("gallery");
        assert_eq!(gallery(&room, "clock"), "inside true\noutside true Ok(Exited(0))");
        assert_eq!(gallery(&room, "offsets-too-late"), "write EACCES");
    }
}

#[test]
fn a_helper_that_refuses_is_quoted() {
    require!(userns_allowed(), "no-userns", WHY);
    require!(namespaces::idmap::helper("newuidmap").is_ok(), "no-newuidmap", "newuidmap is not installed");
    for who in everybody() {
        let room = Room::new(who, &[]).with_example("gallery");
        let text = gallery(&room, "helpers");
        assert!(text.contains("newuidmap ended with exit status: 1: newuidmap: uid range [0-10)"), "{text}");
        assert!(text.ends_with("Ok(Signaled(9))"), "no child is left: {text}");
    }
}

#[test]
fn everybody_gets_the_most_that_it_may() {
    for who in everybody() {
        let expected = match (who, who.uid()) {
            (Who::Me, 0) => "Direct",
            (Who::Plain, _) => "Helpers",
            (Who::Single, _) => "Single /etc/subuid has no line for testsingle",
            (Who::Me, _) => continue,
        };
        let room = Room::new(who, &[]).with_example("gallery");
        assert_eq!(gallery(&room, "maps").trim_end(), expected);
    }
}

#[test]
fn root_of_a_namespace_can_be_somebody_else() {
    require!(demo::me() == 0, "not-root", "only root may map ids that are not its own");
    let room = Room::new(Who::Me, &[]).with_example("gallery");
    // uid, gid, no supplementary groups, and capabilities.
    assert_eq!(gallery(&room, "other-ids"), "0 0 0 true\nOk(Exited(0))");
}

#[test]
fn all_namespaces_of_a_process_can_be_entered() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh", "sleep"]).with_example("enter");
        let running =
            room.start(&["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done"]);
        let init = running.init().to_string();
        let text = out(&room.command("enter", &[&init]).output().unwrap());
        let all: String = Kind::ALL.iter().map(|kind| format!("{} true\n", kind.file())).collect();
        assert_eq!(text, format!("{all}box\n"), "{who:?}");
        nix::sys::signal::kill(running.pid(), nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(running.end().1, Some(0));
    }
}

#[test]
fn shared_namespaces_are_not_entered_again() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh", "sleep"]).with_example("enter");
        let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done";
        // Inside the user namespace nobody has rights over the host's network namespace.
        let running = room.start(&["--share", "net,ipc", "sh", "-c", script]);
        let text = out(&room.command("enter", &[&running.init().to_string()]).output().unwrap());
        assert!(text.contains("net true\n") && text.ends_with("box\n"), "{text}");
        nix::sys::signal::kill(running.pid(), nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(running.end().1, Some(0));
    }
}

#[test]
fn a_process_of_somebody_else_can_not_be_entered() {
    require!(demo::me() == 0, "not-root", "a plain user can't play another one");
    let room = Room::new(Who::Single, &[]).with_example("enter");
    let me = std::process::id().to_string();
    let output = room.command("enter", &[&me]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let call = format!("openat(AT_FDCWD, \"/proc/{me}/ns/user\", O_RDONLY|O_CLOEXEC)");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, format!("{call} : EACCES (Permission denied)\n"));
}
