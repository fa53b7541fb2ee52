//! `cargo xtask bench memory`: what the supervisor of a sleeping container keeps for itself.

use std::fs;

use anyhow::{Context, Result};
use clap::Args;

use super::sleepers::{Asked, Dormitory};
use super::stats;
use crate::table;

/// Pages that no other process has, of one supervisor.
const MOST_ANONYMOUS_KIB: f64 = 512.0;
/// Proportional set size of one supervisor beside nine others.
const MOST_PSS_KIB: f64 = 1_024.0;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    beside: Asked,
}

pub(super) fn bench(options: &Options) -> Result<bool> {
    let Dormitory { _room, sleepers, .. } = options.beside.make()?;
    let fields = ["Anonymous", "Pss", "Rss", "Private_Dirty"];
    let rollups: Vec<String> = sleepers
        .supervisors
        .iter()
        .map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("read smaps_rollup"))
        .collect::<Result<_>>()?;
    drop(sleepers);
    println!("supervisors of {} sleeping containers, KiB each", rollups.len());
    let mut rows = Vec::new();
    let mut met = true;
    for name in fields {
        let values: Vec<f64> =
            rollups.iter().map(|text| field(text, name)).collect::<Option<_>>().context(name)?;
        let median = stats::quantile(&values, 1, 2);
        let goal = match name {
            "Anonymous" => Some(MOST_ANONYMOUS_KIB),
            "Pss" => Some(MOST_PSS_KIB),
            _ => None,
        };
        let words =
            goal.map(|goal| format!("at most {goal}: {}", if median <= goal { "met" } else { "MISSED" }));
        met &= goal.is_none_or(|goal| median <= goal);
        let most = stats::quantile(&values, 1, 1);
        rows.push(vec![name.to_owned(), median.to_string(), most.to_string(), words.unwrap_or_default()]);
    }
    table::print(&["", "median", "most", "goal"], &rows);
    Ok(met)
}

/// One line of smaps_rollup (proc_pid_smaps(5)), in KiB.
fn field(text: &str, name: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_field_of_our_own_rollup_is_read() {
        let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let [rss, pss] = ["Rss", "Pss"].map(|name| super::field(&text, name).unwrap());
        assert!(rss >= pss && pss > 0.0, "{rss} {pss}");
        assert_eq!(super::field(&text, "Rs"), None);
    }
}
