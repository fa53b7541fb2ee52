//! What the system calls of this process tell about themselves.
//!
//! Errors, `--explain`, its JSON and the drawings of the book all read the same
//! [`Event`]. Nothing is formatted while no sink is set.

use std::cell::{Cell, RefCell};

use serde::{Deserialize, Serialize};

/// Which process made the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The command that the user typed.
    Client,
    /// The process beside one container's init.
    Supervisor,
    /// The process that becomes the container's init.
    Child,
}

/// One system call that was made, in the shape of a line of strace(1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts the calls of one process; whoever merges two processes numbers them again.
    pub seq: u32,
    /// Which process made the call.
    pub role: Role,
    /// The set-up step to which the call belongs, or an empty string.
    pub step: String,
    /// The name of the call, as in section 2 of the manual.
    pub call: String,
    /// The arguments, as strace prints them.
    pub args: String,
    /// `0`, a number, or `-1 EPERM (Operation not permitted)`.
    pub result: String,
    /// The section of the book that explains the step, or an empty string.
    pub section: String,
}

type Sink = Box<dyn FnMut(&Event)>;

thread_local! {
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
    pub(crate) static ROLE: Cell<Role> = const { Cell::new(Role::Client) };
    static CONTEXT: Cell<(&'static str, &'static str)> = const { Cell::new(("", "")) };
    static SEQ: Cell<u32> = const { Cell::new(0) };
}

/// Hands every later event of this thread to `sink`, or to nobody.
pub fn set_sink(sink: Option<Sink>) {
    SINK.set(sink);
}

/// Whether somebody listens.
pub fn sink_is_set() -> bool {
    SINK.with(|s| s.try_borrow().is_ok_and(|s| s.is_some()))
}

/// Says which process this is, from now on.
pub fn set_role(role: Role) {
    ROLE.set(role);
    SEQ.set(0);
}

/// Says to which set-up step, and to which section of the book, later calls belong.
pub fn context(step: &'static str, section: &'static str) {
    CONTEXT.set((step, section));
}

/// Counts one call. The number starts at 1 in each process.
pub(crate) fn next_seq() -> u32 {
    SEQ.set(SEQ.get() + 1);
    SEQ.get()
}

pub(crate) fn emit(seq: u32, call: &str, args: String, result: String) {
    let (step, section) = CONTEXT.get();
    let [step, section, call] = [step, section, call].map(str::to_owned);
    let event = Event { seq, role: ROLE.get(), step, call, args, result, section };
    // A sink that makes calls of ours would come back here: those are its own affair.
    SINK.with(|s| s.try_borrow_mut().ok().as_deref_mut().and_then(Option::as_mut).map(|sink| sink(&event)));
}
