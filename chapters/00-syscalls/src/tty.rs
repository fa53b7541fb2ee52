//! Terminals: a pair of ends (pty(7)), and which session owns it.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use crate::call::{call, fd};
use crate::{Errno, SysError};

/// Opens a new terminal in the devpts at /dev/pts of our root: the master's end, and the path
/// of the other one. Source: pts(4), posix_openpt(3).
///
/// # Errors
/// `ENOENT`: no devpts is mounted. `ENOSPC`: kernel.pty.max is reached.
pub fn open_ptmx() -> Result<(OwnedFd, PathBuf), SysError> {
    let how = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = call(
        "openat",
        || "AT_FDCWD, \"/dev/ptmx\", O_RDWR|O_NOCTTY|O_CLOEXEC".to_owned(),
        || {
            let master = rustix::fs::open("/dev/ptmx", how, Mode::empty())?;
            rustix::pty::unlockpt(&master)?;
            Ok::<_, rustix::io::Errno>(master)
        },
    )?;
    let name = rustix::pty::ptsname(&master, Vec::new()).map_err(|e| {
        SysError::new(
            "ioctl",
            format!("{}, TIOCGPTN", fd(master.as_raw_fd())),
            Errno::from_raw(e.raw_os_error()),
        )
    })?;
    Ok((master, PathBuf::from(name.to_string_lossy().into_owned())))
}

/// Makes `terminal` the controlling terminal of the session that we lead. Source: ioctl_tty(2), TIOCSCTTY.
///
/// # Errors
/// `EPERM`: we lead no session, or the terminal belongs to another one.
pub fn controlling_terminal(terminal: BorrowedFd<'_>) -> Result<(), SysError> {
    call(
        "ioctl",
        || format!("{}, TIOCSCTTY, 0", fd(terminal)),
        || {
            // SAFETY: TIOCSCTTY takes an integer.
            Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) }).map(drop)
        },
    )
}
