//! The loop: one poll(2) over init, its streams, the control socket and the clients.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use sys::Pid;

use super::connection::Connection;
use super::log::{JsonLog, Stream};
use super::protocol::{Answer, Call, VERSION, Verb};
use super::streams::{CHUNK, Input, Read, Sink, Streams, read_some};
use super::{SupervisorError, control};
use crate::container::{Container, Ledger};
use crate::runtime::{Created, Failure};

/// A container that runs.
pub(super) struct Running {
    pub(super) created: Created,
    pub(super) streams: Streams,
    pub(super) log: JsonLog,
    pub(super) listener: OwnedFd,
}

/// A container that has ended: who is still to be told.
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) ledger: Ledger,
    pub(super) mount_namespace: Option<OwnedFd>,
    connections: Vec<Connection>,
}

/// How many clients may be connected at a time; later ones wait.
const MOST_CLIENTS: usize = 256;

/// What a ready descriptor belongs to.
#[derive(Debug, Clone, Copy)]
enum Token {
    Init,
    Syncer,
    Listener,
    Output(Stream),
    Input,
    Socket(usize),
    Sink(usize),
    Stdin(usize),
}

pub(super) struct EventLoop<'c> {
    container: &'c Container,
    running: Running,
    connections: Vec<Connection>,
    ledger: Ledger,
    /// A child that makes the record durable, to be reaped.
    syncer: Option<(Pid, OwnedFd)>,
    code: Option<i32>,
    log_problem: Option<String>,
}

impl<'c> EventLoop<'c> {
    pub(super) fn new(
        container: &'c Container,
        running: Running,
        starter: Connection,
        ledger: Ledger,
        syncer: Option<(Pid, OwnedFd)>,
    ) -> Self {
        let connections = vec![starter];
        Self { container, running, connections, ledger, syncer, code: None, log_problem: None }
    }

    /// Runs until init has ended and all that it wrote is in the log and on its way to the clients.
    /// If the loop itself fails, everybody is told, and init dies with us.
    pub(super) fn run(mut self) -> Result<Ended, SupervisorError> {
        if let Err(e) = self.turn() {
            let answer = Answer::Failed(Failure::of(e.to_string(), &e));
            self.connections.iter_mut().for_each(|c| c.tell(&answer, None));
            return Err(e);
        }
        if let Some(problem) = self.log_problem.take() {
            let told = self.ledger.change(|state| state.notices.push(problem));
            // A disk that is too full for the log may be too full for this.
            drop(told);
        }
        Ok(Ended {
            code: self.code.unwrap_or_default(),
            ledger: self.ledger,
            mount_namespace: self.running.created.mount_namespace,
            connections: self.connections,
        })
    }

    fn turn(&mut self) -> Result<(), SupervisorError> {
        while self.code.is_none() {
            for token in self.wait()? {
                self.handle(token)?;
            }
            if self.running.streams.input.is_none() {
                // Nobody will read it: so its writer is told by a closed pipe.
                self.connections.iter_mut().for_each(|c| c.stdin = None);
            }
            self.connections.retain(|c| !c.is_over());
        }
        self.drain();
        Ok(())
    }

    /// What the loop waits for now. Output isn't read while the starter has not taken the last.
    fn interests(&self) -> Vec<(Token, BorrowedFd<'_>, PollFlags)> {
        let Running { created, streams, listener, .. } = &self.running;
        let mut list = vec![(Token::Init, created.pidfd.as_fd(), PollFlags::IN)];
        list.extend(self.syncer.as_ref().map(|(_, fd)| (Token::Syncer, fd.as_fd(), PollFlags::IN)));
        if self.connections.len() < MOST_CLIENTS {
            list.push((Token::Listener, listener.as_fd(), PollFlags::IN));
        }
        if !self.connections.iter().any(Connection::holds_back) {
            for stream in Stream::BOTH {
                let output = streams.outputs[stream as usize].as_ref();
                list.extend(output.map(|fd| (Token::Output(stream), fd.as_fd(), PollFlags::IN)));
            }
        }
        let pending = streams.input.as_ref().map_or(0, |input| input.pending.len());
        if let Some(input) = streams.input.as_ref().filter(|_| pending > 0) {
            list.push((Token::Input, input.fd.as_fd(), PollFlags::OUT));
        }
        for (at, connection) in self.connections.iter().enumerate() {
            if connection.listens() {
                list.push((Token::Socket(at), connection.socket(), PollFlags::IN));
            }
            let takes_input = streams.input.is_some() && pending < CHUNK;
            if let Some(stdin) = connection.stdin.as_ref().filter(|_| takes_input) {
                list.push((Token::Stdin(at), stdin.as_fd(), PollFlags::IN));
            }
        }
        list
    }

