//! The loop: one poll(2) over init, its streams, the control socket and the clients.
//!
//! Here is only what is waited for, and who acts on it: bytes are the [`Carrier`]'s, calls are
//! answered in `answer`, the end is told by [`Ended`].

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use sys::Pid;

use super::answer::{Known, answer};
use super::carrier::Carrier;
use super::connection::Connection;
use super::ended::Ended;
use super::log::Stream;
use super::protocol::Answer;
use super::{SupervisorError, control};
use crate::container::{Container, Ledger};
use crate::runtime::{Created, Failure};

/// How many clients may be connected at a time; later ones wait. Each has up to four descriptors, and a
/// process often no more than 1,024: without any, accept(2) would fail again and again.
const MOST_CLIENTS: usize = 200;

/// What a ready descriptor belongs to; a number is that of a client.
#[derive(Debug, Clone, Copy)]
enum Token {
    Init,
    Syncer,
    Listener,
    Output(Stream),
    Input,
    Socket(usize),
    Sinks(usize),
    Stdin(usize),
}

/// A descriptor to be polled.
type Interest<'a> = (Token, BorrowedFd<'a>, PollFlags);

/// A container that runs, and all that its supervisor waits for.
pub(super) struct EventLoop<'c> {
    pub(super) container: &'c Container,
    pub(super) created: Created,
    pub(super) listener: OwnedFd,
    pub(super) carrier: Carrier,
    pub(super) ledger: Ledger,
    /// A child that makes the record durable, to be reaped.
    pub(super) syncer: Option<(Pid, OwnedFd)>,
}

impl EventLoop<'_> {
    /// Runs until init has ended and all that it wrote is in the log and on its way to the clients.
    /// If the loop itself fails, everybody is told, and init dies with us.
    pub(super) fn run(mut self) -> Result<Ended, SupervisorError> {
        let code = match self.turn() {
            Ok(code) => code,
            Err(e) => {
                let answer = Answer::Failed(Failure::of(e.to_string(), &e));
                self.carrier.clients.iter_mut().for_each(|c| c.tell(&answer, None));
                return Err(e);
            }
        };
        self.carrier.drain();
        let _ = std::fs::remove_file(self.container.dir.join("ctl"));
        // Written with the end, which comes next.
        self.ledger.state.notices.append(&mut self.carrier.problems);
        Ok(Ended {
            code,
            ledger: self.ledger,
            mount_namespace: self.created.mount_namespace,
            clients: self.carrier.clients,
        })
    }

    /// Turns until init has ended: its exit code.
    fn turn(&mut self) -> Result<i32, SupervisorError> {
        loop {
            let mut code = None;
            for token in self.wait()? {
                code = self.handle(token)?.or(code);
            }
            self.carrier.tidy();
            if let Some(code) = code {
                return Ok(code);
            }
        }
    }

    fn wait(&self) -> Result<Vec<Token>, SupervisorError> {
        let interests = [self.own_interests(), self.interests_of_clients()].concat();
        let mut fds: Vec<PollFd<'_>> =
            interests.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(SupervisorError::call("wait for the container", "poll", "…")(e)),
        }
        let ready = interests.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|((token, ..), _)| *token).collect())
    }

    /// Init, the syncer, the control socket, the container's streams.
    fn own_interests(&self) -> Vec<Interest<'_>> {
        let Carrier { streams, clients, .. } = &self.carrier;
        let mut list = vec![(Token::Init, self.created.pidfd.as_fd(), PollFlags::IN)];
        list.extend(self.syncer.as_ref().map(|(_, fd)| (Token::Syncer, fd.as_fd(), PollFlags::IN)));
        if clients.len() < MOST_CLIENTS {
            list.push((Token::Listener, self.listener.as_fd(), PollFlags::IN));
        }
        if self.carrier.takes_output() {
            for stream in Stream::BOTH {
                let output = streams.outputs[stream as usize].as_ref();
                list.extend(output.map(|fd| (Token::Output(stream), fd.as_fd(), PollFlags::IN)));
            }
        }
        let waiting = streams.input.as_ref().filter(|input| !input.pending.is_empty());
        list.extend(waiting.map(|input| (Token::Input, input.fd.as_fd(), PollFlags::OUT)));
        list
    }

    /// Their calls, what they write for the container, and their pipes while bytes wait for them.
    fn interests_of_clients(&self) -> Vec<Interest<'_>> {
        let mut list = Vec::new();
        for (at, client) in self.carrier.clients.iter().enumerate() {
            if client.listens() {
                list.push((Token::Socket(at), client.socket(), PollFlags::IN));
            }
            let stdin = client.stdin.as_ref().filter(|_| self.carrier.takes_input());
            list.extend(stdin.map(|stdin| (Token::Stdin(at), stdin.as_fd(), PollFlags::IN)));
            let behind = client.sinks.iter().flatten().filter(|sink| sink.is_behind());
            list.extend(behind.map(|sink| (Token::Sinks(at), sink.fd(), PollFlags::OUT)));
        }
        list
    }

    /// Acts on one ready descriptor. Some: init has ended, with this exit code.
    fn handle(&mut self, token: Token) -> Result<Option<i32>, SupervisorError> {
        match token {
            Token::Init => return Ok(waited(self.created.pid)?.code()),
            Token::Syncer => {
                if let Some((pid, _)) = self.syncer.take() {
                    waited(pid)?;
                }
            }
            Token::Listener => {
                let client = control::accept(&self.listener);
                self.carrier.clients.extend(client.map(|socket| Connection::new(socket, false)));
            }
            Token::Output(stream) => self.carrier.carry_output(stream),
            Token::Input => self.carrier.push_input(),
            Token::Stdin(at) => self.carrier.carry_input(at),
            Token::Sinks(at) => self.carrier.push_output(at),
            Token::Socket(at) => {
                let Carrier { clients, streams, .. } = &mut self.carrier;
                let known = Known { created: &self.created, streams, state: &self.ledger.state };
                answer(&mut clients[at], &known);
            }
        }
        Ok(None)
    }
}

fn waited(pid: Pid) -> Result<sys::ExitStatus, SupervisorError> {
    sys::waitpid(pid).map_err(SupervisorError::of("wait for a child"))
}
