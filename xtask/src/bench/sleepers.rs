//! Containers that sleep while something is measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use super::room::{self, Room, Store};
use super::run;
use crate::workspace::Workspace;

/// What sleeps beside a measurement.
#[derive(Args)]
pub(super) struct Asked {
    /// How many containers sleep.
    #[arg(long, default_value_t = 10)]
    containers: usize,
    /// Measure this binary instead of a fresh release build.
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// A room in which containers sleep. Fields go in this order.
pub(super) struct Dormitory {
    pub(super) sleepers: Sleepers,
    pub(super) binary: PathBuf,
    pub(super) store: PathBuf,
    /// Goes with its mounts when all of them are gone.
    pub(super) _room: Room,
}

impl Asked {
    /// Builds what is to be measured, makes the room, and waits until all sleep.
    pub(super) fn make(&self) -> Result<Dormitory> {
        let binary = run::binary(self.binary.as_deref(), &Workspace::read()?)?;
        room::enter()?;
        let room = Room::make(Store::Tmpfs)?;
        let binary = room.take(&binary, "minidocker")?;
        let store = room.path().join("store");
        let sleepers = Sleepers::start(&binary, &store, self.containers)?;
        Ok(Dormitory { sleepers, binary, store, _room: room })
    }
}

/// Their supervisors, and the clients that started them.
pub(super) struct Sleepers {
    binary: PathBuf,
    store: PathBuf,
    clients: Vec<Child>,
    /// One pid a container.
    pub(super) supervisors: Vec<u32>,
}

/// All sleep within this time, or never.
const PATIENCE: Duration = Duration::from_secs(30);

impl Sleepers {
    /// Starts `count` of them, each in the foreground of a client of its own.
    pub(super) fn start(binary: &Path, store: &Path, count: usize) -> Result<Self> {
        let mut all = Self {
            binary: binary.to_owned(),
            store: store.to_owned(),
            clients: Vec::new(),
            supervisors: Vec::new(),
        };
        let first = all.command(&["run", "--rm", "hostbox", "true"]).status()?;
        ensure!(first.success(), "the first run, which assembles hostbox: {first}");
        for number in 0..count {
            let name = format!("sleeper{number}");
            let words = ["run", "--rm", "--network", "none", "--name", &name, "hostbox", "sleep", "1000"];
            all.clients.push(all.command(&words).stdout(Stdio::null()).spawn().context("start a sleeper")?);
        }
        all.wait_until_they_sleep(count)?;
        Ok(all)
    }

    /// A command on their store.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(words).env("MINIDOCKER_ROOT", &self.store).stdin(Stdio::null());
        command
    }

    fn wait_until_they_sleep(&mut self, count: usize) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let ids = self.ids();
            let running = ids.iter().filter(|id| self.is_running(id)).count();
            let pids = supervisors(&ids);
            if running == count && pids.len() == count {
                self.supervisors = pids;
                // Init has become `sleep`; what the supervisor still has to do, it has done by then.
                std::thread::sleep(Duration::from_millis(500));
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("not all of {count} containers run after {PATIENCE:?}")
    }

    fn ids(&self) -> Vec<String> {
        let entries = fs::read_dir(self.store.join("containers")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    fn is_running(&self, id: &str) -> bool {
        self.state(id)["status"] == "running"
    }

    /// The pid of the first one's payload.
    pub(super) fn payload(&self) -> Option<i64> {
        self.state(self.ids().first()?)["pid"].as_i64()
    }

    fn state(&self, id: &str) -> serde_json::Value {
        let text = fs::read(self.store.join("containers").join(id).join("state.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for id in self.ids() {
            let _ = self.command(&["rm", "-f", &id]).stdout(Stdio::null()).status();
        }
        for client in &mut self.clients {
            let _ = client.wait();
        }
    }
}

/// Processes whose argv is `minidocker-supervisor <id> …`, one for each of the ids that has one.
fn supervisors(ids: &[String]) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = words.split(|byte| *byte == 0);
        words.next().is_some_and(|name| name.ends_with(b"minidocker-supervisor"))
            && words.next().is_some_and(|id| ids.iter().any(|i| i.as_bytes() == id))
    };
    pids.filter(is_one).collect()
}
