//! A root directory held open, and paths that can't leave it.
//!
//! An image is somebody else's tree: its `/dev` may be a symbolic link to `/etc`, or to
//! `../../..`. Whoever joins strings (`rootfs + "/dev"`) and opens the result follows that
//! link on the host. So every path inside a root goes through [`Root`], which lets the kernel
//! resolve it as if the root were `/`: openat2(2) with RESOLVE_IN_ROOT.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use sys::{Errno, SysError};

use crate::walk::{Found, Missing, walk};

/// A root directory, held by a descriptor that was opened with O_PATH: it stays the same
/// directory when somebody renames it or puts a link in its place.
#[derive(Debug)]
pub struct Root {
    pub(crate) dir: OwnedFd,
}

/// The most that [`Root::read`] takes: it is meant for /etc/passwd and /etc/group.
pub const READ_LIMIT_BYTES: u64 = 4 << 20;

/// openat2(2) answers EAGAIN while somebody renames directories below the root. After so many
/// answers we walk by ourselves.
const AGAIN: usize = 32;

impl Root {
    /// Opens a directory of the host as a root. Source: open(2), O_PATH.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `EACCES` (a directory above can't be searched).
    pub fn open(path: &Path) -> Result<Self, SysError> {
        let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, path, how, Mode::empty())
            .named("openat", format_args!("AT_FDCWD, {path:?}, O_PATH|O_DIRECTORY|O_CLOEXEC"))?;
        Ok(Self { dir })
    }

    /// Opens what `path` names inside the root. Close-on-exec is always set.
    ///
    /// # Errors
    /// As [`sys::open_in_root`]; after `ENOSYS`, `EAGAIN`, or the `EPERM` of a filter we walk by ourselves.
    pub fn open_in(&self, path: &Path, how: OFlags) -> Result<OwnedFd, SysError> {
        for _ in 0..AGAIN {
            match sys::open_in_root(self.dir.as_fd(), path, how, Mode::empty()) {
                Err(e) if e.errno() == Errno::EAGAIN => {}
                Err(e) if matches!(e.errno(), Errno::ENOSYS | Errno::EPERM) => break,
                other => return other,
            }
        }
        let found = walk(&self.dir, path, Missing::Fail, !how.contains(OFlags::NOFOLLOW))?.fd;
        let wrong = match kind(found.as_fd())? {
            FileType::Symlink if !how.contains(OFlags::PATH) => Errno::ELOOP,
            is if is != FileType::Directory && how.contains(OFlags::DIRECTORY) => Errno::ENOTDIR,
            _ if how.contains(OFlags::PATH) => return Ok(found),
            _ => return reopen(found.as_fd(), path, how),
        };
        Err(SysError::new("openat", format!("{path:?}, {how:?}"), wrong))
    }

    /// Opens the directory `path` (O_PATH) and makes what is missing of it, with `mode` (and umask).
    /// Links are followed inside the root, also those that lead to something missing.
    ///
    /// # Errors
    /// `ENOTDIR`: something else is in the way. `EROFS`, `EACCES`, `ELOOP`.
    pub fn make_dir_all(&self, path: &Path, mode: u32) -> Result<OwnedFd, SysError> {
        self.make(path, OFlags::PATH | OFlags::DIRECTORY, Missing::Dir(Mode::from_raw_mode(mode)))
    }

    /// Opens `path` (O_PATH), and makes an empty file of mode 0644 there, and its parents,
    /// where nothing is: a bind mount needs something to lie on.
    ///
    /// # Errors
    /// As [`Root::make_dir_all`].
    pub fn make_file(&self, path: &Path) -> Result<OwnedFd, SysError> {
        self.make(path, OFlags::PATH, Missing::File)
    }

    fn make(&self, path: &Path, how: OFlags, missing: Missing) -> Result<OwnedFd, SysError> {
        match self.open_in(path, how) {
            Err(e) if e.errno() == Errno::ENOENT => Ok(walk(&self.dir, path, missing, true)?.fd),
            other => other,
        }
    }

    /// Reads a regular file of at most [`READ_LIMIT_BYTES`]; `None` if there is none. A byte that
    /// isn't UTF-8 is replaced.
    ///
    /// # Errors
    /// `EINVAL`: no regular file. `EFBIG`: too large. `EACCES`, `ELOOP`, `EIO`.
    pub fn read(&self, path: &Path) -> Result<Option<String>, SysError> {
        let bytes = self.read_bytes(path, READ_LIMIT_BYTES)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    pub(crate) fn read_bytes(&self, path: &Path, limit_bytes: u64) -> Result<Option<Vec<u8>>, SysError> {
        let Some(file) = self.find_file(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = file.take(limit_bytes + 1).read_to_end(&mut bytes);
        if read.named("read", format_args!("{path:?}"))? as u64 > limit_bytes {
            return Err(SysError::new("read", format!("{path:?}"), Errno::EFBIG));
        }
        Ok(Some(bytes))
    }

    /// Where `path` leads: the same without links.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ELOOP`, `EACCES`.
    pub fn real(&self, path: &Path) -> Result<PathBuf, SysError> {
        Ok(walk(&self.dir, path, Missing::Fail, true)?.real)
    }

    /// As [`Root::open_file`]; nothing where no file is.
    pub(crate) fn find_file(&self, path: &Path) -> Result<Option<File>, SysError> {
        match self.open_file(path) {
            Err(e) if matches!(e.errno(), Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            other => Ok(Some(other?.0)),
        }
    }

    /// Opens a regular file for reading, and says what lies on the way; `EINVAL` for anything else, which is never opened: a fifo
    /// would let us wait, and a device may do anything.
    pub(crate) fn open_file(&self, path: &Path) -> Result<(File, Found), SysError> {
        let found = walk(&self.dir, path, Missing::Fail, true)?;
        if kind(found.fd.as_fd())? != FileType::RegularFile {
            return Err(SysError::new("openat", format!("{path:?}, O_RDONLY"), Errno::EINVAL));
        }
        Ok((File::from(reopen(found.fd.as_fd(), path, OFlags::RDONLY)?), found))
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// What kind of file a descriptor is open on. Source: fstat(2).
pub(crate) fn kind(file: BorrowedFd<'_>) -> Result<FileType, SysError> {
    let stat = rustix::fs::fstat(file).named("fstat", format_args!("{}", file.as_raw_fd()))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// `/proc/self/fd/N`: a path that leads to what the descriptor is open on, and nowhere else.
/// mount(2) takes no descriptors, so this is how a target is passed that nobody can exchange.
pub(crate) fn fd_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Opens once more, with other flags, what an O_PATH descriptor points to.
fn reopen(found: BorrowedFd<'_>, path: &Path, how: OFlags) -> Result<OwnedFd, SysError> {
    let how = (how - OFlags::NOFOLLOW) | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, fd_path(found), how, Mode::empty()).named("openat", format_args!("{path:?}"))
}

/// Gives an errno the name and the arguments of its call.
pub(crate) trait Named<T> {
    fn named(self, call: &'static str, args: std::fmt::Arguments<'_>) -> Result<T, SysError>;
}

impl<T, E: Into<std::io::Error>> Named<T> for Result<T, E> {
    fn named(self, call: &'static str, args: std::fmt::Arguments<'_>) -> Result<T, SysError> {
        self.map_err(|e| SysError::of(call, args.to_string(), e))
    }
}
