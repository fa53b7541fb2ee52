//! Kernels without the mount API by descriptors: older than Linux 5.2, or behind a seccomp filter.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

/// As root, and as a plain user who is root of a user namespace.
const USERS: [(&[&str], &str); 2] = [
    (&["unshare", "--mount"], ""),
    (
        &[
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "unshare",
            "--map-root-user",
            "--mount",
        ],
        "--userxattr",
    ),
];

/// Mounts `lowers` directories on a tmpfs of the namespace, with fsopen answering ENOSYS.
fn mount(user: &(&[&str], &str), lowers: usize) -> (Option<i32>, String) {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let example = kit::example("ch04-overlayfs", "overlay");
    for words in [["cp", example.to_str().unwrap(), "overlay"], ["chmod", "755", "."]] {
        assert!(Command::new(words[0]).args(&words[1..]).current_dir(dir.path()).status().unwrap().success());
    }
    let script = format!(
        "program=$PWD/overlay; mount -t tmpfs none /mnt && cd /mnt && mkdir m u w && for n in $(seq {lowers}); do \
         mkdir /mnt/a-rather-long-name-$n && echo x >/mnt/a-rather-long-name-$n/$n; done
         exec \"$program\" {} /mnt/m /mnt/u /mnt/w /mnt/a-rather-long-name-* -- sh -c 'ls | wc -l'",
        user.1
    );
    let words = kit::without(&["fsopen=ENOSYS"]);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(user.0).args(["sh", "-ec", &script]).current_dir(dir.path());
    let out = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code(), text.trim_end().to_owned())
}

#[test]
fn options_of_one_page_need_no_newer_call_and_more_are_refused_with_their_number() {
    kit::require!(kit::may_filter(), "not-root", "a filter without no_new_privs takes root");
    for user in &USERS {
        assert_eq!(mount(user, 20), (Some(0), "20".to_owned()), "{user:?}");
        let (code, text) = mount(user, 200);
        assert!(code == Some(125) && text.starts_with("200 lowerdirs need "), "{user:?}: {text}");
    }
}
