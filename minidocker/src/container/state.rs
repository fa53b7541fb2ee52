//! `state.json`: where a container stands, and what it made on the host.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::runtime::{Failure, Resource, RuntimeLedger};
use crate::spec::{self, Request};
use crate::store::{Record, StoreError, read_record, write_record};

/// Docker's words for where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Never started, or its start failed.
    Created,
    /// Its init runs.
    Running,
    /// Its init has ended.
    Exited,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Exited => "exited",
        })
    }
}

/// The record `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The version of this shape.
    pub version: u32,
    /// Where the container stands. `Running` of a container whose lock is free means: its
    /// supervisor died and nobody has cleared up yet.
    pub status: Status,
    /// The host's number of init, 0 when none runs.
    pub pid: i32,
    /// How init ended; 128 + n after signal n.
    pub exit_code: i32,
    /// Why the start failed, or an empty string.
    pub error: String,
    /// RFC 3339, UTC; an empty string before the first start.
    pub started_at: String,
    /// RFC 3339, UTC; an empty string before the first end.
    pub finished_at: String,
    /// Made by `create`, and waits for its first start: nobody removes it before, not even with `--rm`.
    #[serde(default)]
    pub waits: bool,
    /// What of the request this machine could not give, in words, as `inspect` tells it.
    #[serde(default)]
    pub notices: Vec<String>,
    /// What the container has on the host, in the order in which it was made.
    pub resources: Vec<Resource>,
}

impl Record for State {
    const VERSION: u32 = 1;
}

impl Record for Request {
    const VERSION: u32 = spec::VERSION;
}

impl State {
    /// The state of a container that was never started.
    #[must_use]
    pub fn created() -> Self {
        Self {
            version: Self::VERSION,
            status: Status::Created,
            pid: 0,
            exit_code: 0,
            error: String::new(),
            started_at: String::new(),
            finished_at: String::new(),
            waits: false,
            notices: Vec::new(),
            resources: Vec::new(),
        }
    }

    /// Whether init runs, as far as the record knows.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status == Status::Running
    }

    /// Reads the state of the container in `dir`.
    ///
    /// # Errors
    /// Those of a record.
    pub fn read(dir: &Path) -> Result<Self, StoreError> {
        read_record(&dir.join("state.json"))
    }

    /// Writes it. It dies with the machine, so nothing is synced.
    ///
    /// # Errors
    /// Those of a record.
    pub fn write(&self, dir: &Path) -> Result<(), StoreError> {
        write_record(&dir.join("state.json"), self, false)
    }
}

/// The state of one container in the hands of its supervisor: every change is on disk before the
/// thing that it tells of is made.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    /// What is on disk.
    pub state: State,
}

impl Ledger {
    /// Begins with what is on disk in `dir`.
    ///
    /// # Errors
    /// Those of a record.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { dir: dir.to_owned(), state: State::read(dir)? })
    }

    /// Changes the state and writes it.
    ///
    /// # Errors
    /// Those of a record.
    pub fn change(&mut self, change: impl FnOnce(&mut State)) -> Result<(), StoreError> {
        change(&mut self.state);
        self.state.write(&self.dir)
    }
}

impl RuntimeLedger for Ledger {
    fn record(&mut self, resource: Resource) -> Result<(), Failure> {
        let written = self.change(|state| state.resources.push(resource));
        written.map_err(|e| Failure::of("cannot write the record of the container", &e))
    }
}

/// The time now, RFC 3339 in UTC, as Docker writes it.
#[must_use]
pub fn now() -> String {
    jiff::Timestamp::now().to_string()
}
