//! Between the container's streams, its log, and the clients.

use rustix::io::Errno;

use super::SupervisorError;
use super::connection::Connection;
use super::log::{JsonLog, Stream};
use super::protocol::Answer;
use super::streams::{CHUNK, Read, Streams, capacity, read_some};

/// All through which bytes of the container go.
pub(super) struct Carrier {
    pub(super) streams: Streams,
    pub(super) log: JsonLog,
    pub(super) clients: Vec<Connection>,
    /// What was lost on the way, each told once. It is no reason to end the container (the disk may be
    /// full), and `inspect` says so.
    pub(super) problems: Vec<String>,
}

impl Carrier {
    pub(super) fn new(streams: Streams, log: JsonLog, starter: Connection) -> Self {
        Self { streams, log, clients: vec![starter], problems: Vec::new() }
    }

    /// Whether output may be read: not while the starter has not taken the last.
    pub(super) fn takes_output(&self) -> bool {
        !self.clients.iter().any(Connection::holds_back)
    }

    /// Whether more may be read for the container's standard input.
    pub(super) fn takes_input(&self) -> bool {
        self.streams.input.as_ref().is_some_and(|input| input.pending.len() < CHUNK)
    }

    /// Reads what the container wrote to one output, for the log and for every client.
    pub(super) fn carry_output(&mut self, stream: Stream) {
        let Some(fd) = &self.streams.outputs[stream as usize] else { return };
        match read_some(fd) {
            Read::Bytes(bytes) => self.hand_out(stream, &bytes),
            Read::Nothing => {}
            Read::End => self.close_output(stream),
            Read::Failed(e) => {
                self.problem(unread(e));
                self.close_output(stream);
            }
        }
    }

    fn hand_out(&mut self, stream: Stream, bytes: &[u8]) {
        let logged = self.log.write(stream, bytes);
        self.note(logged);
        let mut unread = false;
        for client in &mut self.clients {
            unread |= !client.offer(stream, bytes);
        }
        if unread {
            self.close_output(stream);
        }
    }

    /// Writes what waits for one client.
    pub(super) fn push_output(&mut self, client: usize) {
        for stream in Stream::BOTH {
            if !self.clients[client].push(stream) {
                self.close_output(stream);
            }
        }
    }

    fn note(&mut self, logged: Result<(), SupervisorError>) {
        if let Err(e) = logged {
            self.problem(e);
        }
    }

    /// Tells whoever stays with the container, once. For each failure of one kind the text is the same.
    fn problem(&mut self, what: SupervisorError) {
        let text = what.in_a_line();
        if !self.problems.contains(&text) {
            self.clients
                .iter_mut()
                .filter(|c| c.waits)
                .for_each(|c| c.tell(&Answer::Error(text.clone()), None));
            self.problems.push(text);
        }
    }

    /// The container closed this output: so do we towards the clients, unless bytes still wait.
    fn close_output(&mut self, stream: Stream) {
        self.streams.outputs[stream as usize] = None;
        for client in &mut self.clients {
            let sink = &mut client.sinks[stream as usize];
            if sink.as_ref().is_some_and(|s| !s.is_behind()) {
                *sink = None;
            }
        }
    }

    /// From a client to the container. The end of the starter's input is the end of the container's,
    /// but for a terminal: its next user goes on typing.
    pub(super) fn carry_input(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some(stdin) = &client.stdin else { return };
        let Some(input) = &mut self.streams.input else { return };
        match read_some(stdin) {
            Read::Bytes(bytes) => input.pending.extend(bytes),
            Read::Nothing => return,
            end => {
                client.stdin = None;
                input.ending |= client.starter && !input.is_terminal;
                if let Read::Failed(e) = end {
                    let failed = SupervisorError::call("read the client's standard input", "read", "…")(e);
                    client.tell(&Answer::Error(failed.in_a_line()), None);
                }
            }
        }
        self.push_input();
    }

    /// Writes what waits for the container.
    pub(super) fn push_input(&mut self) {
        let Some(input) = &mut self.streams.input else { return };
        let pushed = input.push();
        if !matches!(pushed, Ok(true)) {
            self.streams.input = None;
        }
        if let Err(e) = pushed
            && e != Errno::PIPE
        {
            self.problem(SupervisorError::call("write the container's standard input", "write", "…")(e));
        }
    }

    /// Lets go of clients that have left, and of input that nobody will read: so its writer is told by
    /// a closed pipe.
    pub(super) fn tidy(&mut self) {
        if self.streams.input.is_none() {
            self.clients.iter_mut().for_each(|client| client.stdin = None);
        }
        self.clients.retain(|client| !client.is_over());
    }

    /// Init has ended, and with it every process of its pid namespace: what they wrote and is still in
    /// the pipes is at most their capacity. What comes behind that is from somebody outside, to whom one
    /// of them passed its output (SCM_RIGHTS); nobody waits for an end that may never come.
    pub(super) fn drain(&mut self) {
        for stream in Stream::BOTH {
            let Some(fd) = self.streams.outputs[stream as usize].take() else { continue };
            let mut rest = capacity(&fd);
            while rest > 0 {
                match read_some(&fd) {
                    Read::Bytes(bytes) => {
                        rest = rest.saturating_sub(bytes.len());
                        self.hand_out(stream, &bytes);
                    }
                    Read::Failed(e) => {
                        self.problem(unread(e));
                        break;
                    }
                    Read::Nothing | Read::End => break,
                }
            }
        }
        let flushed = self.log.flush();
        self.note(flushed);
    }
}

fn unread(why: Errno) -> SupervisorError {
    SupervisorError::call("read what the container wrote", "read", "…")(why)
}

#[cfg(test)]
mod tests;
