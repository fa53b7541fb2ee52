//! Terminals: a pair of ends (pty(7)), and which session owns it.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::Result;
use crate::call::call;
use crate::shown::Plain;

/// Opens a new terminal in the devpts at /dev/pts of our root: the master's end. ptsname(3) tells the
/// path of the other one. Source: pts(4), posix_openpt(3).
///
/// # Errors
/// `ENOENT`: no devpts is mounted. `ENOSPC`: kernel.pty.max is reached.
pub fn open_ptmx() -> Result<OwnedFd> {
    let how = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let shown = Plain("AT_FDCWD, \"/dev/ptmx\", O_RDWR|O_NOCTTY|O_CLOEXEC");
    call("openat", &[&shown], || {
        rustix::fs::open("/dev/ptmx", how, Mode::empty()).and_then(|m| rustix::pty::unlockpt(&m).map(|()| m))
    })
}

/// Makes `terminal` the controlling terminal of the session that we lead. Source: ioctl_tty(2), TIOCSCTTY.
///
/// # Errors
/// `EPERM`: we lead no session, or the terminal belongs to another one.
pub fn controlling_terminal(terminal: BorrowedFd<'_>) -> Result {
    call("ioctl", &[&terminal, &Plain("TIOCSCTTY, 0")], || rustix::process::ioctl_tiocsctty(terminal))
}
