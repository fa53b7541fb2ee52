//! What the demo makes own, kind by kind, for every sort of user.
#![allow(clippy::unwrap_used)]

mod demo;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use demo::{FIRST, Room, WHY, Who, err, everybody, me, out, userns_allowed};
use kit::require;
use namespaces::Kind;
use namespaces::idmap::{IdMap, Maps};

const KINDS: &str =
    "for k in cgroup ipc mnt net pid time user uts; do stat -Lc \"$k %i\" /proc/self/ns/$k; done";

/// Which namespaces a script of [`KINDS`] was in.
fn kinds(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| line.split_once(' ').map(|(k, n)| (k.to_owned(), n.parse().unwrap()));
    text.lines().filter_map(pair).collect()
}

#[test]
fn all_eight_namespaces_are_own() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let inside = kinds(&Room::new(who, &["sh", "stat"]).sh(KINDS));
        assert_eq!(inside.len(), 8);
        for kind in Kind::ALL {
            assert_ne!(inside[kind.file()], kind.own_inode().unwrap(), "{who:?} {kind:?}");
        }
    }
}

#[test]
fn a_shared_kind_is_the_hosts_and_the_others_are_own() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh", "stat"]);
        let can_share = |kind: &Kind| *kind != Kind::Mnt && (*kind != Kind::User || who.uid() == 0);
        for shared in Kind::ALL.into_iter().filter(can_share) {
            let output = room.run(&["--share", shared.file(), "sh", "-c", KINDS]);
            for (name, number) in kinds(&out(&output)) {
                let kind: Kind = name.parse().unwrap();
                assert_eq!(number == kind.own_inode().unwrap(), kind == shared, "{who:?} shares {shared:?}");
            }
        }
    }
}

#[test]
fn the_mount_namespace_is_never_shared() {
    for who in everybody() {
        let output = Room::new(who, &["sh"]).run(&["--share", "pid,mnt", "sh"]);
        assert_eq!(output.status.code(), Some(125));
        assert!(err(&output).contains("--share mnt: what we mount would be mounted on the host"));
    }
}

#[test]
fn without_root_a_user_namespace_is_what_allows_the_others() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody().into_iter().filter(|who| who.uid() != 0) {
        let output = Room::new(who, &["sh"]).run(&["--share", "user", "sh"]);
        assert_eq!(output.status.code(), Some(125));
        let text = err(&output);
        assert!(text.contains("clone3({flags=CLONE_NEWNS|") && text.contains(": EPERM"), "{text}");
        assert!(text.contains("because: new namespaces need CAP_SYS_ADMIN"), "{text}");
    }
}

#[test]
fn process_1_is_ours_and_ps_shows_nobody_else() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh", "ps", "cat"]);
        let text = room.sh("echo $$; cat /proc/1/comm; ps -e -o comm=");
        assert_eq!(text, "2\nch02-namespaces\nch02-namespaces\nsh\nps\n", "{who:?}");
    }
}

#[test]
fn the_hostname_is_own() {
    require!(userns_allowed(), "no-userns", WHY);
    let before = nix::unistd::gethostname().unwrap();
    for who in everybody() {
        let room = Room::new(who, &["sh", "hostname"]);
        assert_eq!(out(&room.run(&["hostname"])), "box\n");
        assert_eq!(
            out(&room.run(&["--hostname", "other", "sh", "-c", "hostname; hostname new; hostname"])),
            "other\nnew\n"
        );
        let long = "x".repeat(65);
        let output = room.run(&["--hostname", &long, "hostname"]);
        assert_eq!(output.status.code(), Some(125));
        assert!(err(&output).contains("EINVAL"), "{output:?}");
    }
    assert_eq!(nix::unistd::gethostname().unwrap(), before);
}

#[test]
fn message_queues_are_own() {
    require!(userns_allowed(), "no-userns", WHY);
    let host = || fs::read_to_string("/proc/sysvipc/msg").unwrap();
    for who in everybody() {
        let before = host();
        let room = Room::new(who, &["sh", "ipcmk", "wc", "cat"]);
        // A line for the headings, and one for the queue.
        assert_eq!(room.sh("ipcmk -Q >/dev/null; cat /proc/sysvipc/msg | wc -l").trim(), "2");
        assert_eq!(host(), before);
    }
}

#[test]
fn the_network_has_only_lo_and_it_is_up() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh", "ip", "ls"]);
        let text = room.sh("ls /sys/class/net; ip -o link; ip -o -4 addr; ip route");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "lo", "{text}");
        assert!(lines[1].starts_with("1: lo: <LOOPBACK,UP,LOWER_UP>"), "{text}");
        assert!(lines[2].contains("127.0.0.1/8"), "{text}");
        assert_eq!(lines.len(), 3, "no route: {text}");
    }
}

#[test]
fn the_cgroup_is_shown_as_the_root() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let text = Room::new(who, &["sh", "cat"]).sh("cat /proc/self/cgroup");
        assert!(text.lines().count() > 0 && text.lines().all(|line| line.ends_with(":/")), "{text}");
    }
}

