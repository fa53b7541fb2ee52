//! One client at the control socket: its calls, its pipes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::SupervisorError;
use super::log::Stream;
use super::protocol::{Answer, Attach, Call};
use super::streams::Sink;
use crate::runtime::{receive, send};

/// One connected client.
pub(super) struct Connection {
    socket: OwnedFd,
    /// The client that started the container: it is waited for, and never dropped.
    pub(super) starter: bool,
    /// Whether it wants to be told the end.
    pub(super) waits: bool,
    /// Its pipes for output and error.
    pub(super) sinks: [Option<Sink>; 2],
    /// Its pipe for the container's input.
    pub(super) stdin: Option<OwnedFd>,
    gone: bool,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd, starter: bool) -> Self {
        Self { socket, starter, waits: false, sinks: [None, None], stdin: None, gone: false }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The next call and its descriptors. A client that left, or talks nonsense, is marked as gone.
    pub(super) fn next_call(&mut self) -> Option<(Call, Vec<OwnedFd>)> {
        match receive::<Call>(self.socket.as_fd()) {
            Ok(Some(call)) => Some(call),
            Ok(None) => {
                self.leave();
                None
            }
            Err(e) => {
                self.tell(&Answer::Error(format!("not a call: {e}")), None);
                self.leave();
                None
            }
        }
    }

    /// Says something. A client that can't hear it is gone; that is no error of ours.
    pub(super) fn tell(&mut self, answer: &Answer, with: Option<BorrowedFd<'_>>) {
        let fds: Vec<BorrowedFd<'_>> = with.into_iter().collect();
        if send(self.socket.as_fd(), answer, &fds).is_err() {
            self.leave();
        }
    }

    /// Takes the pipes that came with an attach.
    pub(super) fn attach(&mut self, wanted: Attach, fds: Vec<OwnedFd>) -> Result<(), SupervisorError> {
        let mut fds = fds.into_iter();
        let mut next = |wanted: bool| if wanted { fds.next() } else { None };
        self.stdin = next(wanted.stdin);
        let (out, err) = (next(wanted.stdout), next(wanted.stderr));
        self.sinks = [out.map(Sink::new).transpose()?, err.map(Sink::new).transpose()?];
        self.waits = true;
        Ok(())
    }

    /// Hands output to this client; drops the sink of one that left or is too slow.
    pub(super) fn offer(&mut self, stream: Stream, bytes: &[u8]) {
        let Some(sink) = &mut self.sinks[stream as usize] else { return };
        if sink.offer(bytes, self.starter) {
            return;
        }
        let slow = sink.push();
        self.sinks[stream as usize] = None;
        if slow {
            self.tell(&Answer::Dropped, None);
        }
    }

    /// Whether output that waits for this client must stop the container's.
    pub(super) fn holds_back(&self) -> bool {
        self.starter && self.is_behind()
    }

    /// Whether bytes wait for it.
    pub(super) fn is_behind(&self) -> bool {
        self.sinks.iter().flatten().any(Sink::is_behind)
    }

    /// Writes what waits.
    pub(super) fn push(&mut self) {
        for sink in &mut self.sinks {
            if sink.as_mut().is_some_and(|s| !s.push()) {
                *sink = None;
            }
        }
    }

    /// What it had written before it left is still in its pipe, and the container's to read.
    fn leave(&mut self) {
        self.gone = true;
        self.sinks = [None, None];
    }

    /// Whether it can still be heard.
    pub(super) fn listens(&self) -> bool {
        !self.gone
    }

    /// Whether nothing will come from it any more.
    pub(super) fn is_over(&self) -> bool {
        self.gone && self.stdin.is_none()
    }
}
