//! Starting a supervisor: a fresh exec of this program, with the lock and a channel.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;

use super::SupervisorError;
use super::entry::ARGV0;
use super::protocol::{Attach, Call, Verb};
use crate::container::NewContainer;
use crate::runtime::send;
use crate::store::Store;

/// The starter's ends: the channel, the pipes of the container's streams.
#[derive(Debug)]
pub struct Session {
    /// The container's id.
    pub id: String,
    /// A connection to the supervisor, as through the control socket.
    pub channel: OwnedFd,
    /// The container's standard input, if it was asked for.
    pub stdin: Option<OwnedFd>,
    /// What the container writes: output (or its terminal), error.
    pub outputs: [Option<OwnedFd>; 2],
}

/// Starts the supervisor of a container that was created a moment ago, attached to pipes of ours.
/// The lock goes with it: when this returns, the container lives by its supervisor alone.
///
/// # Errors
/// No process, no descriptors; the lock is then free and nothing runs.
pub fn spawn(store: &Store, new: NewContainer, attach: Attach) -> Result<Session, SupervisorError> {
    let (channel, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|e| SupervisorError::io("make a socket pair")(e.into()))?;
    let (session_ends, their_ends) = pipes(attach)?;
    // The first message waits in the socket until the supervisor reads it.
    let fds: Vec<_> = their_ends.iter().map(AsFd::as_fd).collect();
    send(channel.as_fd(), &Call::new(Verb::Attach(attach)), &fds).map_err(SupervisorError::io("attach"))?;
    drop(fds);
    drop(their_ends);
    let NewContainer { container, lock, .. } = new;
    sys::keep_across_exec(lock.as_fd())?;
    sys::keep_across_exec(theirs.as_fd())?;
    let number = |fd: &dyn AsFd| fd.as_fd().as_raw_fd().to_string();
    let mut supervisor = Command::new("/proc/self/exe");
    supervisor
        .arg0(ARGV0)
        .args([&container.id, &number(&lock), &number(&theirs)])
        .env("MINIDOCKER_ROOT", store.root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Not waited for: it goes on after we have ended. The second try is for a filter that answers EPERM
    // for clone3: a change of ids, here to the group that we have, is made by fork(2) and not by
    // posix_spawn(3).
    let again = |command: &mut Command| command.gid(nix::unistd::getegid().as_raw()).spawn();
    supervisor
        .spawn()
        .or_else(|_| again(&mut supervisor))
        .map_err(SupervisorError::io("start the supervisor"))?;
    let [stdin, out, err] = session_ends;
    Ok(Session { id: container.id, channel, stdin, outputs: [out, err] })
}

/// A pipe for each stream that is wanted: (our ends by stream, its ends in the order of the protocol).
fn pipes(attach: Attach) -> Result<([Option<OwnedFd>; 3], Vec<OwnedFd>), SupervisorError> {
    let mut ours = [None, None, None];
    let mut theirs = Vec::new();
    for (at, wanted) in [attach.stdin, attach.stdout, attach.stderr].into_iter().enumerate() {
        if wanted {
            let (reading, writing) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
                .map_err(|e| SupervisorError::io("make a pipe")(e.into()))?;
            let (our, their) = if at == 0 { (writing, reading) } else { (reading, writing) };
            ours[at] = Some(our);
            theirs.push(their);
        }
    }
    Ok((ours, theirs))
}
