//! A root directory held open, and paths that can't leave it.
//!
//! An image is somebody else's tree: its `/dev` may be a symbolic link to `/etc`, or to
//! `../../..`. Whoever joins strings (`rootfs + "/dev"`) and opens the result follows that
//! link on the host. So every path inside a root goes through [`Root`], which lets the kernel
//! resolve it as if the root were `/`: openat2(2) with RESOLVE_IN_ROOT.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use sys::{Errno, SysError};

use crate::walk::{Missing, walk};

/// A root directory, held by a descriptor that was opened with O_PATH: it stays the same
/// directory when somebody renames it or puts a link in its place.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
}

/// Why a file inside a root could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A call failed.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// A directory, a device, a fifo or a socket.
    #[error("{path}: not a regular file")]
    NotAFile {
        /// The path inside the root.
        path: PathBuf,
    },
    /// More than we take from an image.
    #[error("{path}: larger than {limit_bytes} bytes")]
    TooLarge {
        /// The path inside the root.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
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
        let shown = || format!("AT_FDCWD, {path:?}, O_PATH|O_DIRECTORY|O_CLOEXEC");
        rustix::fs::openat(CWD, path, how, Mode::empty())
            .map(|dir| Self { dir })
            .map_err(|e| failed("openat", shown(), e))
    }

    /// Opens what `path` names inside the root. Close-on-exec is always set.
    ///
    /// # Errors
    /// As [`sys::open_in_root`], but never `ENOSYS` or `EAGAIN`: then we walk by ourselves.
    pub fn open_in(&self, path: &Path, how: OFlags) -> Result<OwnedFd, SysError> {
        for _ in 0..AGAIN {
            match sys::open_in_root(self.dir.as_fd(), path, how, Mode::empty()) {
                Err(e) if e.errno() == Errno::EAGAIN => {}
                Err(e) if e.errno() == Errno::ENOSYS => break,
                other => return other,
            }
        }
        let found = walk(self.dir.as_fd(), path, Missing::Fail, !how.contains(OFlags::NOFOLLOW))?;
        reopen(found, path, how)
    }

    /// Opens the directory `path` (O_PATH) and makes what is missing of it, with `mode` (and umask).
    /// Links are followed inside the root, also those that lead to something missing.
    ///
    /// # Errors
    /// `ENOTDIR`: something else is in the way. `EROFS`, `EACCES`, `ELOOP`.
    pub fn make_dir_all(&self, path: &Path, mode: u32) -> Result<OwnedFd, SysError> {
        match self.open_in(path, OFlags::PATH | OFlags::DIRECTORY) {
            Err(e) if e.errno() == Errno::ENOENT => {
                walk(self.dir.as_fd(), path, Missing::Dir(Mode::from_raw_mode(mode)), true)
            }
            other => other,
        }
    }

    /// Opens `path` (O_PATH), and makes an empty file of mode 0644 there, and its parents,
    /// where nothing is: a bind mount needs something to lie on.
    ///
    /// # Errors
    /// As [`Root::make_dir_all`].
    pub fn make_file(&self, path: &Path) -> Result<OwnedFd, SysError> {
        match self.open_in(path, OFlags::PATH) {
            Err(e) if e.errno() == Errno::ENOENT => walk(self.dir.as_fd(), path, Missing::File, true),
            other => other,
        }
    }

    /// Reads a regular file of at most [`READ_LIMIT_BYTES`]; `None` if there is none. A byte that
    /// isn't UTF-8 is replaced. It is never opened before it is known to be a regular file:
    /// opening a fifo would wait, and opening a device may do anything.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self, path: &Path) -> Result<Option<String>, ReadError> {
        let found = match self.open_in(path, OFlags::PATH) {
            Err(e) if matches!(e.errno(), Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            other => other?,
        };
        if kind(found.as_fd())? != FileType::RegularFile {
            return Err(ReadError::NotAFile { path: path.to_owned() });
        }
        let file = std::fs::File::from(reopen(found, path, OFlags::RDONLY)?);
        let mut bytes = Vec::new();
        file.take(READ_LIMIT_BYTES + 1).read_to_end(&mut bytes).map_err(|e| {
            let errno = e.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            SysError::new("read", format!("{path:?}"), errno)
        })?;
        if bytes.len() as u64 > READ_LIMIT_BYTES {
            return Err(ReadError::TooLarge { path: path.to_owned(), limit_bytes: READ_LIMIT_BYTES });
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// What kind of file a descriptor is open on. Source: fstat(2).
pub(crate) fn kind(file: BorrowedFd<'_>) -> Result<FileType, SysError> {
    rustix::fs::fstat(file)
        .map(|stat| FileType::from_raw_mode(stat.st_mode))
        .map_err(|e| failed("fstat", file.as_raw_fd().to_string(), e))
}

/// `/proc/self/fd/N`: a path that leads to what the descriptor is open on, and nowhere else.
/// mount(2) takes no descriptors, so this is how a target is passed that nobody can exchange.
pub(crate) fn fd_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Opens once more, with other flags, what an O_PATH descriptor points to.
fn reopen(found: OwnedFd, path: &Path, how: OFlags) -> Result<OwnedFd, SysError> {
    if how.contains(OFlags::PATH) {
        let is_dir = kind(found.as_fd())? == FileType::Directory;
        if how.contains(OFlags::DIRECTORY) && !is_dir {
            return Err(SysError::new("openat", format!("{path:?}, O_PATH|O_DIRECTORY"), Errno::ENOTDIR));
        }
        return Ok(found);
    }
    if kind(found.as_fd())? == FileType::Symlink {
        return Err(SysError::new("openat", format!("{path:?}, O_NOFOLLOW"), Errno::ELOOP));
    }
    let how = (how - OFlags::NOFOLLOW) | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, fd_path(found.as_fd()), how, Mode::empty())
        .map_err(|e| failed("openat", format!("{path:?}"), e))
}

pub(crate) fn failed(call: &'static str, args: String, e: rustix::io::Errno) -> SysError {
    SysError::new(call, args, Errno::from_raw(e.raw_os_error()))
}

/// A name with quotes, as strace shows it.
pub(crate) fn shown(name: &OsStr) -> String {
    format!("\"{}\"", name.as_bytes().escape_ascii())
}
