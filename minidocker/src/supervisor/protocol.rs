//! What is said at the control socket: one JSON message a packet, descriptors beside it.

use serde::{Deserialize, Serialize};

use crate::container::State;
use crate::runtime::Failure;

/// The version of these messages. A supervisor outlives an upgrade of the program.
pub(super) const VERSION: u32 = 1;

/// A question to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// [`VERSION`].
    pub version: u32,
    /// What is wanted.
    pub verb: Verb,
}

impl Call {
    /// A call of our version.
    #[must_use]
    pub fn new(verb: Verb) -> Self {
        Self { version: VERSION, verb }
    }
}

/// The six verbs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Answers [`Answer::State`].
    State,
    /// Connects the pipes that come along; the end is told by [`Answer::Exited`].
    Attach(Attach),
    /// Sets the size of the terminal.
    Resize {
        /// Lines.
        rows: u16,
        /// Characters a line.
        columns: u16,
    },
    /// Sends a signal to init.
    Signal {
        /// The number: real-time signals have no name.
        number: i32,
    },
    /// Answers [`Answer::Exited`] when init has ended.
    Wait,
    /// Answers [`Answer::Pidfd`] with a descriptor on init.
    Pidfd,
}

/// Which pipes come along with [`Verb::Attach`], in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// The reading end of what is to be the container's standard input.
    pub stdin: bool,
    /// The writing end for its standard output, or for its terminal.
    pub stdout: bool,
    /// The writing end for its standard error.
    pub stderr: bool,
    /// Whether the events of the set-up are wanted. Only the starter can have them: for all others the
    /// set-up is over.
    pub events: bool,
}

/// What the supervisor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Done.
    Ok,
    /// The container as the supervisor knows it.
    State(State),
    /// The program runs.
    Started,
    /// Init has ended. The starter hears it before anything is cleared, so that no death of the supervisor
    /// can hide it, and waits for the end of the channel; the others, when all that it had on the host is
    /// released.
    Exited {
        /// 128 + n after signal n.
        code: i32,
    },
    /// A descriptor on init comes along.
    Pidfd,
    /// A system call of the set-up.
    Event(sys::Event),
    /// The set-up failed.
    Failed(Failure),
    /// Init has ended already, so it got no signal.
    Gone,
    /// This client didn't read for too long: its output is cut off here, the container goes on.
    Dropped,
    /// The call was not understood or can't be done now.
    Error(String),
}