    fn wait(&self) -> Result<Vec<Token>, SupervisorError> {
        let interests = self.interests();
        let sinks: Vec<(usize, &Sink)> = self
            .connections
            .iter()
            .enumerate()
            .flat_map(|(at, c)| c.sinks.iter().flatten().map(move |s| (at, s)))
            .filter(|(_, sink)| sink.is_behind())
            .collect();
        let sink_fds: Vec<_> = sinks.iter().map(|(_, sink)| sink.fd()).collect();
        let mut fds: Vec<PollFd<'_>> =
            interests.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        fds.extend(sink_fds.iter().map(|fd| PollFd::new(fd, PollFlags::OUT)));
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(SupervisorError::call("wait for the container", "poll", "…")(e)),
        }
        let tokens =
            interests.iter().map(|(token, _, _)| *token).chain(sinks.iter().map(|(at, _)| Token::Sink(*at)));
        Ok(tokens.zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|(token, _)| token).collect())
    }

    fn handle(&mut self, token: Token) -> Result<(), SupervisorError> {
        match token {
            Token::Init => self.code = sys::waitpid(self.running.created.pid)?.code(),
            Token::Syncer => {
                if let Some((pid, _)) = self.syncer.take() {
                    sys::waitpid(pid)?;
                }
            }
            Token::Listener => {
                let client = control::accept(&self.running.listener);
                self.connections.extend(client.map(|socket| Connection::new(socket, false)));
            }
            Token::Output(stream) => self.carry_output(stream),
            Token::Input => self.push_input(),
            Token::Socket(at) => self.answer(at),
            Token::Sink(at) => self.connections[at].push(),
            Token::Stdin(at) => self.carry_input(at),
        }
        Ok(())
    }

    /// From the container to the log and to every client.
    fn carry_output(&mut self, stream: Stream) {
        let Some(fd) = &self.running.streams.outputs[stream as usize] else { return };
        match read_some(fd) {
            Read::Bytes(bytes) => self.carry(stream, &bytes),
            Read::Nothing => {}
            Read::End => self.close_output(stream),
        }
    }

    fn carry(&mut self, stream: Stream, bytes: &[u8]) {
        let logged = self.running.log.write(stream, bytes);
        self.note_log(logged);
        let mut unread = false;
        for connection in &mut self.connections {
            unread |= !connection.offer(stream, bytes);
        }
        if unread {
            self.close_output(stream);
        }
    }

    /// A log that can't be written (the disk is full) is no reason to end the container: the lines
    /// are lost, and `inspect` says so.
    fn note_log(&mut self, logged: Result<(), SupervisorError>) {
        if let Err(e) = logged {
            self.log_problem.get_or_insert(format!("lines of the log were lost: {e}"));
        }
    }

    /// The container closed this output: so do we towards the clients, unless bytes still wait.
    fn close_output(&mut self, stream: Stream) {
        self.running.streams.outputs[stream as usize] = None;
        for connection in &mut self.connections {
            let sink = &mut connection.sinks[stream as usize];
            if sink.as_ref().is_some_and(|s| !s.is_behind()) {
                *sink = None;
            }
        }
    }

    /// From a client to the container. The end of the starter's input is the end of the container's.
    fn carry_input(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        let Some(stdin) = &connection.stdin else { return };
        let Some(input) = &mut self.running.streams.input else { return };
        match read_some(stdin) {
            Read::Bytes(bytes) => input.pending.extend(bytes),
            Read::Nothing => return,
            Read::End => {
                connection.stdin = None;
                input.ending = connection.starter;
            }
        }
        self.push_input();
    }

    fn push_input(&mut self) {
        if self.running.streams.input.as_mut().is_some_and(|input| !Input::push(input)) {
            self.running.streams.input = None;
        }
    }

    fn answer(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        let Some((call, fds)) = connection.next_call() else { return };
        if call.version > VERSION {
            let text = format!("this supervisor speaks version {VERSION}, not {}", call.version);
            return connection.tell(&Answer::Error(text), None);
        }
        let answer = match verb(&call, connection, fds, &self.running, &self.ledger) {
            Ok(Some(answer)) => answer,
            Ok(None) => return,
            Err(e) => Answer::Error(e.to_string()),
        };
        let pidfd = (answer == Answer::Pidfd).then(|| self.running.created.pidfd.as_fd());
        connection.tell(&answer, pidfd);
    }

    /// Init has ended, and with it every process of its pid namespace: what is still in the pipes
    /// is at most their capacity, so nobody is waited for.
    fn drain(&mut self) {
        for stream in Stream::BOTH {
            while let Some(fd) = &self.running.streams.outputs[stream as usize] {
                match read_some(fd) {
                    Read::Bytes(bytes) => self.carry(stream, &bytes),
                    Read::Nothing | Read::End => self.running.streams.outputs[stream as usize] = None,
                }
            }
        }
        let flushed = self.running.log.flush();
        self.note_log(flushed);
        let _ = std::fs::remove_file(self.container.dir.join("ctl"));
    }
}

