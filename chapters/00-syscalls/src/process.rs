//! Processes: becoming a program, signals, the end.

use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus};

use crate::call::{Shown, call, fd, quoted};
use crate::{Errno, Pid, SysError};

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It called exit with this code.
    Exited(i32),
    /// This signal killed it.
    Signaled(i32),
    /// It has not ended ([`waitpid_nohang`] alone says this).
    Running,
}

impl ExitStatus {
    /// The code as a shell tells it: 128 + n after signal n. None while it runs.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(code),
            Self::Signaled(n) => Some(128 + n),
            Self::Running => None,
        }
    }
}

impl Shown for ExitStatus {
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

/// Becomes the program at `path`. Comes back only with the error. Source: execve(2).
///
/// `ENOENT` is also the answer when the file is there but its interpreter is not.
#[must_use]
pub fn execve(path: &CStr, argv: &[CString], env: &[CString]) -> SysError {
    let shown = || {
        let words: Vec<String> = argv.iter().map(|a| quoted(a.to_bytes())).collect();
        format!("{}, [{}], /* {} vars */", quoted(path.to_bytes()), words.join(", "), env.len())
    };
    // The event must be told before the call: after it there is nobody left to tell it.
    let told = crate::sink_is_set();
    if told {
        crate::event::emit(crate::event::next_seq(), "execve", shown(), "0".to_owned());
    }
    let made = call("execve", shown, || nix::unistd::execve(path, argv, env).map(|_| ()));
    made.err().unwrap_or_else(|| SysError::new("execve", String::new(), Errno::EIO))
}

/// Ends this process at once: no destructors, no buffers. For a child between clone and exec.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes one integer and never returns.
    unsafe { libc::_exit(code) }
}

fn waited(status: WaitStatus) -> ExitStatus {
    match status {
        WaitStatus::Exited(_, code) => ExitStatus::Exited(code),
        WaitStatus::Signaled(_, signal, _) => ExitStatus::Signaled(signal as i32),
        _ => ExitStatus::Running,
    }
}

/// Waits for the end of a child and reaps it.
///
/// # Errors
/// `ECHILD`: no such child.
pub fn waitpid(pid: Pid) -> Result<ExitStatus, SysError> {
    call(
        "waitpid",
        || format!("{pid}, 0"),
        || {
            loop {
                match nix::sys::wait::waitpid(pid, None) {
                    Err(Errno::EINTR) => {}
                    other => return other.map(waited),
                }
            }
        },
    )
}

/// Reaps a child if it has ended; `Pid::from_raw(-1)` is any child. Says which one.
///
/// # Errors
/// `ECHILD`: no child at all.
pub fn waitpid_nohang(pid: Pid) -> Result<(Option<Pid>, ExitStatus), SysError> {
    let status = nix::sys::wait::waitpid(pid, Some(WaitPidFlag::WNOHANG))
        .map_err(|e| SysError::new("waitpid", format!("{pid}, WNOHANG"), e))?;
    Ok((status.pid(), waited(status)))
}

/// Sends a signal to a process by its number; `None` only asks whether it is there.
///
/// # Errors
/// `ESRCH`, `EPERM`.
pub fn kill(pid: Pid, signal: Option<Signal>) -> Result<(), SysError> {
    let shown = || format!("{pid}, {}", signal.map_or("0", Signal::as_str));
    call("kill", shown, || nix::sys::signal::kill(pid, signal))
}

/// Lets this process ignore a signal; a later execve(2) keeps that. Source: sigaction(2), SIG_IGN.
///
/// # Errors
/// `EINVAL`: SIGKILL and SIGSTOP can't be ignored.
pub fn ignore_signal(signal: Signal) -> Result<(), SysError> {
    let shown = || format!("{signal}, {{sa_handler=SIG_IGN}}, NULL");
    call("sigaction", shown, || {
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: SIG_IGN runs no code of ours, so nothing can be interrupted half-way.
        unsafe { nix::sys::signal::sigaction(signal, &ignore) }.map(drop)
    })
}

/// A descriptor on a process. Linux 5.3. Source: pidfd_open(2).
///
/// # Errors
/// `ESRCH`, `ENOSYS`.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd, SysError> {
    call(
        "pidfd_open",
        || format!("{pid}, 0"),
        || {
            let raw = rustix::process::Pid::from_raw(pid.as_raw()).ok_or(rustix::io::Errno::INVAL)?;
            rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty())
        },
    )
}

/// Sends signal `number` to the process of a pidfd, which no other process can have replaced.
/// A number, because real-time signals have no name. Source: pidfd_send_signal(2).
///
/// # Errors
/// `ESRCH`: it has ended. `EPERM`, `EINVAL`.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, number: i32) -> Result<(), SysError> {
    use std::os::fd::AsRawFd;
    let shown = || {
        let name = Signal::try_from(number).map_or(number.to_string(), |s| s.as_str().to_owned());
        format!("{}, {name}, NULL, 0", fd(pidfd))
    };
    call("pidfd_send_signal", shown, || {
        let info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: integers and a null siginfo, which pidfd_send_signal(2) allows.
        let rc = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), number, info, 0u32) };
        Errno::result(rc).map(drop)
    })
}

/// Lets the kernel send us SIGKILL when the thread that made us ends. Source: prctl(2), PR_SET_PDEATHSIG.
///
/// Cleared by a change of credentials and by the exec of a set-uid program, so set it after the former.
///
/// # Errors
/// None in practice.
pub fn pdeathsig() -> Result<(), SysError> {
    call(
        "prctl",
        || "PR_SET_PDEATHSIG, SIGKILL".to_owned(),
        || nix::sys::prctl::set_pdeathsig(Signal::SIGKILL),
    )
}

/// Orphans below this process become its children, to be reaped by it. Source: prctl(2).
///
/// # Errors
/// None in practice.
pub fn set_child_subreaper() -> Result<(), SysError> {
    call("prctl", || "PR_SET_CHILD_SUBREAPER, 1".to_owned(), || nix::sys::prctl::set_child_subreaper(true))
}

/// Sets the name that ps(1) shows, at most 15 bytes. Source: prctl(2), PR_SET_NAME.
///
/// # Errors
/// None in practice.
pub fn set_process_name(name: &CStr) -> Result<(), SysError> {
    call("prctl", || format!("PR_SET_NAME, {}", quoted(name.to_bytes())), || nix::sys::prctl::set_name(name))
}

/// Starts a session without a controlling terminal. Source: setsid(2).
///
/// # Errors
/// `EPERM`: we lead a process group already.
pub fn setsid() -> Result<Pid, SysError> {
    call("setsid", String::new, nix::unistd::setsid)
}

/// Sets the mask of permission bits that new files don't get. Source: umask(2).
pub fn umask(mask: u32) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
}

/// Every signal has its default action again, and none is blocked: what a program expects at its
/// start. (Rust's runtime ignores SIGPIPE, and an ignored signal stays so across execve.)
///
/// # Errors
/// None in practice.
pub fn default_signals() -> Result<(), SysError> {
    use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, signal, sigprocmask};
    call(
        "rt_sigprocmask",
        || "SIG_SETMASK, [], NULL".to_owned(),
        || {
            for each in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
                // SAFETY: SIG_DFL installs no handler of ours, so nothing can run at a bad moment.
                unsafe { signal(each, SigHandler::SigDfl) }?;
            }
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        },
    )
}
