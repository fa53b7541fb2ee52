//! Locks that end with their holder: open file description locks (fcntl(2), F_OFD_SETLK).
//!
//! Such a lock belongs to the open file, not to a process: it passes through exec to the
//! supervisor, and the kernel drops it when the last descriptor is closed, also after SIGKILL.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::StoreError;

/// A lock that is held.
#[derive(Debug)]
pub struct Lock {
    file: OwnedFd,
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn open(path: &Path) -> Result<OwnedFd, StoreError> {
    let mut file = File::options();
    file.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = file.custom_flags(libc::O_NOFOLLOW).open(path);
    file.map(OwnedFd::from).map_err(StoreError::io(
        "openat",
        path,
        "O_RDWR|O_CREAT|O_NOFOLLOW|O_CLOEXEC, 0600",
    ))
}

impl Lock {
    /// Waits for the lock, alone.
    ///
    /// # Errors
    /// The file can't be opened or made.
    pub fn exclusive(path: &Path) -> Result<Self, StoreError> {
        Self::wait(path, libc::F_WRLCK)
    }

    /// Waits for the lock, together with others who share it.
    ///
    /// # Errors
    /// As [`Lock::exclusive`].
    pub fn shared(path: &Path) -> Result<Self, StoreError> {
        Self::wait(path, libc::F_RDLCK)
    }

    fn wait(path: &Path, kind: libc::c_int) -> Result<Self, StoreError> {
        let file = open(path)?;
        loop {
            match fcntl(&file, FcntlArg::F_OFD_SETLKW(&whole_file(kind))) {
                Ok(_) => return Ok(Self { file }),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(StoreError::io("fcntl", path, "F_OFD_SETLKW")(e.into())),
            }
        }
    }

    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// As [`Lock::exclusive`].
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>, StoreError> {
        let file = open(path)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
            Ok(_) => Ok(Some(Self { file })),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(e) => Err(StoreError::io("fcntl", path, "F_OFD_SETLK")(e.into())),
        }
    }

    /// A lock that our parent took and whose descriptor it passed to us.
    #[must_use]
    pub fn passed(file: OwnedFd) -> Self {
        Self { file }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether somebody holds the lock. Asks with F_OFD_GETLK, which takes nothing: a probe that took
/// the lock for a moment would look alive to the next prober. False when the file is missing.
///
/// # Errors
/// The file is there and can't be opened.
pub fn is_locked(path: &Path) -> Result<bool, StoreError> {
    let file = match File::options().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        Err(e) => return Err(StoreError::io("openat", path, "O_RDWR|O_NOFOLLOW|O_CLOEXEC")(e)),
    };
    let mut found = whole_file(libc::F_WRLCK);
    let asked = fcntl(&file, FcntlArg::F_OFD_GETLK(&mut found));
    asked.map_err(|e| StoreError::io("fcntl", path, "F_OFD_GETLK")(e.into()))?;
    Ok(found.l_type != libc::F_UNLCK as libc::c_short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_place_of_a_lock_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert_eq!(Lock::exclusive(&path).unwrap_err().errno(), Some(Errno::ELOOP));
        assert_eq!(is_locked(&path).unwrap_err().errno(), Some(Errno::ELOOP));
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn a_held_lock_is_seen_and_ends_with_its_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!is_locked(&path).unwrap(), "a missing file is not locked");
        let held = Lock::exclusive(&path).unwrap();
        assert!(is_locked(&path).unwrap() && is_locked(&path).unwrap(), "a probe takes nothing");
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(held);
        assert!(!is_locked(&path).unwrap());
        let shared = Lock::shared(&path).unwrap();
        let other = Lock::shared(&path).unwrap();
        assert!(Lock::try_exclusive(&path).unwrap().is_none(), "two share it");
        drop((shared, other));
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
    }
}
