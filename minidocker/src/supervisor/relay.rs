//! The client's side of a foreground container: between our own streams and the supervisor's.

mod bytes;

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use nix::libc::{SIGCONT, SIGWINCH};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use bytes::our_output;

use super::SupervisorError;
use super::detach::DetachKeys;
use super::job::{RawTerminal, passed_on, wait_for_foreground};
use super::protocol::{Answer, Call, Verb};
use super::spawn::Session;
use super::streams::{Read, read_some};
use crate::runtime::{receive, send};

/// What the poll of [`Relay`] is about.
#[derive(Debug, Clone, Copy)]
enum Token {
    Channel,
    Signals,
    OurStdin,
    ContainersStdin,
    Output(usize),
    Our(usize),
}

/// How a foreground container is to be carried.
#[derive(Debug, Clone)]
pub struct Foreground {
    /// The container has a terminal, and ours is to be raw.
    pub tty: bool,
    /// What is typed to leave it alone; only with a terminal.
    pub detach_keys: Vec<u8>,
}

/// How it ended for us.
#[derive(Debug)]
pub enum End {
    /// The container has ended.
    Exited {
        /// 128 + n after signal n.
        code: i32,
        /// Why some of what it wrote went nowhere, if it wasn't that its reader left.
        lost: Option<SupervisorError>,
    },
    /// Its user typed the keys: it goes on without us.
    Detached,
}

struct Relay {
    session: Session,
    /// Whether the container has a terminal, whose size follows ours.
    tty: bool,
    /// Ours, while its keys are the container's.
    terminal: Option<RawTerminal>,
    signals: SignalFd,
    /// What was read from us and waits for the container.
    input: Vec<u8>,
    input_open: bool,
    /// What leaves the container alone, and whether it was typed.
    detach: DetachKeys,
    detached: bool,
    /// What the container wrote and waits for our output and error.
    waiting: [Vec<u8>; 2],
    answer: Option<Result<i32, SupervisorError>>,
    /// The supervisor has closed the channel: nothing more is to be cleared or told.
    closed: bool,
    /// The first loss of what the container wrote.
    lost: Option<SupervisorError>,
    tell: Box<dyn FnMut(sys::Event)>,
}

