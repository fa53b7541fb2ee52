//! Files as doors: device nodes, the files of /proc and of cgroups, the root directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use crate::Result;
use crate::call::call;
use crate::shown::{By, Shown};

/// Changes the directory at which absolute paths of this process begin. Source: chroot(2).
///
/// # Errors
/// `EPERM` without CAP_SYS_CHROOT, `ENOENT`, `ENOTDIR`, `EACCES`.
pub fn chroot(path: &Path) -> Result {
    call("chroot", &[&path], || nix::unistd::chroot(path))
}

/// Changes the working directory. Source: chdir(2).
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP`.
pub fn chdir(path: &Path) -> Result {
    call("chdir", &[&path], || nix::unistd::chdir(path))
}

/// Changes the working directory to an open one. Source: chdir(2).
///
/// # Errors
/// `ENOTDIR`, `EACCES`.
pub fn fchdir(dir: BorrowedFd<'_>) -> Result {
    call("fchdir", &[&dir], || nix::unistd::fchdir(dir))
}

/// Opens `path` as if `root` were `/`: symbolic links and `..` stay inside. An empty path is `root`.
///
/// Before Linux 5.6 there is no such call; there ENOSYS is returned.
/// Source: openat2(2), RESOLVE_IN_ROOT.
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `ELOOP`, `EACCES`, `EAGAIN` (somebody renames below `root`: try again),
/// `EXDEV` (a magic link of /proc), `ENOSYS`.
pub fn open_in_root(root: BorrowedFd<'_>, path: &Path, how: OFlags, mode: Mode) -> Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let names = "RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS";
    let shown = By(|| format!("{{flags={}, mode={}, resolve={names}}}", how.shown(), mode.shown()));
    call("openat2", &[&root, &path, &shown], || {
        rustix::fs::openat2(root, path, how | OFlags::CLOEXEC, mode, resolve)
    })
}

/// Makes a device node (or a fifo, socket, empty file). Source: mknod(2).
///
/// # Errors
/// `EPERM`: devices need CAP_MKNOD in the first user namespace. `EEXIST`, `ENOENT`.
pub fn mknodat(dir: BorrowedFd<'_>, path: &Path, kind: FileType, mode: Mode, dev: (u32, u32)) -> Result {
    let shown = By(|| format!("{}|{}, makedev({:#x}, {:#x})", kind.shown(), mode.shown(), dev.0, dev.1));
    let number = rustix::fs::makedev(dev.0, dev.1);
    call("mknodat", &[&dir, &path, &shown], || rustix::fs::mknodat(dir, path, kind, mode, number))
}

/// Makes one directory: on a cgroup file system that is a new cgroup. Source: mkdir(2), cgroups(7).
///
/// # Errors
/// `EEXIST`, `ENOENT`, `EACCES`, `EROFS`, `EAGAIN` (cgroup.max.descendants).
pub fn mkdir(path: &Path, mode: u32) -> Result {
    let mode = Mode::from_raw_mode(mode);
    call("mkdir", &[&path, &mode], || rustix::fs::mkdir(path, mode))
}

/// Removes one empty directory: on a cgroup file system, the cgroup. Source: rmdir(2), cgroups(7).
///
/// # Errors
/// `EBUSY`: processes or children are in the cgroup. `ENOENT`, `ENOTEMPTY`.
pub fn rmdir(path: &Path) -> Result {
    call("rmdir", &[&path], || rustix::fs::rmdir(path))
}

/// Writes `value` in one write(2) to an existing file of /proc, of a cgroup or of a sysctl.
///
/// # Errors
/// Those of open(2) and write(2); what they mean depends on the file.
pub fn write_file(path: &Path, value: &str) -> Result {
    call("write", &[&path, &value, &value.len()], || {
        let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        all_at_once(file.as_fd(), value)
    })
}

/// As [`write_file`], for a file that is open already (by somebody whose credentials count).
///
/// # Errors
/// As [`write_file`].
pub fn write_fd(file: BorrowedFd<'_>, value: &str) -> Result {
    call("write", &[&file, &value, &value.len()], || all_at_once(file, value))
}

/// The kernel parses these files per write(2): half a value would be another value.
fn all_at_once(file: BorrowedFd<'_>, value: &str) -> rustix::io::Result<()> {
    let written = rustix::io::write(file, value.as_bytes())?;
    if written == value.len() { Ok(()) } else { Err(rustix::io::Errno::IO) }
}
