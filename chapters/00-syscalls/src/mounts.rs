//! The mount table: what is seen where.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use crate::call::{call, fd, flags, quoted, quoted_or_null};
use crate::{Errno, MntFlags, MsFlags, SysError};

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
) -> Result<(), SysError> {
    let shown = || {
        format!(
            "{}, {}, {}, {}, {}",
            quoted_or_null(source.map(|s| s.as_os_str().as_bytes())),
            quoted_with_fd(target),
            quoted_or_null(fstype.map(str::as_bytes)),
            flags(&mountflags),
            quoted_or_null(data.map(str::as_bytes)),
        )
    };
    call("mount", shown, || nix::mount::mount(source, target, fstype, mountflags, data))
}

/// `"/proc/self/fd/7" </merged/proc>`: the path that was passed and where it leads.
fn quoted_with_fd(target: &Path) -> String {
    let text = quoted(target.as_os_str().as_bytes());
    match target.strip_prefix("/proc/self/fd").is_ok().then(|| std::fs::read_link(target)) {
        Some(Ok(to)) => format!("{text} <{}>", to.display()),
        _ => text,
    }
}

/// Takes a mount away. Source: umount(2).
///
/// # Errors
/// `EBUSY` while used (not with MNT_DETACH), `EINVAL` for no mount, or one locked by a user namespace.
pub fn umount2(target: &Path, how: MntFlags) -> Result<(), SysError> {
    let shown = || format!("{}, {}", quoted(target.as_os_str().as_bytes()), flags(&how));
    call("umount2", shown, || nix::mount::umount2(target, how))
}

/// Makes `new_root` the root mount and puts the old one at `put_old`. Source: pivot_root(2).
///
/// # Errors
/// `EINVAL`: `new_root` is no mount, or one of the mounts is shared. `EBUSY`: one of them is
/// the current root. `EPERM` without CAP_SYS_ADMIN.
pub fn pivot_root(new_root: &Path, put_old: &Path) -> Result<(), SysError> {
    let shown =
        || format!("{}, {}", quoted(new_root.as_os_str().as_bytes()), quoted(put_old.as_os_str().as_bytes()));
    call("pivot_root", shown, || {
        let new_root = CString::new(new_root.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
        let put_old = CString::new(put_old.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
        // SAFETY: both CStrings outlive the call, and pivot_root(2) only reads them.
        let rc = unsafe { libc::syscall(libc::SYS_pivot_root, new_root.as_ptr(), put_old.as_ptr()) };
        Errno::result(rc).map(drop)
    })
}

/// A descriptor on a copy of the mount (with what is mounted below, if `recursive`) at `path`,
/// attached nowhere yet. Linux 5.2. Source: open_tree(2).
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN, `ENOSYS` on older kernels, `ENOENT`.
pub fn open_tree(dir: BorrowedFd<'_>, path: &Path, recursive: bool) -> Result<OwnedFd, SysError> {
    let mut how =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    how.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    let shown = || format!("{}, {}, {}", fd(dir), quoted(path.as_os_str().as_bytes()), flags(&how));
    call("open_tree", shown, || rustix::mount::open_tree(dir, path, how))
}

/// Attaches the detached mount `from` at the place that `to` is open on. Linux 5.2. Source: move_mount(2).
///
/// # Errors
/// `EPERM`, `EINVAL`, `ENOTDIR` (a directory on a file or the reverse), `ENOSYS`.
pub fn move_mount(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), SysError> {
    let how = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    let shown = || format!("{}, \"\", {}, \"\", {}", fd(from), fd(to), flags(&how));
    call("move_mount", shown, || rustix::mount::move_mount(from.as_fd(), "", to.as_fd(), "", how))
}

/// Opens an empty set of options for a file system of type `fstype`. Linux 5.2. Source: fsopen(2).
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN, `ENODEV`: no such file system, `ENOSYS` on older kernels.
pub fn fsopen(fstype: &str) -> Result<OwnedFd, SysError> {
    let shown = || format!("{}, FSOPEN_CLOEXEC", quoted(fstype.as_bytes()));
    call("fsopen", shown, || rustix::mount::fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC))
}

/// Adds one option, `key=value` or (without a value) `key`, to what [`fsopen`] opened.
/// A value has at most 255 bytes and needs no escapes. Source: fsconfig(2).
///
/// # Errors
/// `EINVAL`: the file system doesn't know the key, or not this value; or the value is too long.
pub fn fsconfig_set(fs: BorrowedFd<'_>, key: &str, value: Option<&Path>) -> Result<(), SysError> {
    let (command, text) = match value {
        Some(value) => ("FSCONFIG_SET_STRING", quoted(value.as_os_str().as_bytes())),
        None => ("FSCONFIG_SET_FLAG", "NULL".to_owned()),
    };
    let shown = || format!("{}, {command}, {}, {text}, 0", fd(fs), quoted(key.as_bytes()));
    call("fsconfig", shown, || match value {
        Some(value) => rustix::mount::fsconfig_set_string(fs, key, value),
        None => rustix::mount::fsconfig_set_flag(fs, key),
    })
}

/// Makes the file system from the options that were set. Source: fsconfig(2), FSCONFIG_CMD_CREATE.
///
/// # Errors
/// What the file system answers, as from mount(2).
pub fn fsconfig_create(fs: BorrowedFd<'_>) -> Result<(), SysError> {
    let shown = || format!("{}, FSCONFIG_CMD_CREATE, NULL, NULL, 0", fd(fs));
    call("fsconfig", shown, || rustix::mount::fsconfig_create(fs))
}

/// A descriptor on a mount of the file system that was made, attached nowhere yet: [`move_mount`]
/// attaches it, and closing it without that leaves no trace. Source: fsmount(2).
///
/// # Errors
/// `EPERM`, `EBUSY` (no [`fsconfig_create`] before).
pub fn fsmount(fs: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
    let shown = || format!("{}, FSMOUNT_CLOEXEC, 0", fd(fs));
    call("fsmount", shown, || {
        rustix::mount::fsmount(fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    })
}
