//! What child and supervisor tell: events, and the one failure.

use std::error::Error;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::{Deserialize, Serialize};

/// A set-up that failed, with all that the user is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// 125 ours, 126 the program can't be run, 127 it isn't there.
    pub code: u8,
    /// Docker's words.
    pub message: String,
    /// The failed call as strace shows it.
    pub call: Option<String>,
    /// Why.
    pub because: Option<String>,
    /// What to do next.
    pub remedy: Option<String>,
}

impl Failure {
    /// A failure of ours (125) without a system call.
    #[must_use]
    pub fn ours(message: impl Into<String>) -> Self {
        Self { code: 125, message: message.into(), call: None, because: None, remedy: None }
    }

    /// A failure of ours (125): the message, then what `error` and its causes say. If a system call is
    /// at the root, it stands on a line of its own, with its hint.
    #[must_use]
    pub fn of(message: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::ours(message);
        if let Some(call) = chain(error).find_map(|e| e.downcast_ref::<sys::SysError>()) {
            failure.call = Some(call.to_string());
            (failure.because, failure.remedy) = security::advice(call).unzip();
        }
        for said in chain(error).map(in_words) {
            // What its effect quotes already isn't said twice.
            if failure.call.as_ref() != Some(&said) && !failure.message.ends_with(&said) {
                failure.message = format!("{}: {said}", failure.message);
            }
        }
        failure
    }

    /// The same with the lines `because:` and `do:`.
    #[must_use]
    pub fn advise(mut self, because: impl Into<String>, remedy: impl Into<String>) -> Self {
        (self.because, self.remedy) = (Some(because.into()), Some(remedy.into()));
        self
    }

    /// The same with another exit code.
    #[must_use]
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |e| (*e).source())
}

/// The standard library says `(os error 2)`, we say ENOENT.
pub(crate) fn in_words(error: &(dyn Error + 'static)) -> String {
    let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    let errno = io.or_else(|| error.downcast_ref::<Errno>().map(|e| e.raw_os_error()));
    match errno.map(sys::Errno::from_raw) {
        Some(errno) => format!("{errno:?} ({})", errno.desc()),
        None => error.to_string(),
    }
}

/// One message of the child to whoever made it. The end of the stream says that exec succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Report {
    /// A system call was made (told only when somebody listens).
    Event(sys::Event),
    /// The set-up failed; nothing follows.
    Failed(Failure),
    /// The master's end of the terminal comes with this message.
    Console,
    /// Everything is set up; the child waits at the exec fifo.
    Ready,
}

/// Sends one message, and a descriptor with it. On a SOCK_SEQPACKET socket a message stays whole.
pub(crate) fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    with: &[BorrowedFd<'_>],
) -> std::io::Result<()> {
    send_with(socket, message, with, SendFlags::empty())
}

/// As [`send`], with `DONTWAIT` for a receiver that may not read.
pub(crate) fn send_with<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    with: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> std::io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !with.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(with));
    }
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL | flags)
    })?;
    Ok(())
}

/// Receives one message and the descriptors that came with it; `None` at the end of the stream.
pub(crate) fn receive<T: for<'de> Deserialize<'de>>(
    socket: BorrowedFd<'_>,
) -> std::io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut text = vec![0u8; next_length(socket)?];
    // The end of the stream (or a message of nothing) has nothing to be taken.
    if text.is_empty() {
        return Ok(None);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        match rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut text)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            // unix(7): the other end went away without reading all that we sent. Told once; what it
            // said before is still there to be read.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            other => break other?,
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(Some((serde_json::from_slice(&text[..got.bytes])?, fds)))
}

/// How long the next message is; 0 at the end of the stream.
fn next_length(socket: BorrowedFd<'_>) -> std::io::Result<usize> {
    loop {
        match rustix::net::recv(socket, &mut [0u8; 1], RecvFlags::PEEK | RecvFlags::TRUNC) {
            Ok((_, length)) => return Ok(length),
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// The next report of the child, with the terminal where one comes along; `None` when exec succeeded
/// or the child is gone.
///
/// # Errors
/// The socket fails, or the message is not one of ours.
pub fn read_report(socket: &OwnedFd) -> std::io::Result<Option<(Report, Option<OwnedFd>)>> {
    Ok(receive(socket.as_fd())?.map(|(report, fds)| (report, fds.into_iter().next())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("{0}")]
        Call(#[from] sys::SysError),
        #[error("read /x: {0}")]
        Quotes(#[source] std::io::Error),
        #[error("read /x")]
        Names(#[source] Errno),
    }

    #[test]
    fn a_call_has_a_line_of_its_own_and_nothing_is_said_twice() {
        let call = sys::chdir("/no/such/place".as_ref()).unwrap_err();
        let failure = Failure::of("cannot go there", &Outer::from(call));
        assert_eq!(failure.message, "cannot go there");
        let shown = "chdir(\"/no/such/place\") : ENOENT (No such file or directory)";
        assert_eq!(failure.call.as_deref(), Some(shown));
    }

    #[test]
    fn an_errno_of_the_standard_library_is_named() {
        let failure = Failure::of("cannot look", &Outer::Names(Errno::NOSPC));
        assert_eq!(failure.message, "cannot look: read /x: ENOSPC (No space left on device)");
        let custom = std::io::Error::other("cut off");
        assert_eq!(
            Failure::of("cannot look", &Outer::Quotes(custom)).message,
            "cannot look: read /x: cut off"
        );
    }
}
