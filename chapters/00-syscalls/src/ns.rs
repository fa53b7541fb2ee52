//! Namespaces of a process that already runs, and the room that chapters 0 and 1 borrow from chapter 2.

use std::os::fd::BorrowedFd;
use std::path::Path;

use nix::sched;

use crate::call::call;
use crate::{CloneFlags, MsFlags, Result, mount, write_file};

/// Leaves the namespaces in `namespaces` for new ones.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN (alone, a user namespace needs none); `EINVAL` for a user
/// namespace in a process with threads, or inside a chroot; `ENOSPC` (max_user_namespaces).
/// Source: unshare(2).
pub fn unshare(namespaces: CloneFlags) -> Result {
    call("unshare", &[&namespaces], || sched::unshare(for_nix(namespaces)))
}

/// Enters the namespaces of `target`: a file of /proc/pid/ns, or a pidfd with several kinds at once.
///
/// # Errors
/// `EPERM`, `EINVAL` (the kind does not match; a user namespace that we are in already). Source: setns(2).
pub fn setns(target: BorrowedFd<'_>, kinds: CloneFlags) -> Result {
    call("setns", &[&target, &kinds], || sched::setns(target, for_nix(kinds)))
}

/// nix's own set lacks `CLONE_NEWTIME`.
fn for_nix(flags: CloneFlags) -> sched::CloneFlags {
    sched::CloneFlags::from_bits_retain(flags.bits() as i32)
}

/// Sets the host name of this UTS namespace, at most 64 bytes. Source: sethostname(2).
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN in the namespace's owner, `EINVAL` when too long.
pub fn sethostname(name: &str) -> Result {
    call("sethostname", &[&name, &name.len()], || nix::unistd::sethostname(name))
}

/// Enters a new user namespace, in which we are root, and a new mount namespace, in which what
/// we mount stays ours. So chapters 0 and 1 run without root and can't touch the host's mounts.
/// How it works is the matter of chapter 2; until then it is borrowed.
///
/// # Errors
/// `EPERM`, `ENOSPC` where user namespaces are forbidden or used up; `EINVAL` with threads.
pub fn borrowed_room() -> Result {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    // user_namespaces(7): without privilege over the parent, groups must be fixed before gid_map.
    write_file(Path::new("/proc/self/setgroups"), "deny")?;
    write_file(Path::new("/proc/self/uid_map"), &format!("0 {uid} 1\n"))?;
    write_file(Path::new("/proc/self/gid_map"), &format!("0 {gid} 1\n"))?;
    mount(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)
}
