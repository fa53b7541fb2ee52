//! Talking to the supervisor of a running container.

use std::fs::DirEntry;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc::{SIGCONT, SIGKILL};
use rustix::event::{PollFd, PollFlags, Timespec};

use sys::Errno;

use super::control;
use super::protocol::{Answer, Call, Verb};
use super::{ARGV0, SupervisorError};
use crate::container::{Container, Ledger, Status, now};
use crate::runtime::{Resource, receive, release, send};

/// How long a supervisor may take to answer before we look after it.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take after that, before we go round it.
const GRACE: Duration = Duration::from_secs(1);

/// How a signal came to init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Its supervisor lives, and will see what comes of it.
    WithSupervisor,
    /// Round a supervisor that hangs: the client that stays with the container is told nothing.
    RoundSupervisor,
}

/// Asks one thing and returns the answer, with a descriptor where one belongs to it. A supervisor that
/// somebody stopped (SIGSTOP) is continued when it has not answered for five seconds.
///
/// # Errors
/// Nobody listens (`Io`), no answer after all that (`Io`, timed out), `Refused`.
pub fn ask(container: &Container, verb: Verb) -> Result<(Answer, Option<OwnedFd>), SupervisorError> {
    let socket = match control::connect(&container.dir) {
        Err(e) if is_late(&e) => {
            signal_supervisors(container, SIGCONT);
            control::connect(&container.dir)?
        }
        other => other?,
    };
    send(socket.as_fd(), &Call::new(verb), &[]).map_err(SupervisorError::io("ask the supervisor"))?;
    let answers = readable(&socket, PATIENCE) || {
        signal_supervisors(container, SIGCONT);
        readable(&socket, GRACE)
    };
    if !answers {
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

/// Whether nobody answered in time. Any other failure means that nobody listens: the container is
/// still being made, or about to end.
fn is_late(error: &SupervisorError) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    // connect(2) gives EAGAIN when the queue of waiting clients stays full.
    matches!(error, SupervisorError::Io { source, .. } if matches!(source.kind(), TimedOut | WouldBlock))
}

/// Sends signal `number` to init: by the supervisor, or round it when it doesn't answer.
///
/// # Errors
/// `Refused` when no init runs any more; `Call`.
pub fn signal(container: &Container, number: i32) -> Result<Sent, SupervisorError> {
    match ask(container, Verb::Signal { number }) {
        Ok(_) => Ok(Sent::WithSupervisor),
        Err(SupervisorError::Refused(text)) => Err(SupervisorError::Refused(text)),
        Err(e) if number == SIGKILL && is_late(&e) => end_by_force(container).map(|()| Sent::WithSupervisor),
        Err(e) => {
            signal_directly(container, number)?;
            Ok(if is_late(&e) { Sent::RoundSupervisor } else { Sent::WithSupervisor })
        }
    }
}

fn not_running(container: &Container) -> SupervisorError {
    SupervisorError::Refused(format!("container {} is not running", container.id))
}

fn is_init(resource: &&Resource) -> bool {
    matches!(resource, Resource::Init { .. })
}

/// The record names init by number, start time and pid namespace; a pidfd makes sure it stays the same one.
fn signal_directly(container: &Container, number: i32) -> Result<(), SupervisorError> {
    let gone = || not_running(container);
    let state = container.state()?;
    let init = state.resources.iter().find(is_init).ok_or_else(gone)?;
    let failed = || SupervisorError::of("send the signal");
    let pidfd = crate::runtime::open_init(init).map_err(failed())?.ok_or_else(gone)?;
    match sys::pidfd_send_signal(pidfd.as_fd(), number) {
        Err(e) if e.errno() == Errno::ESRCH => Err(gone()),
        other => other.map_err(failed()),
    }
}

/// Ends a container for good. Returns when its lock is free.
///
/// # Errors
/// `Refused`: it is still there after all that.
pub fn end(container: &Container) -> Result<(), SupervisorError> {
    // Refused: it has ended already. Its lock tells when all is cleared.
    let late = ask(container, Verb::Signal { number: SIGKILL }).is_err_and(|e| is_late(&e));
    if !late && wait_for_lock(container, PATIENCE)? { Ok(()) } else { end_by_force(container) }
}

/// Ends a container whose supervisor hangs (in the kernel, in a debugger): first init, and if that does
/// not wake it the supervisor, after the end was written down for the client that waits for it. It
/// holds no data that a crash could lose; what it leaves is cleared by its record.
fn end_by_force(container: &Container) -> Result<(), SupervisorError> {
    // Without a record init dies with its supervisor.
    let resources = container.state().map(|state| state.resources).unwrap_or_default();
    for init in resources.iter().filter(is_init) {
        release(init).map_err(|e| SupervisorError::Refused(e.to_string()))?;
    }
    if wait_for_lock(container, GRACE)? {
        return Ok(());
    }
    record_end(container);
    signal_supervisors(container, SIGKILL);
    if wait_for_lock(container, PATIENCE)? {
        return Ok(());
    }
    Err(SupervisorError::Refused(format!(
        "container {} does not end: its supervisor still holds its lock",
        container.id
    )))
}

/// Writes down what the kernel says of the dead init. A record that can't be written (the disk is
/// full) is no reason to stop here.
fn record_end(container: &Container) {
    let Ok(mut ledger) = Ledger::open(&container.dir) else { return };
    if ledger.state.is_running() {
        let code = ledger.state.resources.iter().find_map(Resource::zombie_code);
        let _ = ledger.change(|state| {
            state.exit_code = code.unwrap_or(128 + SIGKILL);
            (state.status, state.pid, state.finished_at) = (Status::Exited, 0, now());
        });
    }
}

/// Waits until the container's lock is free; false if that takes longer than `patience`.
fn wait_for_lock(container: &Container, patience: Duration) -> Result<bool, SupervisorError> {
    let end = Instant::now() + patience;
    while container.is_alive()? {
        if Instant::now() > end {
            return Ok(false);
        }
        // The kernel has no wait for a lock that takes nothing.
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(true)
}

fn signal_supervisors(container: &Container, number: i32) {
    for supervisor in supervisors_of(container) {
        // It may have ended meanwhile.
        let _ = sys::pidfd_send_signal(supervisor.as_fd(), number);
    }
}

/// Pidfds on the supervisors that keep the container's lock open. Not by the control socket: the queue
/// of one that is stopped may be full.
fn supervisors_of(container: &Container) -> Vec<OwnedFd> {
    let file = |path: &Path| std::fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
    let entries = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let Some(lock) = file(&container.lock_path()) else { return Vec::new() };
    let holder = |process: DirEntry| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        // The descriptor first, the look second: what we looked at is then what we have.
        let pidfd = sys::pidfd_open(sys::Pid::from_raw(pid)).ok()?;
        let name = std::fs::read(process.path().join("cmdline")).ok()?;
        let holds = || entries(process.path().join("fd")).any(|fd| file(&fd.path()) == Some(lock));
        (name.split(|b| *b == 0).next() == Some(ARGV0.as_bytes()) && holds()).then_some(pidfd)
    };
    entries(PathBuf::from("/proc")).filter_map(holder).collect()
}
