//! A started command: fed and read by one poll loop, ended by force when its time is up.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::Output;
use crate::call::Input;
use crate::room::Room;

/// How long a pipe may stay open after the command's end before the test fails: `$(minidocker …)` in a
/// shell waits for the end of file, not for the process.
const HELD_OPEN: Duration = Duration::from_secs(20);

/// A command that was started.
pub struct Running {
    child: Child,
    pidfd: OwnedFd,
    input: Option<File>,
    pending: Vec<u8>,
    keep_input: bool,
    out: Stream,
    err: Stream,
    /// The master of its terminal, if it has one.
    pub(crate) terminal: Option<OwnedFd>,
    status: Option<ExitStatus>,
    shown: String,
    end: Instant,
    room: Option<Arc<Room>>,
}

/// One end of a pipe or terminal, and what was read from it.
#[derive(Default)]
struct Stream {
    from: Option<File>,
    bytes: Vec<u8>,
    /// Up to here [`Running::expect`] has looked.
    seen: usize,
}

#[derive(Clone, Copy)]
enum Ready {
    End,
    In,
    Out,
    Err,
}

impl Running {
    pub(crate) fn start(
        mut command: Command,
        input: Input,
        shown: String,
        limit: Duration,
        room: Option<Arc<Room>>,
    ) -> Self {
        use std::os::unix::process::CommandExt;
        if !matches!(input, Input::Null) {
            command.stdin(Stdio::piped());
        }
        // A process group of its own: the tests' own Ctrl-C does not reach it, our kill does.
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn();
        let mut child = child.unwrap_or_else(|e| panic!("start {shown}: {e}"));
        let (keep_input, pending) = match input {
            Input::Bytes(bytes) => (false, bytes),
            Input::Open => (true, Vec::new()),
            Input::Null => (false, Vec::new()),
        };
        let stdin = child.stdin.take().map(|f| File::from(OwnedFd::from(f)));
        let out = child.stdout.take().map(|f| File::from(OwnedFd::from(f)));
        let err = child.stderr.take().map(|f| File::from(OwnedFd::from(f)));
        let mut running = Self::of(child, out, err, shown, limit, room);
        (running.input, running.pending, running.keep_input) = (stdin, pending, keep_input);
        running.input.iter().for_each(nonblocking);
        running
    }

    pub(crate) fn of(
        child: Child,
        out: Option<File>,
        err: Option<File>,
        shown: String,
        limit: Duration,
        room: Option<Arc<Room>>,
    ) -> Self {
        let pidfd = rustix::process::pidfd_open(pid_of(&child), PidfdFlags::empty()).expect("pidfd_open");
        out.iter().chain(&err).for_each(nonblocking);
        let stream = |from| Stream { from, ..Stream::default() };
        let (out, err, end) = (stream(out), stream(err), Instant::now() + limit);
        let (input, pending, terminal, status) = (None, Vec::new(), None, None);
        Self { child, pidfd, input, pending, keep_input: true, out, err, terminal, status, shown, end, room }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        pid_of(&self.child).as_raw_nonzero().get()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
    }

    /// Writes to its standard input or terminal.
    pub fn send(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        self.go_on("it takes its input", |r| r.pending.is_empty());
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        self.input = None;
    }

