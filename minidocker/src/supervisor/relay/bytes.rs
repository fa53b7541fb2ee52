//! What the client moves: its standard input to the container, the container's outputs to its own.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::{Relay, say};
use crate::supervisor::SupervisorError;
use crate::supervisor::streams::CHUNK;

/// POSIX: a pipe that poll(2) calls writable takes this much without waiting.
const PIPE_BUF: usize = 4096;

impl Relay {
    pub(super) fn read_stdin(&mut self) {
        let mut buffer = vec![0u8; CHUNK];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(n) if n > 0 => {
                (self.input, self.detached) = self.detach.take(&buffer[..n]);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The end, or no descriptor 0 at all.
            Ok(_) | Err(Errno::BADF | Errno::CONNRESET) => self.end_input(),
            // The terminal of a job that no shell can bring back to the foreground.
            Err(Errno::IO) if rustix::termios::isatty(rustix::stdio::stdin()) => self.end_input(),
            Err(e) => {
                say(&SupervisorError::call("read standard input", "read", "0, …")(e).in_a_line());
                self.end_input();
            }
        }
    }

    fn end_input(&mut self) {
        self.input_open = false;
        if self.input.is_empty() {
            self.session.stdin = None;
        }
    }

    pub(super) fn push_stdin(&mut self) {
        let Some(stdin) = &self.session.stdin else { return };
        let part = &self.input[..self.input.len().min(PIPE_BUF)];
        match rustix::io::write(stdin, part) {
            Ok(n) => drop(self.input.drain(..n)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(e) => {
                // EPIPE: the container reads no more.
                if e != Errno::PIPE {
                    say(&SupervisorError::call("pass on standard input", "write", "…")(e).in_a_line());
                }
                self.input.clear();
                self.session.stdin = None;
                self.input_open = false;
            }
        }
        if !self.input_open && self.input.is_empty() {
            self.session.stdin = None;
        }
    }

    /// Our output may be a slow terminal: one part that fits, then back to the loop.
    pub(super) fn push_output(&mut self, at: usize) {
        let waiting = &mut self.waiting[at];
        if waiting.is_empty() {
            return;
        }
        match rustix::io::write(our_output(at), &waiting[..waiting.len().min(PIPE_BUF)]) {
            Ok(n) => drop(waiting.drain(..n)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody reads it any more.
            Err(Errno::PIPE | Errno::CONNRESET) => self.close_output(at),
            Err(e) => {
                let args = if at == 0 { "1, …" } else { "2, …" };
                self.lose(at, SupervisorError::call("write what the container wrote", "write", args)(e));
            }
        }
    }

    pub(super) fn lose(&mut self, at: usize, why: SupervisorError) {
        self.lost.get_or_insert(why);
        self.close_output(at);
    }

    /// Our end is closed, and the supervisor closes the container's.
    fn close_output(&mut self, at: usize) {
        self.waiting[at].clear();
        self.session.outputs[at] = None;
    }
}

pub(super) fn our_output(at: usize) -> BorrowedFd<'static> {
    if at == 0 { rustix::stdio::stdout() } else { rustix::stdio::stderr() }
}
