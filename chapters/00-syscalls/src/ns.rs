//! Namespaces of a process that already runs.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::call::{call, fd, flags, quoted};
use crate::{CloneFlags, Errno, SysError};

/// Leaves the namespaces in `namespaces` for new ones.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN (alone, a user namespace needs none); `EINVAL` for a user
/// namespace in a process with threads, or inside a chroot; `ENOSPC` (max_user_namespaces).
/// Source: unshare(2).
pub fn unshare(namespaces: CloneFlags) -> Result<(), SysError> {
    call(
        "unshare",
        || flags(&namespaces),
        || {
            // SAFETY: unshare(2) takes one integer.
            Errno::result(unsafe { libc::unshare(namespaces.bits() as libc::c_int) }).map(drop)
        },
    )
}

/// Enters the namespaces of `target`: a file of /proc/pid/ns, or a pidfd with several kinds at once.
///
/// # Errors
/// `EPERM`, `EINVAL` (the kind does not match; a user namespace that we are in already). Source: setns(2).
pub fn setns(target: BorrowedFd<'_>, kinds: CloneFlags) -> Result<(), SysError> {
    call(
        "setns",
        || format!("{}, {}", fd(target), flags(&kinds)),
        || {
            // SAFETY: setns(2) takes two integers, and the descriptor is open.
            Errno::result(unsafe { libc::setns(target.as_raw_fd(), kinds.bits() as libc::c_int) }).map(drop)
        },
    )
}

/// Sets the host name of this UTS namespace, at most 64 bytes. Source: sethostname(2).
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN in the namespace's owner, `EINVAL` when too long.
pub fn sethostname(name: &str) -> Result<(), SysError> {
    let shown = || format!("{}, {}", quoted(name.as_bytes()), name.len());
    call("sethostname", shown, || nix::unistd::sethostname(name))
}

/// Sets the NIS domain name of this UTS namespace, at most 64 bytes. Source: setdomainname(2).
///
/// # Errors
/// As [`sethostname`].
pub fn setdomainname(name: &str) -> Result<(), SysError> {
    let shown = || format!("{}, {}", quoted(name.as_bytes()), name.len());
    call("setdomainname", shown, || {
        // SAFETY: the pointer and the length are those of one live str; the kernel only reads it.
        Errno::result(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }).map(drop)
    })
}
