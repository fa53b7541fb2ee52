//! What was measured, on which machine, as it is kept.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::floor::STEPS;
use super::stats::Series;

/// One measurement of `bench run`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) version: u32,
    pub(super) unit: String,
    pub(super) command: String,
    /// The file system below the stores.
    pub(super) store: String,
    pub(super) machine: Machine,
    pub(super) measured: Vec<Measured>,
}

/// The series of one user, all of one go.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) who: String,
    /// minidocker, the floor, and the peers.
    pub(super) series: Vec<Series>,
    /// The floor up to each of its steps but the last.
    pub(super) steps: Vec<Series>,
    /// Peers that were not there, and why.
    pub(super) missing: Vec<String>,
}

impl Measured {
    pub(super) fn new(who: &str, all: Vec<Series>, missing: Vec<String>) -> Self {
        let (steps, series) = all.into_iter().partition(|s| STEPS.contains(&s.name.as_str()));
        Self { who: who.to_owned(), series, steps, missing }
    }

    pub(super) fn series(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.name == name)
    }
}

/// What the numbers hang on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) memory_gib: u64,
    pub(super) kernel: String,
    pub(super) system: String,
    /// The commit of the sources.
    pub(super) commit: String,
    /// How many processes wanted a core, in the minute before and in the last one.
    pub(super) load: [f64; 2],
}

impl Machine {
    pub(super) fn look(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let after = |text: String, key: &str, mark: char| {
            let value =
                text.lines().find_map(|line| Some(line.strip_prefix(key)?.split_once(mark)?.1.to_owned()));
            value.unwrap_or_default().trim().trim_matches('"').to_owned()
        };
        let kib = after(text("/proc/meminfo"), "MemTotal", ':');
        let kib: u64 = kib.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
        Self {
            cpu: after(text("/proc/cpuinfo"), "model name", ':'),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: kib.div_ceil(1 << 20),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: after(text("/etc/os-release"), "PRETTY_NAME", '='),
            commit: commit(root),
            load: [load(), 0.0],
        }
    }

    pub(super) fn look_again(&mut self) {
        self.load[1] = load();
    }

    /// More than our own runs wanted the machine. They are one process at a time.
    pub(super) fn was_busy(&self) -> bool {
        self.load.iter().any(|load| *load > 1.5)
    }
}

fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

fn commit(root: &Path) -> String {
    // The bench runs as root in a tree that may be somebody else's.
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "describe", "--always", "--dirty", "--abbrev=12"]).current_dir(root);
    let out = git.output().ok().filter(|out| out.status.success());
    out.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default()
}

impl Record {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, serde_json::to_string(self)? + "\n")
            .with_context(|| format!("write {}", path.display()))
    }
}