#[test]
fn proc_and_sys_are_own_and_nothing_is_mounted_on_the_host() {
    require!(userns_allowed(), "no-userns", WHY);
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    for who in everybody() {
        let text = Room::new(who, &["sh", "cat"]).sh("cat /proc/self/mounts");
        for line in ["proc /proc proc rw,nosuid,nodev,noexec", "sysfs /sys sysfs ro,nosuid,nodev,noexec"] {
            assert!(text.contains(line), "{who:?}: {text}");
        }
    }
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
}

/// The maps that this user must get, as /proc/self/uid_map shows them inside.
fn expected(who: Who) -> IdMap {
    match (who, who.uid()) {
        (Who::Me, 0) => {
            let here = IdMap::of("self").unwrap();
            let itself = here.0.iter().map(|r| namespaces::idmap::Range { outside: r.inside, ..*r });
            IdMap(itself.collect())
        }
        (Who::Me, _) => Maps::for_this_process().unwrap().uid,
        (Who::Plain, uid) => format!("0 {uid} 1\n1 {FIRST} 65536\n").parse().unwrap(),
        (Who::Single, uid) => IdMap::single(0, uid),
    }
}

#[test]
fn ids_are_mapped_as_far_as_the_user_may() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh", "cat", "id"]);
        let text = room.sh("id -u; id -g; id -G; cat /proc/self/uid_map");
        let (ids, map) = text.split_at(6);
        assert_eq!(ids, "0\n0\n0\n", "{who:?}: {text}");
        assert_eq!(map.parse::<IdMap>().unwrap(), expected(who), "{who:?}");
        let groups = room.sh("cat /proc/self/gid_map").parse::<IdMap>().unwrap();
        if who != Who::Me {
            assert_eq!(groups, expected(who), "the gid is the uid's number here");
        }
        let denied = room.sh("cat /proc/self/setgroups");
        assert_eq!(denied, if expected(who).len() == 1 { "deny\n" } else { "allow\n" }, "{who:?}");
    }
}

#[test]
fn files_belong_outside_to_whom_the_map_names() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh", "chown"]);
        let output = room.run(&["sh", "-c", ": > /mine; : > /ones; chown 1:1 /ones"]);
        let owner = |name: &str| fs::metadata(room.rootfs().join(name)).unwrap().uid();
        assert_eq!(owner("mine"), who.uid());
        match expected(who).to_outside(1) {
            Some(one) => assert_eq!(owner("ones"), one, "{who:?}"),
            None => {
                // chown(2) of an id without a place in the map.
                assert!(!output.status.success());
                assert!(err(&output).contains("Invalid argument"), "{output:?}");
            }
        }
    }
}

#[test]
fn a_single_id_is_explained() {
    require!(me() == 0, "not-root", "a plain user can't play another one");
    let says = |who, cover: &str, before: &[&str]| {
        let room = Room::new(who, &["cat"]);
        fs::write(room.path().join("copy"), "").unwrap();
        fs::set_permissions(room.path().join("copy"), fs::Permissions::from_mode(0o755)).unwrap();
        let rootfs = room.rootfs();
        let args = ["--rootfs", rootfs.to_str().unwrap(), "cat", "/proc/self/uid_map"];
        let output = room.command_under(before, demo::DEMO, &args).env("COVER", cover).output().unwrap();
        assert_eq!(out(&output).parse::<IdMap>().unwrap(), IdMap::single(0, who.uid()));
        err(&output)
    };
    let line = says(Who::Single, "true", &[]);
    assert_eq!(line, "ch02-namespaces: only one id is mapped: /etc/subuid has no line for testsingle\n");
    let line = says(Who::Plain, "true", &["setpriv", "--no-new-privs"]);
    assert!(line.contains("only one id is mapped: this process has no_new_privs"), "{line}");
    let line = says(Who::Plain, "mount --bind /dev/null /usr/bin/newgidmap", &[]);
    assert!(line.contains("only one id is mapped: newgidmap is not installed"), "{line}");
    let line = says(Who::Plain, "mount --bind \"$1/copy\" /usr/bin/newuidmap", &[]);
    assert!(
        line.contains("/usr/bin/newuidmap is neither set-uid root nor has it file capabilities"),
        "{line}"
    );
    let line =
        says(Who::Plain, "m=/usr/bin/newuidmap; mount --bind $m $m; mount -o remount,bind,nosuid $m", &[]);
    assert!(line.contains("/usr/bin/newuidmap lies on a mount with nosuid"), "{line}");
}

#[test]
fn rooms_nest() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        // The demo is a program like any other.
        let demo = env!("CARGO_BIN_EXE_ch02-namespaces");
        let room = Room::new(who, &[demo, "sh", "cat", "hostname"]);
        let inner = "hostname; echo $$; cat /proc/self/uid_map";
        let text = room.sh(&format!("TMPDIR=/tmp {demo} --hostname inner sh -c '{inner}'; hostname"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["inner", "2"], "{text}");
        let map: IdMap = lines[2..lines.len() - 1].join("\n").parse().unwrap();
        assert_eq!(map.len(), expected(who).len(), "root of a user namespace hands on all its ids");
        assert_eq!(lines.last(), Some(&"box"));
    }
}
