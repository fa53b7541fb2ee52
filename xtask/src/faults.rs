//! `cargo xtask faults`: death and failure at the system calls of `run`, `kill` and `rm`.

use anyhow::Result;
use clap::Args;

use crate::workspace::{Workspace, cargo};

/// How much of it.
#[derive(Args)]
pub(crate) struct Faults {
    /// Every point in place of a sample: an hour or more
    #[arg(long)]
    all: bool,
    /// The seed that a sample printed, to take the same one again
    #[arg(long, conflicts_with = "all")]
    seed: Option<u64>,
}

/// Runs the sweep as root, as a plain user and with a single id; whether nothing was found.
pub(crate) fn run(faults: &Faults) -> Result<bool> {
    let mut command = cargo();
    command.current_dir(Workspace::read()?.root);
    command.args(["test", "-q", "-p", "minidocker", "--test", "faults", "--", "sweep::", "--nocapture"]);
    command.arg("--test-threads=1");
    if faults.all {
        command.env("MINIDOCKER_SWEEP", "all");
    }
    if let Some(seed) = faults.seed {
        command.env("MINIDOCKER_SEED", seed.to_string());
    }
    Ok(command.status()?.success())
}
