//! What child and supervisor tell: events, and the one failure.

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

    /// A failure of ours (125); if a system call is at its root, it is shown with its hint.
    #[must_use]
    pub fn of(message: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut failure = Self::ours(message);
        let mut next = Some(error);
        while let Some(e) = next {
            if let Some(sys) = e.downcast_ref::<sys::SysError>() {
                failure.call = Some(sys.to_string());
                failure.because = sys.hint().map(|h| h.because.to_owned());
                failure.remedy = sys.hint().map(|h| h.remedy.to_owned());
            }
            next = e.source();
        }
        failure
    }

    /// The same with another exit code.
    #[must_use]
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
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
    if got.bytes == 0 {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(&text[..got.bytes])?, fds)))
}

/// How long the next message is; 1 at the end of the stream.
fn next_length(socket: BorrowedFd<'_>) -> std::io::Result<usize> {
    loop {
        match rustix::net::recv(socket, &mut [0u8; 1], RecvFlags::PEEK | RecvFlags::TRUNC) {
            Ok((_, length)) => return Ok(length.max(1)),
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
