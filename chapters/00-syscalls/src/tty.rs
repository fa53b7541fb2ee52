//! Terminals: a pair of ends (pty(7)), and which session owns it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use crate::call::{call, errno};
use crate::shown::{Plain, Shown};
use crate::{Result, SysError};

/// Opens a new terminal in the devpts at /dev/pts of our root: the master's end, and the path
/// of the other one. Source: pts(4), posix_openpt(3).
///
/// # Errors
/// `ENOENT`: no devpts is mounted. `ENOSPC`: kernel.pty.max is reached.
pub fn open_ptmx() -> Result<(OwnedFd, PathBuf)> {
    let how = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let shown = Plain("AT_FDCWD, \"/dev/ptmx\", O_RDWR|O_NOCTTY|O_CLOEXEC");
    let master = call("openat", &[&shown], || {
        let master = rustix::fs::open("/dev/ptmx", how, Mode::empty())?;
        rustix::pty::unlockpt(&master)?;
        Ok::<_, rustix::io::Errno>(master)
    })?;
    let failed = |e| SysError::new("ioctl", format!("{}, TIOCGPTN", master.as_fd().shown()), errno(e));
    let name = rustix::pty::ptsname(&master, Vec::new()).map_err(failed)?;
    Ok((master, name.to_string_lossy().into_owned().into()))
}

/// Makes `terminal` the controlling terminal of the session that we lead. Source: ioctl_tty(2), TIOCSCTTY.
///
/// # Errors
/// `EPERM`: we lead no session, or the terminal belongs to another one.
pub fn controlling_terminal(terminal: BorrowedFd<'_>) -> Result {
    call("ioctl", &[&terminal, &Plain("TIOCSCTTY, 0")], || rustix::process::ioctl_tiocsctty(terminal))
}
