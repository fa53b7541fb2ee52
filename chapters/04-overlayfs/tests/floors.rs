//! Kernels without the mount API by descriptors: older than Linux 5.2, or behind a seccomp filter.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use kit::As;

/// Mounts `lowers` directories on a tmpfs of the namespace, with fsopen answering ENOSYS.
fn mount(who: As, lowers: usize) -> (Option<i32>, String) {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    As::copy_example("ch04-overlayfs", "overlay", &dir.path().join("overlay"));
    let flag = if who == As::Rootless { "--userxattr" } else { "" };
    let script = format!(
        "program=$PWD/overlay; mount -t tmpfs none /mnt && cd /mnt && mkdir m u w && for n in $(seq {lowers}); do \
         mkdir /mnt/a-rather-long-name-$n && echo x >/mnt/a-rather-long-name-$n/$n; done
         exec \"$program\" {} /mnt/m /mnt/u /mnt/w /mnt/a-rather-long-name-* -- sh -c 'ls | wc -l'",
        flag
    );
    let words = kit::without(&["fsopen=ENOSYS"]);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(who.words()).args(["sh", "-ec", &script]).current_dir(dir.path());
    let out = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code(), text.trim_end().to_owned())
}

#[test]
fn options_of_one_page_need_no_newer_call_and_more_are_refused_with_their_number() {
    kit::require!(kit::may_filter(), "not-root", "a filter without no_new_privs takes root");
    for who in As::roots() {
        assert_eq!(mount(*who, 20), (Some(0), "20".to_owned()), "{who:?}");
        let (code, text) = mount(*who, 200);
        assert!(code == Some(125) && text.starts_with("200 lowerdirs need "), "{who:?}: {text}");
    }
}
