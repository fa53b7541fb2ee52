//! Between the container's streams, its log, and the clients.

use super::SupervisorError;
use super::connection::Connection;
use super::log::{JsonLog, Stream};
use super::streams::{CHUNK, Input, Read, Streams, read_some};

/// All through which bytes of the container go.
pub(super) struct Carrier {
    pub(super) streams: Streams,
    pub(super) log: JsonLog,
    pub(super) clients: Vec<Connection>,
    /// The first failure of the log. It is no reason to end the container (the disk may be full): the
    /// lines are lost, and `inspect` says so.
    pub(super) log_problem: Option<String>,
}

impl Carrier {
    pub(super) fn new(streams: Streams, log: JsonLog, starter: Connection) -> Self {
        Self { streams, log, clients: vec![starter], log_problem: None }
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

    fn note(&mut self, logged: Result<(), SupervisorError>) {
        if let Err(e) = logged {
            let call = e.below().call.unwrap_or_default();
            self.log_problem.get_or_insert(format!("lines of the log were lost: {e}: {call}"));
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

    /// From a client to the container. The end of the starter's input is the end of the container's.
    pub(super) fn carry_input(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some(stdin) = &client.stdin else { return };
        let Some(input) = &mut self.streams.input else { return };
        match read_some(stdin) {
            Read::Bytes(bytes) => input.pending.extend(bytes),
            Read::Nothing => return,
            Read::End => {
                client.stdin = None;
                input.ending = client.starter;
            }
        }
        self.push_input();
    }

    /// Writes what waits for the container.
    pub(super) fn push_input(&mut self) {
        if self.streams.input.as_mut().is_some_and(|input| !Input::push(input)) {
            self.streams.input = None;
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

    /// Init has ended, and with it every process of its pid namespace: what is still in the pipes
    /// is at most their capacity, so nobody is waited for.
    pub(super) fn drain(&mut self) {
        for stream in Stream::BOTH {
            while let Some(fd) = &self.streams.outputs[stream as usize] {
                match read_some(fd) {
                    Read::Bytes(bytes) => self.hand_out(stream, &bytes),
                    Read::Nothing | Read::End => self.streams.outputs[stream as usize] = None,
                }
            }
        }
        let flushed = self.log.flush();
        self.note(flushed);
    }
}
