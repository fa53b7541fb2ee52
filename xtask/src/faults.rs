//! `cargo xtask faults`: death and failure at the system calls of `run`, `kill` and `rm`.

use anyhow::Result;
use clap::Args;

use crate::workspace::{Workspace, cargo};

/// How much of it.
#[derive(Args)]
pub(crate) struct Faults {
    /// Every point once in place of a sample, with the blows in turn: about an hour
    #[arg(long)]
    all: bool,
    /// The seed that was printed, to take the same blows again; with --all, eight in a row take every blow
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs the sweep as root, as a plain user and with a single id; whether nothing was found.
pub(crate) fn run(faults: &Faults) -> Result<bool> {
    let mut command = cargo();
    command.current_dir(Workspace::read()?.root);
    command.args(["test", "-q", "-p", "minidocker", "--test", "faults", "--", "sweep::", "--nocapture"]);
    if faults.all {
        command.env("MINIDOCKER_SWEEP", "all");
    }
    if let Some(seed) = faults.seed {
        command.env("MINIDOCKER_SEED", seed.to_string());
    }
    Ok(command.status()?.success())
}
