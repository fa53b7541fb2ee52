//! The runtime: a bundle becomes a process.
//!
//! [`create`] leaves an init that has its whole surroundings and waits at the exec fifo;
//! [`start`] lets it become the program. Who calls them, and what happens to the program's
//! output, is not known here. What is made on the host is told to a [`RuntimeLedger`] before it
//! is made, and [`release`] takes it back, however often.

mod child;
mod create;
mod devices;
mod exec;
mod fault;
mod init;
mod interpreter;
mod mounts;
mod plan;
mod reason;
mod report;
mod resource;
mod step;
mod unsupported;

pub use create::{Created, Stdio, create, start};
pub use plan::{Plan, PlanError};
pub use report::{Failure, Report, read_report};
pub(crate) use report::{in_words, receive, send, send_with};
pub use resource::{ReleaseError, Resource, RuntimeLedger, open_init, release};
pub use step::{Step, StepKind};
