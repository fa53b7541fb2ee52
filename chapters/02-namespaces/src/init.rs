//! Process 1 of a pid namespace, and what it owes to the others.
//!
//! 1. **Reaping.** When a process ends, its children go to process 1 of its pid namespace. Each
//!    keeps its place in the process table until it is waited for. `sh -c` does that for its own
//!    children, most programs for none.
//! 2. **Signals.** For process 1 the kernel leaves every default action out: a signal from inside
//!    without a handler is dropped, SIGKILL and SIGSTOP too, and of those from outside only
//!    SIGKILL and SIGSTOP have their effect. So `docker stop` on a program that doesn't expect to be
//!    process 1 takes ten seconds. Process 1 has to take signals and hand them on.
//!    Source: pid_namespaces(7), "The namespace init process".
//! 3. **Ending.** When process 1 ends, the kernel kills all others with SIGKILL. So it must end
//!    when its main child does, and with that one's status: 128 + n after signal n.
//!
//! A blocked signal isn't dropped but waits, also for process 1: everything here reads signals from a
//! descriptor (signalfd(2)), one after the other, and no handler ever interrupts anything.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use sys::{Errno, ExitStatus, Pid, SysError};

/// Signals that the processor raises at our own instruction: blocked, they would end us without a word.
const OF_OUR_OWN: [Signal; 6] =
    [Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGSEGV, Signal::SIGSYS, Signal::SIGTRAP];

/// Signals that stop us: with Ctrl-Z the terminal's driver stops the whole foreground group, and a
/// member that didn't stop would keep the shell waiting. Process 1 itself is never stopped by them.
const STOPPING: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];

/// Signals of the terminal's driver, which goes through the whole foreground group: who is in it
/// has them already.
const OF_THE_TERMINAL: [Signal; 3] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGWINCH];

/// The signals of this process, blocked and read from a descriptor.
#[derive(Debug)]
pub struct Signals(SignalFd);

/// Why signals can't be read.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A call was refused.
    #[error("{0}")]
    Sys(#[from] SysError),
    /// The descriptor was not made or read.
    #[error("signalfd")]
    Signalfd(#[source] Errno),
}

impl Signals {
    /// Blocks all signals from here on, and in children until they call [`sys::default_signals`].
    /// Called before the clone, no signal is lost between it and [`Signals::stay_as_pid1`].
    ///
    /// # Errors
    /// [`InitError::Signalfd`]: `EMFILE`, `ENFILE`.
    pub fn block() -> Result<Self, InitError> {
        let mut all = SigSet::all();
        OF_OUR_OWN.iter().chain(&STOPPING).for_each(|s| all.remove(*s));
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&all), None).map_err(InitError::Signalfd)?;
        // A child may read it too: signalfd(2) gives each process its own signals.
        let fd = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC).map_err(InitError::Signalfd)?;
        Ok(Self(fd))
    }

    /// Is process 1 from now on, and comes back in a child only, which has default signals.
    ///
    /// Process 1 hands signals on to that child, reaps everybody, and ends with the child's status.
    /// The child is no group or session of its own, so that it keeps the terminal: a signal that it
    /// sends to its group (kill(2), pid 0) comes back to it once more.
    ///
    /// # Errors
    /// See [`InitError`]; in process 1 only. There the caller ends.
    pub fn stay_as_pid1(&self) -> Result<(), InitError> {
        match sys::clone3(&sys::CloneArgs::default())? {
            sys::Cloned::Child => Ok(sys::default_signals()?),
            sys::Cloned::Parent { pid, .. } => sys::exit_now(self.wait_for(pid)?.code().unwrap_or(125)),
        }
    }

    /// Hands signals on to our child `pid` until it ends, and says how. Reaps whoever ends meanwhile.
    ///
    /// # Errors
    /// See [`InitError`].
    pub fn wait_for(&self, pid: Pid) -> Result<ExitStatus, InitError> {
        // Nobody else has the number before we have reaped the child.
        let pidfd = sys::pidfd_open(pid)?;
        loop {
            // Before the first signal too: it may have ended before we looked.
            if let Some(status) = reap(pid)? {
                return Ok(status);
            }
            match self.0.read_signal() {
                Ok(Some(info)) => forward(&info, pidfd.as_fd())?,
                Ok(None) | Err(Errno::EINTR) => {}
                Err(e) => return Err(InitError::Signalfd(e)),
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Reaps all that have ended. Signals of one number don't queue up: one SIGCHLD may stand for many.
fn reap(awaited: Pid) -> Result<Option<ExitStatus>, SysError> {
    let mut ours = None;
    loop {
        match sys::waitpid_nohang(Pid::from_raw(-1)) {
            Ok((Some(pid), status)) if pid == awaited => ours = Some(status),
            Ok((Some(_), _)) => {}
            Ok((None, _)) => return Ok(ours),
            // Nobody is left, and the awaited one was among those.
            Err(e) if e.errno() == Errno::ECHILD && ours.is_some() => return Ok(ours),
            Err(e) => return Err(e),
        }
    }
}

fn forward(info: &siginfo, pidfd: BorrowedFd<'_>) -> Result<(), SysError> {
    // From linux/signalfd.h: the number, real-time ones too, which have no name.
    let number = info.ssi_signo as i32;
    let signal = Signal::try_from(number).ok();
    // asm-generic/siginfo.h, SI_KERNEL: not from kill(2).
    const SI_KERNEL: i32 = 0x80;
    let by_terminal = info.ssi_code == SI_KERNEL && signal.is_some_and(|s| OF_THE_TERMINAL.contains(&s));
    if signal == Some(Signal::SIGCHLD) || by_terminal {
        return Ok(());
    }
    match sys::pidfd_send_signal(pidfd, number) {
        // It has ended since; the next look reaps it.
        Err(e) if e.errno() == Errno::ESRCH => Ok(()),
        sent => sent,
    }
}
