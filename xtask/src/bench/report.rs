//! The table of `bench run`, and its goals.

use super::floor::STEPS;
use super::record::{Measured, Record};
use crate::table;

/// At most so many times as long as a peer may we take.
fn goal(who: &str, peer: &str) -> Option<f64> {
    match (who, peer) {
        ("root", "floor") => Some(2.5),
        (_, "floor") => Some(3.0),
        ("root", "runc") => Some(1.0 / 3.0),
        ("root", "docker") => Some(1.0 / 20.0),
        _ => None,
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
            if let Some(goal) = goal(&measured.who, &series.name) {
                let met = ratio.median <= goal;
                all_met &= met;
                row.push(format!("at most {goal:.2}: {}", if met { "met" } else { "MISSED" }));
            }
        }
        rows.push(row);
    }
    table::print(&["", "median", "p99", "ours over it [95 %]", "goal"], &rows);
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
