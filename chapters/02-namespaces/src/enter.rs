//! setns(2): going into namespaces that are there already, in the order that works.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use sys::{Errno, Pid, SysError};

use crate::Kind;

/// Why some namespaces were not entered. Those before it in [`Kind::ALL`] may have been.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// setns(2) refused: `EPERM`, `EINVAL` (a user namespace with threads, a mount namespace while
    /// the working directory is shared with another task), `EUSERS` (time, with threads).
    #[error(transparent)]
    Sys(#[from] SysError),
    /// The process is gone (`ENOENT`), or somebody else's (`EACCES`).
    #[error("open {path}", path = .0.display())]
    Open(PathBuf, #[source] io::Error),
}

impl EnterError {
    /// The errno of the call that was refused.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::Sys(e) => e.errno(),
            Self::Open(_, e) => e.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
        }
    }
}

/// Open doors to namespaces of one process. They stay open when it ends, and keep the
/// namespaces alive (of a pid namespace whose process 1 has ended, only a husk: fork gives ENOMEM).
#[derive(Debug)]
pub struct Target {
    doors: Vec<(Kind, File)>,
}

impl Target {
    /// Opens those of `kinds` in which `pid` is and we are not. All are opened before one is
    /// entered: in another mount namespace, /proc is another one or none.
    ///
    /// Namespaces that we share are left out, because going in again takes privilege over them
    /// (which a user namespace entered first takes away), and for the user namespace is EINVAL.
    ///
    /// # Errors
    /// [`EnterError::Open`].
    pub fn of(pid: Pid, kinds: &[Kind]) -> Result<Self, EnterError> {
        let mut doors = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|k| kinds.contains(k) && k.is_known()) {
            let open = |e| EnterError::Open(kind.path(pid), e);
            // A pid namespace is ours when our children are born in it (its file can't be read
            // between unshare(2) and the first child).
            let own = if kind == Kind::Pid { kind.file_for_children() } else { kind.file() };
            let own = std::fs::metadata(format!("/proc/self/ns/{own}")).ok();
            let file = File::open(kind.path(pid)).map_err(open)?;
            let theirs = file.metadata().map_err(open)?;
            if own.is_none_or(|own| inode(&own) != inode(&theirs)) {
                doors.push((kind, file));
            }
        }
        Ok(Self { doors })
    }

    /// The kinds that [`Target::enter`] will change, in its order.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        self.doors.iter().map(|(kind, _)| *kind).collect()
    }

    /// Goes in. A pid namespace is entered by the next child, not by us; the mount namespace brings
    /// its own root and working directory.
    ///
    /// # Errors
    /// [`EnterError::Sys`].
    pub fn enter(&self) -> Result<(), EnterError> {
        self.doors.iter().try_for_each(|(kind, door)| Ok(sys::setns(door.as_fd(), kind.flag())?))
    }
}

fn inode(file: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

/// Goes into those namespaces of `pid` that aren't ours already, in one call, all or none,
/// through the pidfd of `pid`; before Linux 5.8 one after the other.
///
/// # Errors
/// See [`EnterError`]. Source: setns(2), "fd is a PID file descriptor".
pub fn enter(pid: Pid, pidfd: BorrowedFd<'_>, kinds: &[Kind]) -> Result<(), EnterError> {
    let target = Target::of(pid, kinds)?;
    let flags = Kind::flags(&target.kinds());
    if flags.is_empty() {
        return Ok(());
    }
    // The pid may have been given to another process since: only the pidfd knows.
    sys::pidfd_send_signal(pidfd, 0)?;
    match sys::setns(pidfd, flags) {
        Err(e) if e.errno() == Errno::EINVAL => target.enter(),
        other => Ok(other?),
    }
}

/// Leaves `kinds` for new ones. Pid and time become new for the next child only.
///
/// # Errors
/// Those of [`sys::unshare`].
pub fn unshare(kinds: &[Kind]) -> Result<(), SysError> {
    sys::unshare(Kind::flags(kinds))
}
