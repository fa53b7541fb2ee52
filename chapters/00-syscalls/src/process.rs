//! Processes: becoming a program, signals, the end.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{self, SigHandler, SigSet, SigmaskHow, Signal};
use rustix::process::{self, PidfdFlags, WaitOptions};

use crate::call::{call, errno};
use crate::shown::{By, Plain, Shown, list};
use crate::{Errno, Pid, Result, SysError, event};

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
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(code),
            Self::Signaled(n) => Some(128 + n),
            Self::Running => None,
        }
    }
}

/// Becomes the program at `path`. Comes back only with the error. Source: execve(2).
///
/// `ENOENT` is also the answer when the file is there but its interpreter is not.
#[must_use]
pub fn execve(path: &CStr, argv: &[CString], env: &[CString]) -> SysError {
    let env_shown = By(|| format!("/* {} vars */", env.len()));
    let args: [&dyn Shown; 3] = [&path, &argv, &env_shown];
    // The event must be told before the call: after it there is nobody left to tell it.
    if event::sink_is_set() {
        event::emit(event::next_seq(), "execve", list(args.into_iter()), "0".to_owned());
    }
    let Err(e) = call("execve", &args, || nix::unistd::execve(path, argv, env));
    e
}

/// Ends this process at once: no destructors, no buffers. For a child between clone and exec.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes one integer and never returns.
    unsafe { libc::_exit(code) }
}

/// Waits for the end of a child and reaps it.
///
/// # Errors
/// `ECHILD`: no such child.
pub fn waitpid(pid: Pid) -> Result<ExitStatus> {
    call("waitpid", &[&pid, &0], || rustix::io::retry_on_intr(|| Ok(wait(pid, WaitOptions::empty())?.1)))
}

/// Reaps a child if it has ended; `Pid::from_raw(-1)` is any child. Says which one.
///
/// # Errors
/// `ECHILD`: no child at all.
pub fn waitpid_nohang(pid: Pid) -> Result<(Option<Pid>, ExitStatus)> {
    wait(pid, WaitOptions::NOHANG).map_err(|e| SysError::new("waitpid", format!("{pid}, WNOHANG"), errno(e)))
}

/// nix's waitpid knows no real-time signals: it answers EINVAL for a child that one of them killed.
fn wait(pid: Pid, how: WaitOptions) -> rustix::io::Result<(Option<Pid>, ExitStatus)> {
    let one = process::Pid::from_raw(pid.as_raw().max(0));
    // Without one, waitpid of rustix waits for our own process group alone.
    let Some((pid, status)) = one.map_or_else(|| process::wait(how), |_| process::waitpid(one, how))? else {
        return Ok((None, ExitStatus::Running));
    };
    let killed = status.terminating_signal().map_or(ExitStatus::Running, ExitStatus::Signaled);
    let status = status.exit_status().map_or(killed, ExitStatus::Exited);
    Ok((Some(Pid::from_raw(pid.as_raw_pid())), status))
}

/// Sends a signal to a process by its number; `None` only asks whether it is there.
///
/// # Errors
/// `ESRCH`, `EPERM`.
pub fn kill(pid: Pid, signal: Option<Signal>) -> Result {
    call("kill", &[&pid, &Plain(signal.map_or("0", Signal::as_str))], || signal::kill(pid, signal))
}

/// Lets this process ignore a signal; a later execve(2) keeps that. Source: sigaction(2), SIG_IGN.
///
/// # Errors
/// `EINVAL`: SIGKILL and SIGSTOP can't be ignored.
pub fn ignore_signal(signal: Signal) -> Result {
    call("sigaction", &[&Plain(signal), &Plain("{sa_handler=SIG_IGN}, NULL")], || {
        // SAFETY: SIG_IGN runs no code of ours, so nothing can be interrupted half-way.
        unsafe { signal::signal(signal, SigHandler::SigIgn) }.map(drop)
    })
}

/// A descriptor on a process. Linux 5.3. Source: pidfd_open(2).
///
/// # Errors
/// `ESRCH`, `ENOSYS`.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd> {
    call("pidfd_open", &[&pid, &0], || {
        let pid = rustix::process::Pid::from_raw(pid.as_raw()).ok_or(rustix::io::Errno::INVAL)?;
        rustix::process::pidfd_open(pid, PidfdFlags::empty())
    })
}

/// Sends signal `number` to the process of a pidfd, which no other process can have replaced.
/// A number, because real-time signals have no name. Source: pidfd_send_signal(2).
///
/// # Errors
/// `ESRCH`: it has ended. `EPERM`, `EINVAL`.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, number: i32) -> Result {
    let name = By(|| Signal::try_from(number).map_or(number.to_string(), |s| s.to_string()));
    call("pidfd_send_signal", &[&pidfd, &name, &Plain("NULL"), &0], || {
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
pub fn pdeathsig() -> Result {
    call("prctl", &[&Plain("PR_SET_PDEATHSIG, SIGKILL")], || nix::sys::prctl::set_pdeathsig(Signal::SIGKILL))
}

/// Starts a session without a controlling terminal. Source: setsid(2).
///
/// # Errors
/// `EPERM`: we lead a process group already.
pub fn setsid() -> Result<Pid> {
    call("setsid", &[], nix::unistd::setsid)
}

/// Leaves the session keyring of whoever started us for a new, empty one without a name.
/// Source: keyctl(2), KEYCTL_JOIN_SESSION_KEYRING.
///
/// # Errors
/// `ENOSYS`: the kernel has no keys. `EDQUOT`: this user has too many. `EPERM`, from a filter.
pub fn join_session_keyring() -> Result {
    call("keyctl", &[&Plain("KEYCTL_JOIN_SESSION_KEYRING, NULL")], || {
        let (join, nameless) = (libc::KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>());
        // SAFETY: the kernel reads the name, and a null pointer stands for none (keyctl(2)).
        Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, join, nameless) }).map(drop)
    })
}

/// Every signal has its default action again, and none is blocked: what a program expects at its
/// start. (Rust's runtime ignores SIGPIPE, and an ignored signal stays so across execve.)
///
/// # Errors
/// None in practice.
pub fn default_signals() -> Result {
    call("rt_sigprocmask", &[&Plain("SIG_SETMASK, [], NULL")], || {
        for each in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
            // SAFETY: SIG_DFL installs no handler of ours, so nothing can run at a bad moment.
            unsafe { signal::signal(each, SigHandler::SigDfl) }?;
        }
        signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
    })
}

/// Starts a helper beside us, with nothing on stdin, and its stderr kept for our error message.
/// It speaks English (`LC_ALL=C`), and no signal is blocked or ignored in it.
///
/// # Errors
/// `ENOENT`, `EACCES`, `EAGAIN`. Source: execve(2), in a child.
pub fn start_helper(program: &Path, args: &[String]) -> Result<Child> {
    let argv = [&[program.display().to_string()], args].concat();
    call("execve", &[&program, &argv.as_slice()], || {
        let mut command = Command::new(program);
        command.args(args).env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Where an old filter answers EPERM for clone3, glibc's posix_spawn(3) knows no other way. Any
        // change of ids, here to the group that we have, lets the standard library use fork(2).
        command.spawn().or_else(|_| command.gid(nix::unistd::getegid().as_raw()).spawn())
    })
}