/// Carries streams, signals and window sizes between us and a container until it has ended, or its
/// user leaves it alone.
///
/// # Errors
/// `Failed`: the set-up; `Died`: the supervisor was killed; `Io`: we can't wait.
pub fn carry(
    session: Session,
    how: Foreground,
    tell: Box<dyn FnMut(sys::Event)>,
) -> Result<End, SupervisorError> {
    let signals = SignalFd::with_flags(&passed_on(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|e| SupervisorError::io("make a signalfd")(e.into()))?;
    let mut relay = Relay {
        input_open: session.stdin.is_some(),
        session,
        tty: how.tty,
        terminal: None,
        signals,
        input: Vec::new(),
        detach: DetachKeys::new(if how.tty { how.detach_keys } else { Vec::new() }),
        detached: false,
        waiting: [Vec::new(), Vec::new()],
        answer: None,
        closed: false,
        lost: None,
        tell,
    };
    relay.take_terminal();
    relay.run()
}

impl Relay {
    fn run(&mut self) -> Result<End, SupervisorError> {
        loop {
            for token in self.wait()? {
                self.handle(token);
            }
            if self.detached && self.input.is_empty() {
                return Ok(End::Detached);
            }
            let drained =
                self.session.outputs.iter().all(Option::is_none) && self.waiting.iter().all(Vec::is_empty);
            let over = match &self.answer {
                None => false,
                // What the container had written is still in the pipes, after its supervisor's death too.
                Some(Ok(_) | Err(SupervisorError::Died(_))) => drained && self.closed,
                Some(Err(_)) => true,
            };
            if over && let Some(answer) = self.answer.take() {
                let lost = self.lost.take();
                if let (Err(_), Some(lost)) = (&answer, &lost) {
                    say(&lost.in_a_line());
                }
                return answer.map(|code| End::Exited { code, lost });
            }
        }
    }

    fn interests(&self) -> Vec<(Token, BorrowedFd<'_>, PollFlags)> {
        let mut list = vec![(Token::Signals, self.signals.as_fd(), PollFlags::IN)];
        if !self.closed {
            list.push((Token::Channel, self.session.channel.as_fd(), PollFlags::IN));
        }
        if let Some(stdin) = &self.session.stdin {
            if !self.input.is_empty() {
                list.push((Token::ContainersStdin, stdin.as_fd(), PollFlags::OUT));
            } else if self.input_open && !self.detached {
                list.push((Token::OurStdin, rustix::stdio::stdin(), PollFlags::IN));
            }
        }
        for at in [0, 1] {
            if !self.waiting[at].is_empty() {
                list.push((Token::Our(at), our_output(at), PollFlags::OUT));
            } else if let Some(output) = &self.session.outputs[at] {
                list.push((Token::Output(at), output.as_fd(), PollFlags::IN));
            }
        }
        list
    }

    fn wait(&self) -> Result<Vec<Token>, SupervisorError> {
        let interests = self.interests();
        let mut fds: Vec<PollFd<'_>> =
            interests.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(SupervisorError::io("wait for events")(e.into())),
        }
        let ready = interests.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|((token, _, _), _)| *token).collect())
    }

    fn handle(&mut self, token: Token) {
        match token {
            Token::Channel => self.hear(),
            Token::Signals => self.pass_signals(),
            Token::OurStdin => self.read_stdin(),
            Token::ContainersStdin => self.push_stdin(),
            Token::Output(at) => match self.session.outputs[at].as_ref().map(read_some) {
                Some(Read::Bytes(bytes)) => self.waiting[at] = bytes,
                Some(Read::Nothing) => {}
                Some(Read::End) | None => self.session.outputs[at] = None,
                Some(Read::Failed(e)) => {
                    self.lose(at, SupervisorError::call("read what the container wrote", "read", "…")(e));
                }
            },
            Token::Our(at) => self.push_output(at),
        }
    }

    fn hear(&mut self) {
        let heard = match receive::<Answer>(self.session.channel.as_fd()) {
            Ok(Some((answer, _))) => answer,
            Ok(None) | Err(_) => {
                self.closed = true;
                self.answer.get_or_insert_with(|| Err(SupervisorError::Died(self.session.id.clone())));
                return;
            }
        };
        match heard {
            Answer::Exited { code } => self.answer = Some(Ok(code)),
            Answer::Failed(failure) => self.answer = Some(Err(failure.into())),
            Answer::Event(event) => (self.tell)(event),
            Answer::Error(text) => say(&text),
            Answer::Dropped => say("the container's output is cut off here: it was not read for too long"),
            // That we are attached, a size set, a signal sent, or too late: nothing follows from it.
            Answer::Ok | Answer::Started | Answer::Gone => {}
            // Never asked for here.
            Answer::State(_) | Answer::Pidfd => {}
        }
    }

    fn ask(&self, verb: Verb) {
        // A supervisor that is gone says so by the end of the channel.
        let _ = send(self.session.channel.as_fd(), &Call::new(verb), &[]);
    }

    /// At the start and after every stop. Without -i our keys are not the container's: the terminal
    /// stays as it is, and Ctrl-C a signal.
    fn take_terminal(&mut self) {
        if self.input_open {
            wait_for_foreground();
            match &self.terminal {
                Some(terminal) => terminal.make_raw(),
                None if self.tty => self.terminal = RawTerminal::enter(),
                None => {}
            }
        }
        self.tell_size();
    }

    fn tell_size(&self) {
        let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout());
        if let (true, Ok(size)) = (self.tty, size) {
            self.ask(Verb::Resize { rows: size.ws_row, columns: size.ws_col });
        }
    }

    fn pass_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let number = info.ssi_signo as i32;
            match number {
                SIGWINCH => self.tell_size(),
                SIGCONT => self.take_terminal(),
                _ => {}
            }
            if number != SIGWINCH {
                self.ask(Verb::Signal { number });
            }
        }
    }
}

/// The terminal may be raw: there a line ends in both. Who can't be told isn't.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "minidocker: {text}\r");
}
