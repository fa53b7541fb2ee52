//! `cargo xtask bench commands`: commands that only look, beside sleeping containers.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use super::sleepers::{Asked, Dormitory};
use super::stats::{self, Peer};
use crate::table;

/// A command, and the most that its median may take, in ms.
const COMMANDS: [(&str, f64); 4] = [("version", 2.0), ("ps", 5.0), ("ps -a", 5.0), ("inspect sleeper0", 5.0)];

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    beside: Asked,
    /// How many rounds.
    #[arg(long, default_value_t = 101)]
    runs: usize,
}

pub(super) fn bench(options: &Options) -> Result<bool> {
    let Dormitory { _room, sleepers, binary, store } = options.beside.make()?;
    let count = sleepers.supervisors.len();
    let peer = |line: &'static str| {
        let (binary, store) = (binary.clone(), store.clone());
        Peer::new(line, "", move |_| {
            let mut command = Command::new(&binary);
            command.args(line.split(' ')).env("MINIDOCKER_ROOT", &store);
            command
        })
    };
    let mut peers: Vec<Peer> = COMMANDS.iter().map(|(line, _)| peer(line)).collect();
    // What any dynamic program costs here.
    peers.push(Peer::new("/usr/bin/true", "", |_| Command::new("/usr/bin/true")));
    let all = stats::interleave(&peers, 3, options.runs);
    drop(sleepers);
    let mut met = true;
    let mut rows = Vec::new();
    for series in all? {
        let goal = COMMANDS.iter().find(|(line, _)| *line == series.name).map(|(_, goal)| *goal);
        let median = series.median();
        met &= goal.is_none_or(|goal| median <= goal);
        let words =
            goal.map(|goal| format!("at most {goal}: {}", if median <= goal { "met" } else { "MISSED" }));
        let figures = [median, series.p99()].map(|ms| format!("{ms:.2}"));
        rows.push([vec![series.name], figures.to_vec(), vec![words.unwrap_or_default()]].concat());
    }
    println!("{} rounds beside {} sleeping containers, ms", options.runs, count);
    table::print(&["", "median", "p99", "goal"], &rows);
    Ok(met)
}
