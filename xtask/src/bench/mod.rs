//! `cargo xtask bench`: what a start costs beside other tools, what a sleeping container costs, and
//! what a build costs.
//!
//! Not part of the gate: the clock of a busy machine proves nothing. The gate counts instead, see
//! tests/guard.

mod build;
mod commands;
mod engines;
mod floor;
mod memory;
mod peers;
mod plot;
mod record;
mod report;
mod room;
mod run;
mod sleepers;
mod stats;
mod who;

use anyhow::Result;
use clap::Subcommand;

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// `run --rm --network none hostbox true`, beside the floor, bubblewrap, runc, podman and docker.
    Run(run::Options),
    /// The supervisors of ten sleeping containers.
    Memory(memory::Options),
    /// `version`, `ps` and `inspect` beside ten sleeping containers.
    Commands(commands::Options),
    /// The cold release build of the engine, and the size of its binary.
    Build,
    /// The book's pictures of book/data/bench-run.json.
    Plot(plot::Options),
    /// A part of `run --rootless`, in a process of that user.
    #[command(hide = true)]
    Part(run::Part),
}

/// Measures, prints, and says whether the goals are met.
pub(crate) fn run(what: &Bench) -> Result<bool> {
    match what {
        Bench::Run(options) => run::bench(options),
        Bench::Memory(options) => memory::bench(options),
        Bench::Commands(options) => commands::bench(options),
        Bench::Build => build::bench(),
        Bench::Plot(options) => plot::plot(options),
        Bench::Part(part) => run::part(part),
    }
}