/// What one call does. None: the answer comes later.
fn verb(
    call: &Call,
    connection: &mut Connection,
    fds: Vec<OwnedFd>,
    running: &Running,
    ledger: &Ledger,
) -> Result<Option<Answer>, SupervisorError> {
    match &call.verb {
        Verb::State => Ok(Some(Answer::State(ledger.state.clone()))),
        Verb::Attach(attach) => connection.attach(*attach, fds).map(|()| Some(Answer::Ok)),
        Verb::Resize { rows, columns } => {
            let Some(terminal) = &running.streams.outputs[0] else { return Ok(Some(Answer::Ok)) };
            let size =
                rustix::termios::Winsize { ws_row: *rows, ws_col: *columns, ws_xpixel: 0, ws_ypixel: 0 };
            rustix::termios::tcsetwinsize(terminal, size).map_err(SupervisorError::call(
                "set the size of the terminal",
                "ioctl",
                "TIOCSWINSZ",
            ))?;
            Ok(Some(Answer::Ok))
        }
        Verb::Signal { number } => match sys::pidfd_send_signal(running.created.pidfd.as_fd(), *number) {
            Err(e) if e.errno() == sys::Errno::ESRCH => Ok(Some(Answer::Gone)),
            other => Ok(other.map(|()| Some(Answer::Ok))?),
        },
        Verb::Wait => {
            connection.waits = true;
            Ok(None)
        }
        Verb::Pidfd => Ok(Some(Answer::Pidfd)),
    }
}

impl Ended {
    /// Says something to all who wait for the end.
    pub(super) fn tell_waiting(&mut self, answer: &Answer) {
        for connection in self.connections.iter_mut().filter(|c| c.waits) {
            connection.tell(answer, None);
        }
    }

    /// Tells the end, and stays until those who read slowly have what the container wrote.
    pub(super) fn tell_end(&mut self) {
        self.tell_waiting(&Answer::Exited { code: self.code });
        for later in self.connections.iter_mut().filter(|c| !c.starter && c.is_behind()) {
            later.tell(&Answer::Dropped, None);
        }
        loop {
            self.connections.retain(|c| c.starter && c.listens() && c.is_behind());
            let sinks =
                self.connections.iter().flat_map(|c| c.sinks.iter().flatten()).filter(|s| s.is_behind());
            let fds: Vec<_> = sinks.map(Sink::fd).collect();
            if fds.is_empty() {
                return;
            }
            let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::OUT)).collect();
            let waited = rustix::event::poll(&mut polled, None);
            drop(fds);
            if waited.is_err_and(|e| e != rustix::io::Errno::INTR) {
                return;
            }
            self.connections.iter_mut().for_each(Connection::push);
        }
    }
}
