//! `cargo xtask bench`: what a start costs beside other tools, and what a build costs.
//!
//! Not part of the gate: the clock of a busy machine proves nothing.

mod build;
mod peers;
mod run;
mod stats;

use anyhow::Result;
use clap::Subcommand;

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// `run --rm --network none hostbox true`, beside runc and docker.
    Run(run::Options),
    /// The cold release build of the engine, and the size of its binary.
    Build,
}

/// Measures, prints, and says whether the goals are met.
pub(crate) fn run(what: &Bench) -> Result<bool> {
    match what {
        Bench::Run(options) => run::bench(options),
        Bench::Build => build::bench(),
    }
}
