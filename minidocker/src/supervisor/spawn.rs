//! Starting a supervisor: a fresh exec of this program, with the lock and a channel.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use sys::{Pid, SysError};

use super::entry::ARGV0;
use super::protocol::{Answer, Attach, Call, Verb};
use super::{SupervisorError, control};
use crate::container::{Container, ContainerError, Ledger, NewContainer, give_up};
use crate::runtime::{Failure, receive, send};
use crate::store::Store;

/// The starter's ends: the channel, the pipes of the container's streams.
#[derive(Debug)]
pub struct Session {
    /// The container's id.
    pub id: String,
    /// The supervisor, if it is a child of ours.
    pub supervisor: Option<Pid>,
    /// A connection to the supervisor, as through the control socket.
    pub channel: OwnedFd,
    /// The container's standard input, if it was asked for.
    pub stdin: Option<OwnedFd>,
    /// What the container writes: output (or its terminal), error.
    pub outputs: [Option<OwnedFd>; 2],
}

const START: &str = "start the supervisor";

/// Starts the supervisor of a container that was created a moment ago, attached to pipes of ours.
/// The lock goes with it: when this returns, the container lives by its supervisor alone.
///
/// # Errors
/// No process, no descriptors. Then nothing runs, and the container is as after any failed start:
/// removed with `--rm`, else `created`, as in Docker.
pub fn spawn(store: &Store, new: NewContainer, attach: Attach) -> Result<Session, SupervisorError> {
    start(store, &new, attach).map_err(|e| undo(store, &new, e))
}

/// Clears up after a start that failed; that this may fail too does not hide why.
fn undo(store: &Store, new: &NewContainer, start: SupervisorError) -> SupervisorError {
    let failure = Failure::ours(start.to_string());
    let undone = Ledger::open(&new.container.dir)
        .map_err(ContainerError::from)
        .and_then(|mut ledger| give_up(store, &new.container, &new.request, &mut ledger, &failure));
    match undone {
        Ok(()) => start,
        Err(undo) => SupervisorError::Undone { start: Box::new(start), undo: Box::new(undo) },
    }
}

