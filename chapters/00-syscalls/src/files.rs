//! Files as doors: device nodes, the files of /proc and of cgroups, the root directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};

use crate::call::{call, fd, flags, quoted};
use crate::{Errno, SysError};

fn q(path: &Path) -> String {
    quoted(path.as_os_str().as_bytes())
}

/// Changes the directory at which absolute paths of this process begin. Source: chroot(2).
///
/// # Errors
/// `EPERM` without CAP_SYS_CHROOT, `ENOENT`, `ENOTDIR`, `EACCES`.
pub fn chroot(path: &Path) -> Result<(), SysError> {
    call("chroot", || q(path), || nix::unistd::chroot(path))
}

/// Changes the working directory. Source: chdir(2).
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP`.
pub fn chdir(path: &Path) -> Result<(), SysError> {
    call("chdir", || q(path), || nix::unistd::chdir(path))
}

/// Changes the working directory to an open one. Source: chdir(2).
///
/// # Errors
/// `ENOTDIR`, `EACCES`.
pub fn fchdir(dir: BorrowedFd<'_>) -> Result<(), SysError> {
    call("fchdir", || fd(dir), || nix::unistd::fchdir(dir))
}

/// Opens `path` as if `root` were `/`: symbolic links and `..` stay inside. An empty path is `root`.
///
/// Before Linux 5.6 there is no such call; there ENOSYS is returned.
/// Source: openat2(2), RESOLVE_IN_ROOT.
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `ELOOP`, `EACCES`, `EAGAIN` (somebody renames below `root`: try again),
/// `EXDEV` (a magic link of /proc), `ENOSYS`.
pub fn open_in_root(root: BorrowedFd<'_>, path: &Path, how: OFlags, mode: Mode) -> Result<OwnedFd, SysError> {
    let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
    let shown = || {
        format!(
            "{}, {}, {{flags={}, mode={:#o}, resolve=RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS}}",
            fd(root),
            q(path),
            flags(&how),
            mode.bits()
        )
    };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    call("openat2", shown, || rustix::fs::openat2(root, path, how | OFlags::CLOEXEC, mode, resolve))
}

/// Makes a device node (or a fifo, socket, empty file). Source: mknod(2).
///
/// # Errors
/// `EPERM`: devices need CAP_MKNOD in the first user namespace. `EEXIST`, `ENOENT`.
pub fn mknodat(
    dir: BorrowedFd<'_>,
    path: &Path,
    kind: FileType,
    mode: Mode,
    device: (u32, u32),
) -> Result<(), SysError> {
    let (major, minor) = device;
    let shown =
        || format!("{}, {}, {kind:?}|{:#o}, makedev({major}, {minor})", fd(dir), q(path), mode.bits());
    let dev = rustix::fs::makedev(major, minor);
    call("mknodat", shown, || rustix::fs::mknodat(dir, path, kind, mode, dev))
}

/// Changes the owner of a file, not following a symbolic link. Source: fchownat(2).
///
/// # Errors
/// `EPERM`, `EINVAL` (an id without a place in the id map).
pub fn chown_at(dir: BorrowedFd<'_>, path: &Path, uid: u32, gid: u32) -> Result<(), SysError> {
    let shown = || format!("{}, {}, {uid}, {gid}, AT_SYMLINK_NOFOLLOW|AT_EMPTY_PATH", fd(dir), q(path));
    let (owner, group) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    let how = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    call("fchownat", shown, || rustix::fs::chownat(dir, path, Some(owner), Some(group), how))
}

/// Makes one directory: on a cgroup file system that is a new cgroup. Source: mkdir(2), cgroups(7).
///
/// # Errors
/// `EEXIST`, `ENOENT`, `EACCES`, `EROFS`, `EAGAIN` (cgroup.max.descendants).
pub fn mkdir(path: &Path, mode: u32) -> Result<(), SysError> {
    call("mkdir", || format!("{}, {mode:#o}", q(path)), || rustix::fs::mkdir(path, Mode::from_raw_mode(mode)))
}

/// Removes one empty directory: on a cgroup file system, the cgroup. Source: rmdir(2), cgroups(7).
///
/// # Errors
/// `EBUSY`: processes or children are in the cgroup. `ENOENT`, `ENOTEMPTY`.
pub fn rmdir(path: &Path) -> Result<(), SysError> {
    call("rmdir", || q(path), || rustix::fs::rmdir(path))
}

/// Writes `value` in one write(2) to an existing file of /proc, of a cgroup or of a sysctl.
///
/// # Errors
/// Those of open(2) and write(2); what they mean depends on the file.
pub fn write_file(path: &Path, value: &str) -> Result<(), SysError> {
    let shown = || format!("{}, {}, {}", q(path), quoted(value.as_bytes()), value.len());
    call("write", shown, || {
        let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        all_at_once(file.as_fd(), value)
    })
}

/// As [`write_file`], for a path below an open directory.
///
/// # Errors
/// As [`write_file`].
pub fn write_at(dir: BorrowedFd<'_>, path: &Path, value: &str) -> Result<(), SysError> {
    let shown = || format!("{}/{}, {}, {}", fd(dir), path.display(), quoted(value.as_bytes()), value.len());
    call("write", shown, || {
        let file = rustix::fs::openat(dir, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        all_at_once(file.as_fd(), value)
    })
}

/// As [`write_file`], for a file that is open already (by somebody whose credentials count).
///
/// # Errors
/// As [`write_file`].
pub fn write_fd(file: BorrowedFd<'_>, value: &str) -> Result<(), SysError> {
    let shown = || format!("{}, {}, {}", fd(file), quoted(value.as_bytes()), value.len());
    call("write", shown, || all_at_once(file, value))
}

/// The kernel parses these files per write(2): half a value would be another value.
fn all_at_once(file: BorrowedFd<'_>, value: &str) -> Result<(), rustix::io::Errno> {
    match rustix::io::write(file, value.as_bytes()) {
        Ok(n) if n == value.len() => Ok(()),
        Ok(_) => Err(rustix::io::Errno::from_raw_os_error(Errno::EIO as i32)),
        Err(e) => Err(e),
    }
}
