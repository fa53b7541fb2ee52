//! The mount table: what is seen where.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use crate::call::call;
use crate::shown::{By, Plain, Shown};
use crate::{Errno, MntFlags, MsFlags, Result};

/// Mounts, binds, remounts or changes propagation, as `mountflags` says. Source: mount(2).
///
/// # Errors
/// `EPERM`: without CAP_SYS_ADMIN in the owner of the mount namespace, or a locked flag
/// would be taken away (user_namespaces(7)). `EINVAL`, `EBUSY`, `ENOENT`, `ENOTDIR`.
pub fn mount(
    source: Option<&Path>,
    target: &Path,
    fstype: Option<&str>,
    mountflags: MsFlags,
    data: Option<&str>,
) -> Result {
    call("mount", &[&source, &By(|| and_where_it_leads(target)), &fstype, &mountflags, &data], || {
        nix::mount::mount(source, target, fstype, mountflags, data)
    })
}

/// `"/proc/self/fd/7" </merged/proc>`: the path that was passed and where it leads.
fn and_where_it_leads(target: &Path) -> String {
    match std::fs::read_link(target) {
        Ok(to) if target.starts_with("/proc/self/fd") => format!("{} <{}>", target.shown(), to.display()),
        _ => target.shown(),
    }
}

/// Takes a mount away. Source: umount(2).
///
/// # Errors
/// `EBUSY` while used (not with MNT_DETACH), `EINVAL` for no mount, or one locked by a user namespace.
pub fn umount2(target: &Path, how: MntFlags) -> Result {
    call("umount2", &[&target, &how], || nix::mount::umount2(target, how))
}

/// Makes `new_root` the root mount and puts the old one at `put_old`. Source: pivot_root(2).
///
/// # Errors
/// `EINVAL`: `new_root` is no mount, or one of the mounts is shared. `EBUSY`: one of them is
/// the current root. `EPERM` without CAP_SYS_ADMIN.
pub fn pivot_root(new_root: &Path, put_old: &Path) -> Result {
    call("pivot_root", &[&new_root, &put_old], || nix::unistd::pivot_root(new_root, put_old))
}

/// Attaches the detached mount `from` at the place that `to` is open on. Linux 5.2. Source: move_mount(2).
///
/// # Errors
/// `EPERM`, `EINVAL`, `ENOTDIR` (a directory on a file or the reverse), `ENOSYS`.
pub fn move_mount(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result {
    let how = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    call("move_mount", &[&from, &"", &to, &"", &how], || {
        rustix::mount::move_mount(from.as_fd(), "", to.as_fd(), "", how)
    })
}

/// Opens an empty set of options for a file system of type `fstype`. Linux 5.2. Source: fsopen(2).
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN, `ENODEV`: no such file system, `ENOSYS` on older kernels.
pub fn fsopen(fstype: &str) -> Result<OwnedFd> {
    let how = FsOpenFlags::FSOPEN_CLOEXEC;
    call("fsopen", &[&fstype, &how], || rustix::mount::fsopen(fstype, how))
}

/// Adds one option, `key=value` or (without a value) `key`, to what [`fsopen`] opened.
/// A value has at most 255 bytes and needs no escapes. Source: fsconfig(2).
///
/// # Errors
/// `EINVAL`: the file system doesn't know the key, or not this value; or the value is too long.
pub fn fsconfig_set(fs: BorrowedFd<'_>, key: &str, value: Option<&Path>) -> Result {
    let command = if value.is_some() { "FSCONFIG_SET_STRING" } else { "FSCONFIG_SET_FLAG" };
    call("fsconfig", &[&fs, &Plain(command), &key, &value, &0], || match value {
        Some(value) => rustix::mount::fsconfig_set_string(fs, key, value),
        None => rustix::mount::fsconfig_set_flag(fs, key),
    })
}

/// Makes the file system from the options that were set. Source: fsconfig(2), FSCONFIG_CMD_CREATE.
///
/// # Errors
/// What the file system answers, as from mount(2).
pub fn fsconfig_create(fs: BorrowedFd<'_>) -> Result {
    let command = Plain("FSCONFIG_CMD_CREATE, NULL, NULL, 0");
    call("fsconfig", &[&fs, &command], || rustix::mount::fsconfig_create(fs))
}

/// A descriptor on a mount of the file system that was made, attached nowhere yet: [`move_mount`]
/// attaches it, and closing it without that leaves no trace. Source: fsmount(2).
///
/// # Errors
/// `EPERM`, `EBUSY` (no [`fsconfig_create`] before).
pub fn fsmount(fs: BorrowedFd<'_>) -> Result<OwnedFd> {
    let how = FsMountFlags::FSMOUNT_CLOEXEC;
    call("fsmount", &[&fs, &how, &0], || rustix::mount::fsmount(fs, how, MountAttrFlags::empty()))
}

/// Sets flags of a mount, and of all that is mounted below it; its other flags stay. Linux 5.12.
/// Source: mount_setattr(2), AT_RECURSIVE.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN, `EINVAL`: `tree` is open on no mount's root, `ENOSYS`.
pub fn mount_setattr(tree: BorrowedFd<'_>, set: MountAttrFlags) -> Result {
    // struct mount_attr: attr_set, attr_clr, propagation, userns_fd.
    let attr = [u64::from(set.bits()), 0, 0, 0];
    let shown = By(|| format!("AT_EMPTY_PATH|AT_RECURSIVE, {{attr_set={}}}, 32", set.shown()));
    call("mount_setattr", &[&tree, &"", &shown], || {
        let (fd, none, how) = (tree.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH | libc::AT_RECURSIVE);
        // SAFETY: `none` and `attr` (32 bytes) outlive the call, which only reads them (mount_setattr(2)).
        let rc = unsafe { libc::syscall(libc::SYS_mount_setattr, fd, none, how, &raw const attr, 32_usize) };
        Errno::result(rc).map(drop)
    })
}

/// A copy, attached nowhere yet, of what is mounted at `source` and below. It has the propagation of
/// its original: a copy of a shared mount is its peer. [`move_mount`] attaches it. Linux 5.2.
/// Source: open_tree(2), OPEN_TREE_CLONE.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN, `ENOENT`, `ENOSYS`.
pub fn open_tree(source: &Path) -> Result<OwnedFd> {
    let how = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    call("open_tree", &[&Plain("AT_FDCWD"), &source, &how], || rustix::mount::open_tree(CWD, source, how))
}
