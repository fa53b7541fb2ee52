//! Medians of interleaved runs.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

/// A command that is measured, and its times.
pub(super) struct Peer {
    pub(super) name: &'static str,
    command: Box<dyn Fn(usize) -> Command>,
    /// In milliseconds, in the order run.
    pub(super) times: Vec<f64>,
}

impl Peer {
    /// `command` is told the number of the run.
    pub(super) fn new(name: &'static str, command: impl Fn(usize) -> Command + 'static) -> Self {
        Peer { name, command: Box::new(command), times: Vec::new() }
    }

    /// Runs it once; it must succeed.
    pub(super) fn once(&self, number: usize) -> Result<f64> {
        let mut command = (self.command)(number);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let status = command.status().with_context(|| format!("start {command:?}"))?;
        let took = began.elapsed().as_secs_f64() * 1_000.0;
        ensure!(status.success(), "{command:?}: {status}");
        Ok(took)
    }

    pub(super) fn median(&self) -> f64 {
        quantile(&self.times, 1, 2)
    }

    pub(super) fn p99(&self) -> f64 {
        quantile(&self.times, 99, 100)
    }
}

/// Runs all peers in turn, so that a slow minute of the machine is everybody's.
pub(super) fn interleave(peers: &mut [Peer], warm_up: usize, runs: usize) -> Result<()> {
    for number in 0..warm_up + runs {
        for peer in &mut *peers {
            let took = peer.once(number)?;
            if number >= warm_up {
                peer.times.push(took);
            }
        }
    }
    Ok(())
}

/// The time below which `part` of `whole` runs stay (nearest rank); 0 of nothing.
fn quantile(times: &[f64], part: usize, whole: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * part).div_ceil(whole);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let times: Vec<f64> = (1..=31).rev().map(f64::from).collect();
        assert_eq!((quantile(&times, 1, 2), quantile(&times, 99, 100)), (16.0, 31.0));
        assert_eq!(quantile(&[], 1, 2), 0.0);
    }
}
