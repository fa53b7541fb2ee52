//! Kernels without openat2: older than Linux 5.6, or behind a seccomp filter.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use kit::As;

fn run(rules: &[&str], who: As) -> String {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("confine");
    As::copy_example("ch07-security", "confine", &copy);
    let look =
        "wc -c </proc/meminfo; (echo x >/proc/sys/kernel/hostname) 2>&1 | grep -c 'Read-only file system'";
    let words = kit::without(rules);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(who.words()).arg(&copy);
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
    for who in As::roots() {
        for rules in [&[][..], &["openat2=ENOSYS"], &["openat2=EPERM"]] {
            assert_eq!(run(rules, *who), told, "{rules:?} {who:?}");
        }
        // That the call was made at all is seen where its error is of another kind.
        assert!(run(&["openat2=EIO"], *who).contains("EIO"), "{who:?}");
    }
}
