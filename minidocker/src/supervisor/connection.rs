//! One client at the control socket: its calls, its pipes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::SupervisorError;
use super::log::Stream;
use super::protocol::{Answer, Attach, Call};
use super::streams::{Sink, nonblocking};
use crate::runtime::{in_words, receive, send_with};

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
                self.tell(&Answer::Error(format!("not a call: {}", in_words(&e))), None);
                self.leave();
                None
            }
        }
    }

    /// Says something. A client that can't hear it is gone; that is no error of ours.
    pub(super) fn tell(&mut self, answer: &Answer, with: Option<BorrowedFd<'_>>) {
        let fds: Vec<BorrowedFd<'_>> = with.into_iter().collect();
        // Only the starter is waited for.
        let wait = if self.starter { SendFlags::empty() } else { SendFlags::DONTWAIT };
        let send = || send_with(self.socket.as_fd(), answer, &fds, wait);
        // It waits for these words alone: no memory for them at this moment is no reason to leave it.
        let gone = [Errno::PIPE, Errno::CONNRESET, Errno::NOTCONN].map(|e| Some(e.raw_os_error()));
        let again = |e: &std::io::Error| self.starter && !gone.contains(&e.raw_os_error());
        if send().or_else(|e| if again(&e) { send() } else { Err(e) }).is_err() {
            self.leave();
        }
    }

    /// Takes the pipes that came with an attach.
    pub(super) fn attach(&mut self, wanted: Attach, fds: Vec<OwnedFd>) -> Result<(), SupervisorError> {
        let named = [wanted.stdin, wanted.stdout, wanted.stderr].into_iter().filter(|w| *w).count();
        if fds.len() != named {
            let text = format!("attach names {named} pipes, and {} came", fds.len());
            return Err(SupervisorError::Refused(text));
        }
        let mut fds = fds.into_iter();
        let mut next = |wanted: bool| if wanted { fds.next() } else { None };
        self.stdin = next(wanted.stdin);
        self.stdin.as_ref().map_or(Ok(()), nonblocking)?;
        let (out, err) = (next(wanted.stdout), next(wanted.stderr));
        self.sinks = [out.map(Sink::new).transpose()?, err.map(Sink::new).transpose()?];
        self.waits = true;
        Ok(())
    }

    /// Hands output to this client; drops the sink of one that left or is too slow. False if the
    /// starter lives and has closed this output (`run … | head -1`): then nobody waits for more.
    #[must_use]
    pub(super) fn offer(&mut self, stream: Stream, bytes: &[u8]) -> bool {
        let Some(sink) = &mut self.sinks[stream as usize] else { return true };
        match sink.offer(bytes) {
            Ok(()) if self.starter || !sink.is_too_slow() => return true,
            Ok(()) => {
                self.sinks[stream as usize] = None;
                self.tell(&Answer::Dropped, None);
            }
            Err(e) => return self.lose(stream, e),
        }
        true
    }

    /// Its pipe takes no more: it closed the other end, or is told why. False as in [`Connection::offer`].
    fn lose(&mut self, stream: Stream, why: Errno) -> bool {
        self.sinks[stream as usize] = None;
        if why != Errno::PIPE {
            let failed = SupervisorError::call("pass on what the container wrote", "write", "…")(why);
            self.tell(&Answer::Error(failed.in_a_line()), None);
        }
        !self.starter || self.is_hung_up()
    }

    /// A killed client kills nothing: the kernel closes its channel before its pipes, which have
    /// higher numbers.
    fn is_hung_up(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut fds, Some(&now)).is_ok() && !fds[0].revents().is_empty()
    }

    /// Whether output that waits for this client must stop the container's.
    pub(super) fn holds_back(&self) -> bool {
        self.starter && self.is_behind()
    }

    /// Whether bytes wait for it.
    pub(super) fn is_behind(&self) -> bool {
        self.sinks.iter().flatten().any(Sink::is_behind)
    }

    /// Writes what waits. False as in [`Connection::offer`].
    #[must_use]
    pub(super) fn push(&mut self, stream: Stream) -> bool {
        match self.sinks[stream as usize].as_mut().map(Sink::push) {
            Some(Err(e)) => self.lose(stream, e),
            _ => true,
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
