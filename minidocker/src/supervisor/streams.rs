//! The container's standard streams in the supervisor's hands, and the pipes of its clients.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use super::SupervisorError;
use crate::runtime::Stdio;

/// What is read from the container at once.
pub(super) const CHUNK: usize = 64 * 1024;
/// How much a client that did not start the container may leave unread.
const PATIENCE: usize = 1 << 20;

/// The supervisor's ends.
pub(super) struct Streams {
    /// What the container writes: output (or its terminal), error.
    pub(super) outputs: [Option<OwnedFd>; 2],
    /// What it reads.
    pub(super) input: Option<Input>,
}

/// The writing end of the container's standard input.
pub(super) struct Input {
    pub(super) fd: OwnedFd,
    pub(super) pending: VecDeque<u8>,
    /// Close it when `pending` is empty.
    pub(super) ending: bool,
    pub(super) is_terminal: bool,
}

impl Input {
    fn new(fd: OwnedFd, is_terminal: bool) -> Result<Self, SupervisorError> {
        nonblocking(&fd)?;
        Ok(Self { fd, pending: VecDeque::new(), ending: false, is_terminal })
    }

    /// Writes what it can; false when all is written and it is to end.
    ///
    /// # Errors
    /// Those of [`write_some`].
    pub(super) fn push(&mut self) -> Result<bool, Errno> {
        write_some(&self.fd, &mut self.pending)?;
        Ok(!(self.ending && self.pending.is_empty()))
    }
}

/// Makes the pipes of a container without a terminal: (our ends, its ends).
pub(super) fn pipes(open_stdin: bool) -> Result<(Streams, Stdio), SupervisorError> {
    let pipe = || {
        let made = rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        made.map_err(SupervisorError::call("make the container's streams", "pipe2", "[], O_CLOEXEC"))
    };
    let (stdin, input) = if open_stdin {
        let (theirs, ours) = pipe()?;
        (theirs, Some(Input::new(ours, false)?))
    } else {
        (null()?, None)
    };
    let ((out, stdout), (err, stderr)) = (pipe()?, pipe()?);
    nonblocking(&out)?;
    nonblocking(&err)?;
    Ok((Streams { outputs: [Some(out), Some(err)], input }, Stdio { stdin, stdout, stderr }))
}

/// What a container with a terminal is born with; its terminal replaces them.
pub(super) fn nulls() -> Result<Stdio, SupervisorError> {
    Ok(Stdio { stdin: null()?, stdout: null()?, stderr: null()? })
}

fn null() -> Result<OwnedFd, SupervisorError> {
    let file = std::fs::File::options().read(true).write(true).open("/dev/null");
    let args = "AT_FDCWD, \"/dev/null\", O_RDWR|O_CLOEXEC";
    file.map(OwnedFd::from).map_err(SupervisorError::call("make the container's streams", "openat", args))
}

impl Streams {
    /// The streams of a terminal: one descriptor for both directions.
    pub(super) fn of_terminal(master: OwnedFd, open_stdin: bool) -> Result<Self, SupervisorError> {
        nonblocking(&master)?;
        let again = || master.try_clone().map_err(SupervisorError::call("use the terminal", "dup", "…"));
        let input = if open_stdin { Some(Input::new(again()?, true)?) } else { None };
        Ok(Self { outputs: [Some(master), None], input })
    }
}

pub(super) fn nonblocking(fd: &OwnedFd) -> Result<(), SupervisorError> {
    let failed = |e: Errno| SupervisorError::call("carry the streams", "fcntl", "F_SETFL, O_NONBLOCK")(e);
    let flags = rustix::fs::fcntl_getfl(fd).map_err(failed)?;
    rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(failed)
}

/// How many bytes a pipe holds at most, in bytes (fcntl(2), F_GETPIPE_SZ). A terminal holds less than a
/// chunk (drivers/tty/pty.c: 8 KiB).
pub(super) fn capacity(fd: &OwnedFd) -> usize {
    rustix::pipe::fcntl_getpipe_size(fd).unwrap_or(CHUNK)
}

/// What came of one read.
pub(super) enum Read {
    Bytes(Vec<u8>),
    Nothing,
    End,
    /// It can't be read any more, and what was in it is lost.
    Failed(Errno),
}

/// Reads once.
pub(super) fn read_some(fd: &OwnedFd) -> Read {
    let mut buffer = vec![0u8; CHUNK];
    match rustix::io::read(fd, &mut buffer) {
        Ok(0) | Err(Errno::CONNRESET) => Read::End,
        Err(Errno::IO) if is_terminal(fd) => Read::End,
        Ok(n) => {
            buffer.truncate(n);
            Read::Bytes(buffer)
        }
        Err(Errno::AGAIN | Errno::INTR) => Read::Nothing,
        Err(e) => Read::Failed(e),
    }
}

/// A terminal whose other end is closed answers EIO: that is its end of file.
fn is_terminal(fd: &OwnedFd) -> bool {
    rustix::termios::isatty(fd)
}

/// Writes as much as goes without waiting.
///
/// # Errors
/// `EPIPE`: the other end is closed, of whatever kind it is. Any other: what was to be written is lost.
pub(super) fn write_some(fd: &OwnedFd, pending: &mut VecDeque<u8>) -> Result<(), Errno> {
    while !pending.is_empty() {
        let (front, _) = pending.as_slices();
        match rustix::io::write(fd, front) {
            Ok(n) => drop(pending.drain(..n)),
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Err(Errno::PIPE),
            Err(Errno::IO) if is_terminal(fd) => return Err(Errno::PIPE),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// A client's pipe for one output.
pub(super) struct Sink {
    fd: OwnedFd,
    pending: VecDeque<u8>,
}

impl Sink {
    pub(super) fn new(fd: OwnedFd) -> Result<Self, SupervisorError> {
        nonblocking(&fd)?;
        Ok(Self { fd, pending: VecDeque::new() })
    }

    /// Hands it bytes.
    ///
    /// # Errors
    /// Those of [`write_some`].
    pub(super) fn offer(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.pending.extend(bytes);
        self.push()
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// Those of [`write_some`].
    pub(super) fn push(&mut self) -> Result<(), Errno> {
        write_some(&self.fd, &mut self.pending)
    }

    /// Whether its client left too much unread.
    pub(super) fn is_too_slow(&self) -> bool {
        self.pending.len() > PATIENCE
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

    use super::*;

    #[test]
    fn only_a_closed_end_is_the_end() {
        let (reading, writing) = rustix::pipe::pipe().unwrap();
        nonblocking(&reading).unwrap();
        assert!(matches!(read_some(&reading), Read::Nothing));
        let mut pending = VecDeque::from(*b"x");
        assert_eq!(write_some(&writing, &mut pending), Ok(()));
        assert!(matches!(read_some(&reading), Read::Bytes(bytes) if bytes == b"x"));
        assert!(matches!(read_some(&writing), Read::Failed(Errno::BADF)));
        assert_eq!(write_some(&reading, &mut VecDeque::from(*b"x")), Err(Errno::BADF));
        drop(reading);
        assert_eq!(write_some(&writing, &mut VecDeque::from(*b"x")), Err(Errno::PIPE));
    }

    #[test]
    fn a_terminal_whose_other_end_is_closed_is_at_its_end() {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        drop(rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap());
        assert_eq!(rustix::io::read(&master, &mut [0u8; 1]).unwrap_err(), Errno::IO);
        assert!(matches!(read_some(&master), Read::End));
    }
}
