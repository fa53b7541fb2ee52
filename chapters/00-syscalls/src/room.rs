//! The room that chapters 0 and 1 borrow from chapter 2.

use std::path::Path;

use crate::{CloneFlags, MsFlags, SysError, mount, unshare, write_file};

/// Enters a new user namespace, in which we are root, and a new mount namespace, in which what
/// we mount stays ours. So chapters 0 and 1 run without root and can't touch the host's mounts.
/// How it works is the matter of chapter 2; until then it is borrowed.
///
/// # Errors
/// `EPERM`, `ENOSPC` where user namespaces are forbidden or used up; `EINVAL` with threads.
pub fn borrowed_room() -> Result<(), SysError> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    // user_namespaces(7): without privilege over the parent, groups must be fixed before gid_map.
    write_file(Path::new("/proc/self/setgroups"), "deny")?;
    write_file(Path::new("/proc/self/uid_map"), &format!("0 {uid} 1\n"))?;
    write_file(Path::new("/proc/self/gid_map"), &format!("0 {gid} 1\n"))?;
    mount(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)
}
