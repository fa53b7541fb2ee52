//! Talking to the supervisor of a running container.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use sys::Errno;

use super::control;
use super::protocol::{Answer, Call, Verb};
use super::{ARGV0, SupervisorError};
use crate::container::Container;
use crate::runtime::{Resource, receive, release, send};

/// How long a supervisor may take to answer before we go round it.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Asks one thing and returns the answer, with a descriptor where one belongs to it.
///
/// # Errors
/// Nobody listens (`Io`), no answer within five seconds (`Io`, timed out), `Refused`.
pub fn ask(container: &Container, verb: Verb) -> Result<(Answer, Option<OwnedFd>), SupervisorError> {
    let socket = control::connect(&container.dir)?;
    send(socket.as_fd(), &Call::new(verb), &[]).map_err(SupervisorError::io("ask the supervisor"))?;
    if !readable(&socket, PATIENCE) {
        let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
        return Err(SupervisorError::io("wait for the supervisor")(late));
    }
    match receive(socket.as_fd()).map_err(SupervisorError::io("hear the supervisor"))? {
        Some((Answer::Error(text), _)) => Err(SupervisorError::Refused(text)),
        Some((Answer::Gone, _)) => Err(not_running(container)),
        Some((answer, fds)) => Ok((answer, fds.into_iter().next())),
        None => Err(SupervisorError::Died(container.id.clone())),
    }
}

fn readable(fd: &OwnedFd, patience: Duration) -> bool {
    let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: i64::from(patience.subsec_nanos()) };
    matches!(rustix::event::poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)), Ok(n) if n > 0)
}

/// Sends signal `number` to init: by the supervisor, or round it when it doesn't answer.
///
/// # Errors
/// `Refused` when no init runs any more; `Sys`.
pub fn signal(container: &Container, number: i32) -> Result<(), SupervisorError> {
    match ask(container, Verb::Signal { number }) {
        Ok(_) => Ok(()),
        Err(SupervisorError::Refused(text)) => Err(SupervisorError::Refused(text)),
        Err(_) => signal_directly(container, number),
    }
}

fn not_running(container: &Container) -> SupervisorError {
    SupervisorError::Refused(format!("container {} is not running", container.id))
}

/// The record names init by number, start time and pid namespace; a pidfd makes sure it stays the same one.
fn signal_directly(container: &Container, number: i32) -> Result<(), SupervisorError> {
    let gone = || not_running(container);
    let state = container.state()?;
    let init = state.resources.iter().find(|r| matches!(r, Resource::Init { .. })).ok_or_else(gone)?;
    let pidfd = crate::runtime::open_init(init).ok_or_else(gone)?;
    match sys::pidfd_send_signal(pidfd.as_fd(), number) {
        Err(e) if e.errno() == Errno::ESRCH => Err(gone()),
        other => Ok(other?),
    }
}

/// Ends a container for good: init first, and its supervisor too if that doesn't go by itself
/// (it may be stopped). Returns when the container's lock is free.
///
/// # Errors
/// `Refused`: it is still there after all that.
pub fn end(container: &Container) -> Result<(), SupervisorError> {
    let socket = control::connect(&container.dir).ok();
    let supervisor =
        socket.as_ref().and_then(control::peer_pid).and_then(|pid| supervisor_of(container, pid));
    let answered = match ask(container, Verb::Signal { number: nix::libc::SIGKILL }) {
        // Refused: it has ended already. Its lock tells when all is cleared.
        Ok(_) | Err(SupervisorError::Refused(_)) => true,
        // Stopped, or not yet listening, or about to end.
        Err(_) => false,
    };
    if (answered || supervisor.is_none()) && wait_for_lock(container, supervisor.as_ref(), PATIENCE)? {
        return Ok(());
    }
    if let Some(pidfd) = &supervisor {
        // It holds no data that a crash could lose; what it leaves is cleared by its record.
        let _ = sys::pidfd_send_signal(pidfd.as_fd(), nix::libc::SIGKILL);
    }
    for init in container.state()?.resources.iter().filter(|r| matches!(r, Resource::Init { .. })) {
        release(init).map_err(|e| SupervisorError::Refused(e.to_string()))?;
    }
    if wait_for_lock(container, supervisor.as_ref(), PATIENCE)? {
        return Ok(());
    }
    Err(SupervisorError::Refused(format!(
        "container {} does not end: its supervisor still holds its lock",
        container.id
    )))
}

/// Waits until the container's lock is free: by the supervisor's pidfd where we have it.
fn wait_for_lock(
    container: &Container,
    supervisor: Option<&OwnedFd>,
    patience: Duration,
) -> Result<bool, SupervisorError> {
    let end = Instant::now() + patience;
    while container.is_alive()? {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        // The lock may be free a little before the process is gone, so look again often.
        let nap = left.min(Duration::from_millis(5));
        match supervisor {
            Some(pidfd) => drop(readable(pidfd, nap)),
            None => std::thread::sleep(nap),
        }
    }
    Ok(true)
}

/// A pidfd on process `pid` if that is the supervisor of this container.
fn supervisor_of(container: &Container, pid: i32) -> Option<OwnedFd> {
    let pidfd = sys::pidfd_open(sys::Pid::from_raw(pid)).ok()?;
    let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = cmdline.split(|b| *b == 0);
    let ours = words.next() == Some(ARGV0.as_bytes()) && words.next() == Some(container.id.as_bytes());
    ours.then_some(pidfd)
}
