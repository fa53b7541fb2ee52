//! The table of `bench run`, and its goals.

use super::floor::STEPS;
use super::record::{Measured, Record};
use crate::table;

/// Peers, and how many times as long as each of them a user's container may take at most.
fn goals(who: &str) -> &'static [(&'static str, f64)] {
    match who {
        "root" => &[("floor", 2.5), ("runc", 1.0 / 3.0), ("docker", 1.0 / 20.0)],
        _ => &[("floor", 3.0)],
    }
}

/// Prints all, and tells whether the goals are met.
pub(super) fn print(record: &Record) -> bool {
    let machine = &record.machine;
    println!("\n{} on {}, {} cores, Linux {}", machine.commit, machine.cpu, machine.cores, machine.kernel);
    if machine.was_busy() {
        println!(
            "MEASURED UNDER LOAD (load average {} before, {} after): look at the ratios alone, and repeat",
            machine.load[0], machine.load[1]
        );
    }
    let met: Vec<bool> = record.measured.iter().map(|measured| table(record, measured)).collect();
    met.iter().all(|met| *met)
}

fn table(record: &Record, measured: &Measured) -> bool {
    let Some(ours) = measured.series("minidocker") else { return false };
    println!("\n`{}` as {}: {} rounds, ms", record.command, measured.who, ours.times.len());
    let mut all_met = true;
    let mut rows = Vec::new();
    for series in &measured.series {
        let figures = [series.median(), series.p99()].map(|ms| format!("{ms:.2}"));
        let mut row = vec![series.name.clone()];
        row.extend(figures);
        if series.name != ours.name {
            let ratio = ours.over(series);
            row.push(ratio.to_string());
            if let Some((_, goal)) = goals(&measured.who).iter().find(|(peer, _)| *peer == series.name) {
                let met = ratio.median <= *goal;
                all_met &= met;
                row.push(format!("at most {goal:.2}: {}", if met { "met" } else { "MISSED" }));
            }
        }
        rows.push(row);
    }
    table::print(&["", "median", "p99", "ours over it [95 %]", "goal"], &rows);
    for (peer, goal) in goals(&measured.who).iter().filter(|(peer, _)| measured.series(peer).is_none()) {
        all_met = false;
        println!("{peer}: not measured, and so its goal of at most {goal:.2} is not known to be met");
    }
    measured.missing.iter().for_each(|words| println!("not measured: {words}"));
    steps(measured);
    all_met
}

/// What each step of the floor adds.
fn steps(measured: &Measured) {
    let mut before = 0.0;
    let mut rows = Vec::new();
    let last = measured.series("floor").into_iter();
    for (name, series) in STEPS.iter().zip(measured.steps.iter().chain(last)) {
        let until = series.median();
        rows.push(vec![(*name).to_owned(), format!("{:.2}", until - before), format!("{until:.2}")]);
        before = until;
    }
    println!("\nthe floor, step by step");
    table::print(&["", "adds", "until here"], &rows);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stats::Series;

    /// Whether all goals are met when each of these took so many milliseconds.
    fn met(who: &str, took: &[(&str, f64)]) -> bool {
        let series = |(name, ms): &(&str, f64)| Series {
            name: (*name).to_owned(),
            what: String::new(),
            times: vec![*ms; 31],
        };
        let record = Record {
            version: 1,
            unit: "ms".to_owned(),
            command: String::new(),
            store: String::new(),
            machine: crate::bench::record::Machine::look(std::path::Path::new(".")),
            measured: Vec::new(),
        };
        table(&record, &Measured::new(who, took.iter().map(series).collect(), Vec::new()))
    }

    #[test]
    fn a_goal_without_its_peer_is_not_met() {
        let all = [("minidocker", 2.0), ("floor", 1.0), ("runc", 20.0), ("docker", 200.0)];
        assert!(met("root", &all));
        for gone in 0..all.len() {
            let others = [&all[..gone], &all[gone + 1..]].concat();
            assert!(!met("root", &others), "without {}", all[gone].0);
        }
        assert!(met("a plain user with one id", &all[..2]), "has no goal with runc or docker");
        assert!(!met("a plain user with one id", &all[..1]));
        assert!(!met("root", &[("minidocker", 2.6), all[1], all[2], all[3]]), "the floor");
    }
}
