//! Mounts below a root, by the example `mount_in`, in mount namespaces of their own.
#![allow(clippy::unwrap_used)]

mod demo;

use std::os::unix::fs::symlink;

use demo::{Room, failure, out, userns_allowed, users};
use kit::require;

const WHY: &str = "user namespaces are forbidden here";

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A room in which the example stands ready.
fn room(uid: u32) -> Room {
    let room = Room::new(uid);
    room.example("mount_in");
    room.own(&room.rootfs());
    room
}

/// Runs the example in the rootfs.
fn mount_in(room: &Room, args: &[&str]) -> std::process::Output {
    let rootfs = room.rootfs();
    room.start("mount_in", &[&[rootfs.to_str().unwrap()], args].concat())
}

/// The options of a mount, and its propagation, of a line of mountinfo (proc_pid_mountinfo(5)).
fn options(line: &str) -> (Vec<String>, String) {
    let words: Vec<&str> = line.split_whitespace().collect();
    (words[5].split(',').map(str::to_owned).collect(), words[6].to_owned())
}

#[test]
fn a_bind_mount_gets_its_flags_by_a_second_call() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = room(uid);
        let text = out(&mount_in(&room, &["bind", "/usr", "/a/b", "ro", "nosuid", "nodev"]));
        let (options, _) = options(&text);
        for option in ["ro", "nosuid", "nodev"] {
            assert!(options.contains(&option.to_owned()), "{option}: {text}");
        }
        assert!(text.contains("/rootfs/a/b "), "{text}");
        assert!(room.rootfs().join("a/b").is_dir());
    }
}

#[test]
fn flags_that_a_user_namespace_has_locked_stay() {
    require!(userns_allowed(), "no-userns", WHY);
    require!(is_root(), "not-root", "only root can lay out the mount below the user namespace");
    let room = room(0);
    let source = room.path().join("source");
    std::fs::create_dir(&source).unwrap();
    // unshare(1) as root: a mount with three flags, and below it the room in which they are locked.
    let script = format!(
        "mount -t tmpfs -o nosuid,nodev,noexec none {0} && exec {1} {2} bind {0} /there ro",
        source.display(),
        room.path().join("mount_in").display(),
        room.rootfs().display(),
    );
    let output = std::process::Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();
    let (options, _) = options(&out(&output));
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(options.contains(&option.to_owned()), "{option}: {options:?}");
    }
}

#[test]
fn the_bind_of_a_file_makes_a_file_to_lie_on() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = room(uid);
        let text = out(&mount_in(&room, &["bind", "/etc/passwd", "/etc/users", "ro"]));
        assert!(text.contains(" /etc/passwd "), "{text}");
        assert_eq!(std::fs::read(room.rootfs().join("etc/users")).unwrap(), b"");
    }
}

#[test]
fn a_missing_source_is_named_and_nothing_is_made() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = room(uid);
        let (code, text) = failure(&mount_in(&room, &["bind", "/no/such", "/data"]));
        assert_eq!(code, Some(1));
        assert!(text.contains("bind source /no/such for /data"), "{text}");
        assert!(text.contains("stat(\"/no/such\") : ENOENT (No such file or directory)"), "{text}");
        assert_eq!(std::fs::read_dir(room.rootfs()).unwrap().count(), 0);
    }
}

#[test]
fn proc_and_sysfs_are_refused_on_links_and_files() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = room(uid);
        std::fs::create_dir(room.rootfs().join("dir")).unwrap();
        symlink("dir", room.rootfs().join("link")).unwrap();
        symlink("/proc", room.rootfs().join("host")).unwrap();
        std::fs::write(room.rootfs().join("file"), "").unwrap();
        room.own(&room.rootfs());
        for fstype in ["proc", "sysfs"] {
            for place in ["/link", "/host", "/file"] {
                let (_, text) = failure(&mount_in(&room, &[fstype, fstype, place]));
                let expected = format!("{fstype} must be mounted on a directory, and {place} is none");
                assert!(text.contains(&expected), "{text}");
            }
        }
        // On a directory it is the kernel that decides: without an own pid namespace it says no.
        let (_, text) = failure(&mount_in(&room, &["proc", "proc", "/dir"]));
        assert!(text.contains("EPERM"), "{text}");
    }
}

#[test]
fn a_directory_does_not_lie_on_a_file() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = room(uid);
        std::fs::write(room.rootfs().join("file"), "").unwrap();
        let (_, text) = failure(&mount_in(&room, &["tmpfs", "none", "/file"]));
        assert!(text.contains("/file") && text.contains("ENOTDIR"), "{text}");
    }
}

#[test]
fn root_makes_nodes_and_a_user_namespace_cannot() {
    let room = room(nix::unistd::geteuid().as_raw());
    if userns_allowed() {
        let (code, text) = failure(&mount_in(&room, &["make", "/dev/null", "/"]));
        assert_eq!(code, Some(1));
        assert!(text.contains("/dev/null") && text.contains("mknodat(") && text.contains("EPERM"), "{text}");
    }
    require!(is_root(), "not-root", "mknod(2) takes root");
    let output = std::process::Command::new(room.path().join("mount_in"))
        .args([room.rootfs().to_str().unwrap(), "make", "/dev/null", "/"])
        .env("ROOM", "mnt")
        .output()
        .unwrap();
    // A character device of mode 0640, 1:3, of user 5 and group 6, in a directory that was made.
    assert_eq!(out(&output), "20640 0x103 5:6\n");
}

#[test]
fn before_linux_5_6_paths_are_walked_by_hand() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = Room::new(uid).with(&["sh", "ls"]);
        symlink("/etc/none/dev", room.rootfs().join("dev")).unwrap();
        room.own(&room.rootfs());
        // Lets openat2(2) of our wrappers answer ENOSYS.
        let inject = [("MINIDOCKER_INJECT", "client:openat2:ENOSYS")];
        let rootfs = room.rootfs();
        let args = ["--trace", "--rootfs", rootfs.to_str().unwrap(), "ls", "/etc/none/dev/null"];
        let output = room.start_with("ch01-chroot", &args, &inject);
        assert_eq!(out(&output), "/etc/none/dev/null\n");
        assert!(failure(&output).1.contains("= -1 ENOSYS"), "{output:?}");
    }
}