fn start(store: &Store, new: &NewContainer, attach: Attach) -> Result<Session, SupervisorError> {
    let (channel, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(SupervisorError::call(START, "socketpair", "AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0"))?;
    // The first message waits in the socket until the supervisor reads it.
    let [stdin, out, err] = send_pipes(&channel, attach)?;
    let exec = Exec::of(store, new, &theirs)?;
    let mut child = || {
        let error = exec.become_supervisor(new.lock.as_fd(), theirs.as_fd());
        let failure = Failure::of("cannot start the supervisor", &error);
        let _ = send(theirs.as_fd(), &Answer::Failed(failure), &[]);
        125
    };
    let pid = sys::vfork(&mut child).map_err(|source| SupervisorError::Call { what: START, source })?;
    Ok(Session { id: new.container.id.clone(), supervisor: Some(pid), channel, stdin, outputs: [out, err] })
}

/// Joins a container that runs: what it writes from now on comes to us too.
///
/// # Errors
/// Nobody listens: it has ended.
pub fn attach(container: &Container, attach: Attach) -> Result<Session, SupervisorError> {
    let channel = control::connect(&container.dir)?;
    let [stdin, out, err] = send_pipes(&channel, attach)?;
    Ok(Session { id: container.id.clone(), supervisor: None, channel, stdin, outputs: [out, err] })
}

/// Waits until the program of a container runs. It goes on when we leave.
///
/// # Errors
/// `Failed`: it can't run; `Died`: its supervisor was killed.
pub fn await_start(session: &Session) -> Result<(), SupervisorError> {
    loop {
        match receive::<Answer>(session.channel.as_fd()) {
            Ok(Some((Answer::Started, _))) => return Ok(()),
            Ok(Some((Answer::Failed(failure), _))) => return Err(failure.into()),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return Err(SupervisorError::Died(session.id.clone())),
        }
    }
}

/// Waits until the supervisor of a container that has ended is gone itself.
pub fn reap(supervisor: Pid) {
    // There is nothing to do about one that can't be waited for.
    let _ = sys::waitpid(supervisor);
}

/// What the child executes, made before the clone.
struct Exec {
    null: File,
    args: [CString; 4],
    env: Vec<CString>,
}

impl Exec {
    fn of(store: &Store, new: &NewContainer, channel: &OwnedFd) -> Result<Self, SupervisorError> {
        let null = File::options().read(true).write(true).open("/dev/null");
        let args = "AT_FDCWD, \"/dev/null\", O_RDWR|O_CLOEXEC";
        let null = null.map_err(SupervisorError::call(START, "openat", args))?;
        let text = |text: &OsStr| CString::new(text.as_bytes()).unwrap_or_default();
        let number = |fd: BorrowedFd<'_>| CString::new(fd.as_raw_fd().to_string()).unwrap_or_default();
        let args = [
            text(ARGV0.as_ref()),
            text(new.container.id.as_ref()),
            number(new.lock.as_fd()),
            number(channel.as_fd()),
        ];
        let variable = |name: &OsStr, value: &OsStr| text(&[name, value].join(OsStr::new("=")));
        let mut env: Vec<CString> = std::env::vars_os()
            .filter(|(name, _)| name != "MINIDOCKER_ROOT")
            .map(|(name, value)| variable(&name, &value))
            .collect();
        env.push(variable("MINIDOCKER_ROOT".as_ref(), store.root().as_os_str()));
        Ok(Self { null, args, env })
    }

    /// In the child. A descriptor that our caller left open for us is not the container's to keep open.
    fn become_supervisor(&self, lock: BorrowedFd<'_>, channel: BorrowedFd<'_>) -> SysError {
        let ready = || {
            let dup = |e| SysError::of("dup2", "/dev/null".to_owned(), e);
            rustix::stdio::dup2_stdin(&self.null).map_err(dup)?;
            rustix::stdio::dup2_stdout(&self.null).map_err(dup)?;
            rustix::stdio::dup2_stderr(&self.null).map_err(dup)?;
            sys::close_all_but(&[lock, channel])?;
            let kept = |e| SysError::of("fcntl", "F_SETFD, 0".to_owned(), e);
            fcntl_setfd(lock, FdFlags::empty()).map_err(kept)?;
            fcntl_setfd(channel, FdFlags::empty()).map_err(kept)
        };
        match ready() {
            Ok(()) => sys::execve(c"/proc/self/exe", &self.args, &self.env),
            Err(e) => e,
        }
    }
}

/// Asks to be attached with pipes of ours, and keeps our ends of them.
fn send_pipes(channel: &OwnedFd, attach: Attach) -> Result<[Option<OwnedFd>; 3], SupervisorError> {
    let (ours, theirs) = pipes(attach)?;
    let fds: Vec<_> = theirs.iter().map(AsFd::as_fd).collect();
    send(channel.as_fd(), &Call::new(Verb::Attach(attach)), &fds)
        .map_err(SupervisorError::call(START, "sendmsg", "…"))?;
    Ok(ours)
}

/// A pipe for each stream that is wanted: (our ends by stream, its ends in the order of the protocol).
fn pipes(attach: Attach) -> Result<([Option<OwnedFd>; 3], Vec<OwnedFd>), SupervisorError> {
    let mut ours = [None, None, None];
    let mut theirs = Vec::new();
    for (at, wanted) in [attach.stdin, attach.stdout, attach.stderr].into_iter().enumerate() {
        if wanted {
            let (reading, writing) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
                .map_err(SupervisorError::call(START, "pipe2", "[], O_CLOEXEC"))?;
            let (our, their) = if at == 0 { (writing, reading) } else { (reading, writing) };
            ours[at] = Some(our);
            theirs.push(their);
        }
    }
    Ok((ours, theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_the_start_failed_is_told_first_though_the_record_is_gone_too() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"), crate::store::Privilege::Rootless).unwrap();
        let new = crate::container::made_for_tests(&store);
        std::fs::write(new.container.dir.join("state.json"), "{").unwrap();
        let cause = SupervisorError::call(START, "pipe2", "[], O_CLOEXEC")(rustix::io::Errno::MFILE);
        let error = undo(&store, &new, cause);
        let said = error.to_string();
        assert!(said.starts_with("cannot start the supervisor; then "), "{said}");
        assert!(said.contains("state.json is damaged"), "{said}");
        assert!(error.below().call.unwrap().contains("EMFILE"));
    }
}
