//! Interleaved runs, and what may be said about them.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// A command that is measured.
pub(super) struct Peer {
    pub(super) name: String,
    /// What it is, with its version.
    pub(super) what: String,
    command: Box<dyn Fn(usize) -> Command>,
}

/// The times of one command, as they are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) what: String,
    /// In milliseconds, in the order run. The n-th times of all series of one record are of one round.
    pub(super) times: Vec<f64>,
}

/// A ratio of two medians, and between what the true one lies, 95 times in 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Peer {
    /// `command` is told the number of the run.
    pub(super) fn new(name: &str, what: &str, command: impl Fn(usize) -> Command + 'static) -> Self {
        Peer { name: name.to_owned(), what: what.to_owned(), command: Box::new(command) }
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
}

impl Series {
    pub(super) fn median(&self) -> f64 {
        quantile(&self.times, 1, 2)
    }

    pub(super) fn p99(&self) -> f64 {
        quantile(&self.times, 99, 100)
    }

    /// How many times as long as `other` this takes. The interval is a bootstrap over rounds: both take
    /// the same ones, because what slows one run down slows its neighbours down too.
    pub(super) fn over(&self, other: &Self) -> Ratio {
        const SAMPLES: usize = 2_000;
        let rounds = self.times.len().min(other.times.len());
        let mut chance = Chance(0);
        let mut ratios: Vec<f64> = (0..SAMPLES)
            .map(|_| {
                let drawn: Vec<usize> = (0..rounds).map(|_| chance.below(rounds)).collect();
                let of = |s: &Self| quantile(&drawn.iter().map(|at| s.times[*at]).collect::<Vec<_>>(), 1, 2);
                of(self) / of(other)
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        Ratio {
            median: self.median() / other.median(),
            low: quantile(&ratios, 25, 1_000),
            high: quantile(&ratios, 975, 1_000),
        }
    }
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Two digits that say something: 2.61, 0.28, 0.036.
        let digits = if self.median < 0.1 { 3 } else { 2 };
        write!(f, "{:.digits$} [{:.digits$}, {:.digits$}]", self.median, self.low, self.high)
    }
}

/// Runs all peers in turn, so that a slow minute of the machine is everybody's.
pub(super) fn interleave(peers: &[Peer], warm_up: usize, runs: usize) -> Result<Vec<Series>> {
    let of = |p: &Peer| Series { name: p.name.clone(), what: p.what.clone(), times: Vec::new() };
    let mut all: Vec<Series> = peers.iter().map(of).collect();
    for number in 0..warm_up + runs {
        for (peer, series) in peers.iter().zip(&mut all) {
            let took = peer.once(number)?;
            if number >= warm_up {
                // To the microsecond: more is noise.
                series.times.push((took * 1_000.0).round() / 1_000.0);
            }
        }
    }
    Ok(all)
}

/// The value below which `part` of `whole` values stay (nearest rank); 0 of nothing.
pub(super) fn quantile(values: &[f64], part: usize, whole: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * part).div_ceil(whole);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Numbers that look random and are the same each time (Knuth's MMIX generator).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Series, quantile};

    fn series(times: Vec<f64>) -> Series {
        Series { name: String::new(), what: String::new(), times }
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let times: Vec<f64> = (1..=31).rev().map(f64::from).collect();
        assert_eq!((quantile(&times, 1, 2), quantile(&times, 99, 100)), (16.0, 31.0));
        assert_eq!(quantile(&[], 1, 2), 0.0);
    }

    #[test]
    fn the_interval_of_a_ratio_holds_it_and_is_narrow_where_both_are_steady() {
        let steady = series((0..51).map(|n| 10.0 + f64::from(n % 3) / 100.0).collect());
        let half = series(steady.times.iter().map(|t| t / 2.0).collect());
        let ratio = steady.over(&half);
        assert!(ratio.low <= ratio.median && ratio.median <= ratio.high, "{ratio:?}");
        assert!((ratio.median - 2.0).abs() < 0.01 && ratio.high - ratio.low < 0.01, "{ratio:?}");
        assert_eq!(ratio, steady.over(&half), "another interval from the same numbers");
        assert_eq!(ratio.to_string(), "2.00 [2.00, 2.00]");
    }

    #[test]
    fn a_slow_stretch_that_both_share_does_not_widen_the_interval() {
        let load = |n: i32| if n > 20 { 3.0 } else { 1.0 };
        let one = series((0..51).map(|n| 4.0 * load(n)).collect());
        let other = series((0..51).map(|n| 2.0 * load(n)).collect());
        assert_eq!(one.over(&other).to_string(), "2.00 [2.00, 2.00]");
    }
}