    /// Reads until `text` appears in its output after what was expected before; tells what came
    /// until there.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let found = |r: &Self| position(&r.out.bytes[r.out.seen..], text.as_bytes());
        self.go_on(&format!("{text:?} appears"), |r| found(r).is_some() || r.out.from.is_none());
        let Some(at) = found(self) else {
            self.give_up(&format!("its output ended without {text:?}"));
        };
        let until = self.out.seen + at + text.len();
        let came = String::from_utf8_lossy(&self.out.bytes[self.out.seen..until]).into_owned();
        self.out.seen = until;
        came
    }

    /// Waits for its end, and for the end of file on its outputs.
    #[must_use = "an output that nobody looks at tests nothing"]
    #[track_caller]
    pub fn finish(mut self) -> Output {
        self.keep_input = false;
        self.go_on("it ends", |r| r.status.is_some());
        self.end = Instant::now() + HELD_OPEN;
        self.go_on("its outputs are closed after its end", |r| r.out.from.is_none() && r.err.from.is_none());
        self.output()
    }

    /// Waits for its end alone: somebody else may still have its outputs.
    #[must_use = "an output that nobody looks at tests nothing"]
    #[track_caller]
    pub fn finish_held(mut self) -> Output {
        self.go_on("it ends", |r| r.status.is_some());
        self.output()
    }

    fn output(&mut self) -> Output {
        use std::os::unix::process::ExitStatusExt;
        let code = self.status.map_or(-1, |s| s.code().unwrap_or_else(|| 128 + s.signal().unwrap_or(0)));
        let (stdout, stderr) = (std::mem::take(&mut self.out.bytes), std::mem::take(&mut self.err.bytes));
        Output { code, stdout, stderr, shown: self.shown.clone() }
    }

    /// Turns the loop until `done`; when the time is up, ends everything and fails the test.
    #[track_caller]
    fn go_on(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let rest = self.end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                self.give_up(&format!("waited in vain until {what}"));
            }
            self.turn(rest);
        }
    }

    #[track_caller]
    fn give_up(&mut self, why: &str) -> ! {
        let mut why = format!("{why}\n");
        if let Some(room) = &self.room {
            let processes = crate::processes::marked(&[room.path.display().to_string()]);
            processes.iter().for_each(|p| why.push_str(&format!("  process {p}\n")));
        }
        self.kill();
        self.output().fail(&why)
    }

    fn turn(&mut self, rest: Duration) {
        if self.pending.is_empty() && !self.keep_input {
            self.input = None;
        }
        let ready: Vec<Ready> = {
            let mut what = Vec::new();
            let mut fds = Vec::new();
            let mut add = |kind, fd, flags| {
                what.push(kind);
                fds.push(PollFd::from_borrowed_fd(fd, flags));
            };
            if self.status.is_none() {
                add(Ready::End, self.pidfd.as_fd(), PollFlags::IN);
            }
            self.out.from.iter().for_each(|f| add(Ready::Out, f.as_fd(), PollFlags::IN));
            self.err.from.iter().for_each(|f| add(Ready::Err, f.as_fd(), PollFlags::IN));
            let input = self.input.iter().filter(|_| !self.pending.is_empty());
            input.for_each(|f| add(Ready::In, f.as_fd(), PollFlags::OUT));
            let wait = Timespec { tv_sec: rest.as_secs().cast_signed(), tv_nsec: rest.subsec_nanos().into() };
            let _ = poll(&mut fds, Some(&wait));
            what.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|(w, _)| *w).collect()
        };
        for kind in ready {
            match kind {
                Ready::End => self.status = self.child.wait().ok(),
                Ready::Out => self.out.read(),
                Ready::Err => self.err.read(),
                Ready::In => self.write(),
            }
        }
    }

    fn write(&mut self) {
        let Some(input) = &mut self.input else { return };
        match input.write(&self.pending) {
            Ok(n) => drop(self.pending.drain(..n)),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // EPIPE: nobody reads any more.
            Err(_) => (self.input, self.pending) = (None, Vec::new()),
        }
    }

    pub(crate) fn set_terminal(&mut self, master: OwnedFd) {
        self.input = Some(File::from(master.try_clone().expect("dup of the terminal")));
        self.terminal = Some(master);
    }

    fn kill(&mut self) {
        if self.status.is_none() {
            let _ = rustix::process::kill_process_group(pid_of(&self.child), Signal::KILL);
            self.signal(Signal::KILL);
            self.status = self.child.wait().ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Stream {
    fn read(&mut self) {
        let Some(from) = &mut self.from else { return };
        let mut buffer = vec![0; 65536];
        match from.read(&mut buffer) {
            Ok(n) if n > 0 => self.bytes.extend_from_slice(&buffer[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // 0 is the end of a pipe, EIO that of a terminal.
            _ => self.from = None,
        }
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed()).expect("a child's pid")
}

fn nonblocking(file: &File) {
    rustix::io::ioctl_fionbio(file, true).expect("FIONBIO");
}

fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|w| w == part)
}
