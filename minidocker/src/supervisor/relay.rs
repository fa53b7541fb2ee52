//! The client's side of a foreground container: between our own streams and the supervisor's.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios};

use super::SupervisorError;
use super::protocol::{Answer, Call, Verb};
use super::spawn::Session;
use super::streams::{CHUNK, Read, read_some};
use crate::runtime::{receive, send};

/// POSIX: a pipe that poll(2) calls writable takes this much without waiting.
const PIPE_BUF: usize = 4096;

/// How a foreground container is to be carried.
#[derive(Debug, Clone, Copy)]
pub struct Foreground {
    /// The container has a terminal, and ours is to be raw.
    pub tty: bool,
}

/// Our own terminal in raw mode; as before when this is dropped.
struct RawTerminal(Termios);

impl RawTerminal {
    fn enter() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let before = rustix::termios::tcgetattr(stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that went away.
        let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
    }
}

/// The signals that are passed on, as Docker does: all but those that can't be caught, that tell of
/// our own children, pipes and sockets, and that mean a fault of our own.
fn passed_on() -> SigSet {
    let mut set = SigSet::all();
    let kept = [
        Signal::SIGKILL,
        Signal::SIGSTOP,
        Signal::SIGCHLD,
        Signal::SIGPIPE,
        Signal::SIGURG,
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGTRAP,
    ];
    kept.into_iter().for_each(|signal| set.remove(signal));
    set
}

/// Blocks the signals that [`carry`] will pass on. To be called before the supervisor is started,
/// so that none is lost between.
///
/// # Errors
/// None in practice.
pub fn hold_signals() -> Result<(), SupervisorError> {
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&passed_on()), None)
        .map_err(|e| SupervisorError::io("block signals")(e.into()))
}

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

struct Relay {
    session: Session,
    foreground: Foreground,
    signals: SignalFd,
    /// What was read from us and waits for the container.
    input: Vec<u8>,
    input_open: bool,
    /// What the container wrote and waits for our output and error.
    waiting: [Vec<u8>; 2],
    answer: Option<Result<i32, SupervisorError>>,
    /// Why the container's output went nowhere, if it wasn't that its reader left.
    lost: Option<Errno>,
    tell: Box<dyn FnMut(sys::Event)>,
}

/// Carries streams, signals and window sizes until the container has ended; returns its exit code.
///
/// # Errors
/// `Failed`: the set-up; `Died`: the supervisor was killed.
pub fn carry(
    session: Session,
    foreground: Foreground,
    tell: Box<dyn FnMut(sys::Event)>,
) -> Result<i32, SupervisorError> {
    let signals = SignalFd::with_flags(&passed_on(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|e| SupervisorError::io("make a signalfd")(e.into()))?;
    let input_open = session.stdin.is_some();
    let mut relay = Relay {
        session,
        foreground,
        signals,
        input: Vec::new(),
        input_open,
        waiting: [Vec::new(), Vec::new()],
        answer: None,
        lost: None,
        tell,
    };
    // Without -i our keys are not the container's: Ctrl-C stays a signal, which is passed on.
    let terminal = if foreground.tty && input_open { RawTerminal::enter() } else { None };
    if foreground.tty {
        relay.tell_size();
    }
    let ended = relay.run();
    drop(terminal);
    ended
}

impl Relay {
    fn run(&mut self) -> Result<i32, SupervisorError> {
        loop {
            for token in self.wait()? {
                self.handle(token);
            }
            let drained =
                self.session.outputs.iter().all(Option::is_none) && self.waiting.iter().all(Vec::is_empty);
            // What a dead supervisor had sent is still in the pipes.
            let at_once = |e: &SupervisorError| !matches!(e, SupervisorError::Died(_));
            let over = |answer: &mut Result<i32, _>| drained || answer.as_ref().is_err_and(at_once);
            if let Some(answer) = self.answer.take_if(over) {
                return match self.lost {
                    Some(e) => Err(SupervisorError::io("write what the container wrote")(e.into())),
                    None => answer,
                };
            }
        }
    }

    fn interests(&self) -> Vec<(Token, BorrowedFd<'_>, PollFlags)> {
        let mut list = vec![(Token::Signals, self.signals.as_fd(), PollFlags::IN)];
        if self.answer.is_none() {
            list.push((Token::Channel, self.session.channel.as_fd(), PollFlags::IN));
        }
        if let Some(stdin) = &self.session.stdin {
            if !self.input.is_empty() {
                list.push((Token::ContainersStdin, stdin.as_fd(), PollFlags::OUT));
            } else if self.input_open {
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
            Err(e) => return Err(SupervisorError::io("poll")(e.into())),
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
            },
            Token::Our(at) => self.push_output(at),
        }
    }

    fn hear(&mut self) {
        let heard = match receive::<Answer>(self.session.channel.as_fd()) {
            Ok(Some((answer, _))) => answer,
            Ok(None) | Err(_) => {
                self.answer = Some(Err(SupervisorError::Died(self.session.id.clone())));
                return;
            }
        };
        match heard {
            Answer::Exited { code } => self.answer = Some(Ok(code)),
            Answer::Failed(failure) => self.answer = Some(Err(failure.into())),
            Answer::Event(event) => (self.tell)(event),
            // The terminal may be raw: there a line ends in both. Who can't be told isn't.
            Answer::Error(text) => drop(writeln!(std::io::stderr(), "minidocker: {text}\r")),
            _ => {}
        }
    }

    fn ask(&self, verb: Verb) {
        // A supervisor that is gone says so by the end of the channel.
        let _ = send(self.session.channel.as_fd(), &Call::new(verb), &[]);
    }

    fn tell_size(&self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdout()) {
            self.ask(Verb::Resize { rows: size.ws_row, columns: size.ws_col });
        }
    }

    fn pass_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let number = info.ssi_signo as i32;
            if number == nix::libc::SIGWINCH {
                if self.foreground.tty {
                    self.tell_size();
                }
            } else {
                self.ask(Verb::Signal { number });
            }
        }
    }

    fn read_stdin(&mut self) {
        let mut buffer = vec![0u8; CHUNK];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(n) if n > 0 => {
                buffer.truncate(n);
                self.input = buffer;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The end, or a terminal that went away, or no descriptor 0 at all.
            _ => self.end_input(),
        }
    }

    fn end_input(&mut self) {
        self.input_open = false;
        if self.input.is_empty() {
            self.session.stdin = None;
        }
    }

    fn push_stdin(&mut self) {
        let Some(stdin) = &self.session.stdin else { return };
        let part = &self.input[..self.input.len().min(PIPE_BUF)];
        match rustix::io::write(stdin, part) {
            Ok(n) => drop(self.input.drain(..n)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The container reads no more.
            Err(_) => {
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
    fn push_output(&mut self, at: usize) {
        let waiting = &mut self.waiting[at];
        if waiting.is_empty() {
            return;
        }
        match rustix::io::write(our_output(at), &waiting[..waiting.len().min(PIPE_BUF)]) {
            Ok(n) => drop(waiting.drain(..n)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody takes it: our end is closed, and the supervisor closes the container's.
            Err(e) => {
                waiting.clear();
                self.session.outputs[at] = None;
                if e != Errno::PIPE {
                    self.lost = Some(e);
                }
            }
        }
    }
}

fn our_output(at: usize) -> BorrowedFd<'static> {
    if at == 0 { rustix::stdio::stdout() } else { rustix::stdio::stderr() }
}
