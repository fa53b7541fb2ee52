//! `cargo xtask faults`: death and failure at the system calls of `run`, `start`, `kill` and `rm`.

use anyhow::{Result, ensure};
use clap::Args;

use crate::workspace::{Workspace, cargo, is_root};

/// How much of it.
#[derive(Args)]
pub(crate) struct Faults {
    /// Every point once in place of a sample, with the blows in turn: some hours
    #[arg(long)]
    all: bool,
    /// The seed that was printed, to take the same blows again; with --all, four in a row take every blow
    #[arg(long)]
    seed: Option<u64>,
}

/// A plain user's tests are left out, and without one blow nothing would be found.
fn only_for_root(is_root: bool) -> Result<()> {
    ensure!(
        is_root,
        "faults is for root, who alone can trace what becomes somebody else\n  do: {}",
        "sudo -E env \"PATH=$PATH\" CARGO_TARGET_DIR=/tmp/minidocker-root cargo xtask faults"
    );
    Ok(())
}

/// Runs the sweep as root, as a plain user and with a single id; whether nothing was found.
pub(crate) fn run(faults: &Faults) -> Result<bool> {
    only_for_root(is_root()?)?;
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

#[cfg(test)]
mod tests {
    #[test]
    fn without_root_the_sweep_is_refused_and_not_passed() {
        let told = super::only_for_root(false).unwrap_err().to_string();
        assert!(told.starts_with("faults is for root") && told.contains("\n  do: sudo -E env "), "{told}");
        assert!(super::only_for_root(true).is_ok());
    }
}
