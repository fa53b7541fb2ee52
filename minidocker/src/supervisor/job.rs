//! The client as a job of a shell: which signals are the container's, and our own terminal.
//!
//! Who uses the terminal from the background is stopped by the kernel (SIGTTIN, SIGTTOU), and
//! Ctrl-Z stops the foreground (SIGTSTP); the shell's `fg` gives the terminal back and continues the
//! job (SIGCONT). Source: POSIX, "General Terminal Interface", 11.1.4.

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use rustix::termios::{OptionalActions, Termios};

use super::SupervisorError;

/// The signals that are passed on, as Docker does: all but those that can't be caught, that stop us,
/// that tell of our own children, pipes and sockets, and that mean a fault of our own.
pub(super) fn passed_on() -> SigSet {
    let mut set = SigSet::all();
    let kept = [
        Signal::SIGKILL,
        Signal::SIGSTOP,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGCHLD,
        Signal::SIGPIPE,
        Signal::SIGURG,
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGTRAP,
    ];
    kept.into_iter().for_each(|signal| set.remove(signal));
    set
}

/// Blocks the signals that [`super::carry`] will pass on. To be called before the supervisor is
/// started, so that none is lost between.
///
/// # Errors
/// None in practice.
pub fn hold_signals() -> Result<(), SupervisorError> {
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&passed_on()), None)
        .map_err(|e| SupervisorError::io("block signals")(e.into()))
}

/// Returns when we are in the foreground of the terminal that is our standard input; at once if it
/// is none. A read from the background, of no bytes too, stops us until `fg` (drivers/tty/n_tty.c,
/// `job_control`). Without it poll(2) would wait in the background for keys that the shell gets.
pub(super) fn wait_for_foreground() {
    // EIO: no shell is there to continue us. Then the first read says so too, and is the end.
    let _ = rustix::io::read(rustix::stdio::stdin(), &mut [0u8; 0]);
}

/// Our own terminal in raw mode; as before when this is dropped.
pub(super) struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// To be called in the foreground: what a shell has in the background are modes of its own.
    pub(super) fn enter() -> Option<Self> {
        let before = rustix::termios::tcgetattr(rustix::stdio::stdin()).ok()?;
        let terminal = Self { before };
        terminal.make_raw();
        Some(terminal)
    }

    /// Makes it raw, also after a stop, in which the shell has set its own modes.
    pub(super) fn make_raw(&self) {
        let mut raw = self.before.clone();
        raw.make_raw();
        set_modes(&raw);
    }
}

fn set_modes(modes: &Termios) {
    // Nothing can be done about a terminal that went away.
    let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, modes);
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        set_modes(&self.before);
    }
}
