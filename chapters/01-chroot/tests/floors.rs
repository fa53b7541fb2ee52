//! Kernels without openat2: older than Linux 5.6, or behind a seccomp filter.
#![allow(clippy::unwrap_used)]

mod demo;

use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

use demo::{Room, failure, out, userns_allowed, users};
use kit::require;

const WHY: &str = "a filter without no_new_privs takes root";

fn under(rules: &[&str], uid: u32, program: &std::path::Path, args: &[&str]) -> Output {
    let words = kit::without(rules);
    let id = [format!("--reuid={uid}"), format!("--regid={uid}")];
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg("setpriv").args(id).args(["--clear-groups", "--"]).arg(program).args(args);
    command.stdin(Stdio::null()).current_dir("/").env("TMPDIR", "/tmp").output().unwrap()
}

#[test]
fn a_root_is_built_by_a_walk_of_our_own() {
    require!(kit::may_filter(), "not-root", WHY);
    require!(userns_allowed(), "no-userns", "user namespaces are forbidden here");
    for uid in users() {
        let room = Room::new(uid).with(&["sh", "ls"]);
        symlink("/etc/none/dev", room.rootfs().join("dev")).unwrap();
        room.own(&room.rootfs());
        let (rootfs, demo) = (room.rootfs(), room.path().join("ch01-chroot"));
        let args =
            ["--trace", "--rootfs", rootfs.to_str().unwrap(), "sh", "-c", "ls /etc/none/dev/null; exit 3"];
        for errno in ["ENOSYS", "EPERM"] {
            let output = under(&[&format!("openat2={errno}")], uid, &demo, &args);
            let (code, trace) = failure(&output);
            assert_eq!((code, &*output.stdout), (Some(3), &b"/etc/none/dev/null\n"[..]), "{trace}");
            let asked = trace.lines().filter(|l| l.starts_with("openat2(")).collect::<Vec<_>>();
            assert!(
                !asked.is_empty() && asked.iter().all(|l| l.contains(&format!("= -1 {errno}"))),
                "{trace}"
            );
        }
    }
}

#[test]
fn links_end_at_the_same_place_by_the_kernel_and_by_hand() {
    require!(kit::may_filter(), "not-root", WHY);
    require!(userns_allowed(), "no-userns", "user namespaces are forbidden here");
    for uid in users() {
        let room = Room::new(uid);
        std::fs::create_dir_all(room.rootfs().join("real/deep")).unwrap();
        let up = "../".repeat(30) + "real";
        for (link, to) in [
            ("abs", "/real/deep"),
            ("up", up.as_str()),
            ("twice", "abs/.."),
            ("loop", "loop"),
            ("out", "/usr"),
        ] {
            symlink(to, room.rootfs().join(link)).unwrap();
        }
        room.own(&room.rootfs());
        let (example, rootfs) = (room.example("mount_in"), room.rootfs());
        for at in ["/abs", "/up/deep", "/twice", "/loop", "/real/../../real", "/out", "/missing/deep"] {
            let line = |rules: &[&str]| {
                let output =
                    under(rules, uid, &example, &[rootfs.to_str().unwrap(), "tmpfs", "none", at, "ro"]);
                // The numbers of the mount differ, its place doesn't.
                let place = out_or_empty(&output).split(' ').nth(4).map(str::to_owned);
                (output.status.code(), place)
            };
            let usual = line(&[]);
            assert_eq!(usual, line(&["openat2=ENOSYS"]), "{at}");
            assert_eq!(usual, line(&["openat2=EPERM"]), "{at}");
            let inside = usual.1.as_ref().is_none_or(|p| p.starts_with(rootfs.to_str().unwrap()));
            assert!(inside && (usual.0 == Some(0)) == (at != "/loop"), "{at}: {usual:?}");
        }
    }
}

fn out_or_empty(output: &Output) -> String {
    if output.status.success() { out(output) } else { String::new() }
}
