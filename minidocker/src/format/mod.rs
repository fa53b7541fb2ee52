//! What commands print: Docker's tables and Docker's JSON, from small inputs, without a look at the
//! store or the kernel.

mod inspect;
mod json;
mod ps;
mod table;
mod time;

use crate::spec::Config;

pub use inspect::{Inspected, inspect};
pub use json::pretty;
pub use ps::{Row, ids, ps};
pub use table::{cut, quoted, table};
pub use time::{ago, span};

/// Where a container stands, in Docker's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Status {
    /// Made, and not started yet, or its start failed.
    #[default]
    Created,
    /// Its init runs.
    Running,
    /// Its init ended.
    Exited,
}

impl Status {
    /// As `inspect` shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Exited => "exited",
        }
    }
}

/// The state of a container, as far as it is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State<'a> {
    /// Where it stands.
    pub status: Status,
    /// Host pid of init; 0: none.
    pub pid: i32,
    /// How init ended.
    pub exit_code: i32,
    /// Why the last start failed; empty: it didn't.
    pub error: &'a str,
    /// RFC 3339; empty: never.
    pub started_at: &'a str,
    /// RFC 3339; empty: never.
    pub finished_at: &'a str,
    /// What of the request the machine could not give.
    pub notices: &'a [String],
}

/// The command of a container: entrypoint, then cmd.
fn command(config: &Config) -> Vec<&str> {
    config.entrypoint.iter().chain(&config.cmd).flatten().map(String::as_str).collect()
}

#[cfg(test)]
mod tests;
