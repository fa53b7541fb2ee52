//! Between the container's streams, its log, and the clients.

use super::SupervisorError;
use super::connection::Connection;
use super::log::{JsonLog, Stream};
use super::streams::{CHUNK, Input, Read, Streams, capacity, read_some};

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

    /// From a client to the container. The end of the starter's input is the end of the container's,
    /// but for a terminal: its next user goes on typing.
    pub(super) fn carry_input(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some(stdin) = &client.stdin else { return };
        let Some(input) = &mut self.streams.input else { return };
        match read_some(stdin) {
            Read::Bytes(bytes) => input.pending.extend(bytes),
            Read::Nothing => return,
            Read::End => {
                client.stdin = None;
                input.ending |= client.starter && !input.is_terminal;
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

    /// Init has ended, and with it every process of its pid namespace: what they wrote and is still in
    /// the pipes is at most their capacity. What comes behind that is from somebody outside, to whom one
    /// of them passed its output (SCM_RIGHTS); nobody waits for an end that may never come.
    pub(super) fn drain(&mut self) {
        for stream in Stream::BOTH {
            let Some(fd) = self.streams.outputs[stream as usize].take() else { continue };
            let mut rest = capacity(&fd);
            while rest > 0
                && let Read::Bytes(bytes) = read_some(&fd)
            {
                rest = rest.saturating_sub(bytes.len());
                self.hand_out(stream, &bytes);
            }
        }
        let flushed = self.log.flush();
        self.note(flushed);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write};
    use std::os::fd::OwnedFd;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::super::streams::{nonblocking, pipes};
    use super::*;

    fn client(starter: bool) -> (Connection, File) {
        let flags = SocketFlags::CLOEXEC;
        let (ours, _) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let (reading, writing) = rustix::pipe::pipe().unwrap();
        nonblocking(&reading).unwrap();
        let mut client = Connection::new(ours, starter);
        client.stdin = Some(reading);
        (client, File::from(writing))
    }

    #[test]
    fn the_end_of_the_starters_input_stays_one_when_a_later_client_ends_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (streams, stdio) = pipes(true).unwrap();
        let (starter, mut typed) = client(true);
        let mut carrier = Carrier::new(streams, JsonLog::open(dir.path()).unwrap(), starter);
        let (later, other) = client(false);
        carrier.clients.push(later);
        // The container's own pipe is full, so that bytes of the starter have to wait.
        let ours = &carrier.streams.input.as_ref().unwrap().fd;
        while rustix::io::write(ours, &[b'f'; 4096]).is_ok() {}
        typed.write_all(b"last").unwrap();
        carrier.carry_input(0);
        drop(typed);
        carrier.carry_input(0);
        drop(other);
        carrier.carry_input(1);
        assert_eq!(carrier.streams.input.as_ref().unwrap().pending.len(), 4);
        let mut containers = File::from(stdio.stdin);
        let _ = containers.read(&mut vec![0; CHUNK]).unwrap();
        carrier.push_input();
        assert!(carrier.streams.input.is_none(), "all is written, and the starter said that it was all");
        let mut rest = Vec::new();
        containers.read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(b"last"));
    }

    #[test]
    fn draining_takes_what_a_pipe_holds_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let (streams, stdio) = pipes(false).unwrap();
        // It never ends, as a holder who writes faster than we read.
        let endless = OwnedFd::from(File::open("/dev/zero").unwrap());
        let (starter, _typed) = client(true);
        let streams =
            Streams { outputs: [streams.outputs.into_iter().next().flatten(), Some(endless)], ..streams };
        let mut carrier = Carrier::new(streams, JsonLog::open(dir.path()).unwrap(), starter);
        File::from(stdio.stdout).write_all(b"mine\n").unwrap();
        carrier.drain();
        assert!(carrier.streams.outputs.iter().all(Option::is_none));
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(log.matches("mine").count(), 1);
        assert_eq!(log.lines().count(), 1 + CHUNK / (16 * 1024), "the zeros: lines of 16 KiB");
    }
}
