//! The supervisor: one small single-threaded process beside each container's init.
//!
//! It is started by a fresh exec, holds the container's lock while it lives, and does four
//! things: it sets the container up, carries its output to the log and to the clients, answers
//! at the control socket, and clears up at the end. [`spawn`] and [`client`] are the other
//! side: what a command uses to start one and to talk to it.

mod answer;
mod carrier;
pub mod client;
mod connection;
mod control;
mod detach;
mod ended;
mod entry;
mod event_loop;
mod job;
mod log;
mod protocol;
mod relay;
mod spawn;
mod streams;

pub use entry::{ARGV0, main};
pub use job::hold_signals;
pub use protocol::{Answer, Attach, Call, Verb};
pub use relay::{End, Foreground, carry};
pub use spawn::{Session, attach, await_start, reap, spawn};

use crate::runtime::in_words;
use crate::store::Below;

/// A conversation with a supervisor that failed.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// A call on a socket, a pipe or the log failed.
    #[error("cannot {what}: {}", in_words(source))]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// What a system call was for, and the call.
    #[error("cannot {what}")]
    Call {
        /// What was tried.
        what: &'static str,
        /// The call that failed.
        source: sys::SysError,
    },
    /// The store failed.
    #[error("{0}")]
    Store(#[from] crate::store::StoreError),
    /// A container's record is missing, damaged or newer.
    #[error("{0}")]
    Container(#[from] crate::container::ContainerError),
    /// The set-up failed; the message is for the user.
    #[error("{0}")]
    Failed(#[from] crate::runtime::Failure),
    /// The supervisor ended without a word.
    #[error(
        "the supervisor of container {0} ended before its container: it was killed, and the container with it"
    )]
    Died(String),
    /// The start failed, and so did clearing it up.
    #[error("{start}; then {undo}")]
    Undone {
        /// Why it could not start.
        start: Box<SupervisorError>,
        /// What is left.
        undo: Box<crate::container::ContainerError>,
    },
    /// The supervisor said no.
    #[error("{0}")]
    Refused(String),
}

impl SupervisorError {
    /// The lines below the first one.
    pub(crate) fn below(&self) -> Below {
        match self {
            Self::Store(e) => e.below(),
            Self::Container(e) => e.below(),
            Self::Undone { start, .. } => start.below(),
            other => Below::of(other),
        }
    }

    /// A failed call of `sys`, with what it was for.
    pub(crate) fn of(what: &'static str) -> impl FnOnce(sys::SysError) -> Self {
        move |source| Self::Call { what, source }
    }

    /// All in one line, as it is told to clients: theirs may be a raw terminal.
    pub(crate) fn in_a_line(&self) -> String {
        match self.below().call {
            Some(call) if !self.to_string().ends_with(&call) => format!("{self}: {call}"),
            _ => self.to_string(),
        }
    }

    /// As [`SupervisorError::io`], with the call as strace shows it.
    pub(crate) fn call<E: Into<std::io::Error>>(
        what: &'static str,
        call: &'static str,
        args: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |e| Self::Call { what, source: sys::SysError::of(call, args.to_owned(), e) }
    }

    pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
