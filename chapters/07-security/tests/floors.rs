//! Kernels without openat2: older than Linux 5.6, or behind a seccomp filter.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

/// In a mount namespace, as root of the host and as a plain user who is root of a user namespace.
const ROOMS: [&[&str]; 2] = [
    &["unshare", "--mount", "--propagation", "private"],
    &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "--map-root-user", "--mount"],
];

fn run(rules: &[&str], room: &[&str]) -> String {
    let example = kit::example("ch07-security", "confine");
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let copy = dir.path().join("confine");
    for words in [
        ["cp", example.to_str().unwrap(), copy.to_str().unwrap()],
        ["chmod", "755", dir.path().to_str().unwrap()],
    ] {
        assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success());
    }
    let look =
        "wc -c </proc/meminfo; (echo x >/proc/sys/kernel/hostname) 2>&1 | grep -c 'Read-only file system'";
    let words = kit::without(rules);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(room).arg(&copy);
    command.args([
        "mask",
        "/proc/meminfo",
        "mask",
        "/proc/none",
        "readonly",
        "/proc/sys",
        "readonly",
        "/proc/none",
    ]);
    let out = command.args(["--", "sh", "-c", look]).stdin(Stdio::null()).current_dir("/").output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

#[test]
fn paths_are_hidden_without_openat2_too() {
    kit::require!(kit::may_filter(), "not-root", "a filter without no_new_privs takes root");
    let told = "masked /proc/meminfo true\nmasked /proc/none false\n\
                readonly /proc/sys true\nreadonly /proc/none false\n0\n1\n";
    for room in ROOMS {
        for rules in [&[][..], &["openat2=ENOSYS"], &["openat2=EPERM"]] {
            assert_eq!(run(rules, room), told, "{rules:?} {room:?}");
        }
        // That the call was made at all is seen where its error is of another kind.
        assert!(run(&["openat2=EIO"], room).contains("EIO"), "{room:?}");
    }
}
