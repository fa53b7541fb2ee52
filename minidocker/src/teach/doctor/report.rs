//! How it is told: as text of 80 columns, as JSON, as one line for a class.

use std::fmt::Write;

use serde_json::json;

use super::Diagnosis;
use super::condition::{Found, Level};
use super::facts::Outcome;

/// Columns of the text.
const WIDTH: usize = 80;

/// Columns of a tag.
const TAG: usize = 8;

/// The report for people. `bold` makes titles bold; nothing is said by that alone.
#[must_use]
pub fn text(diagnosis: &Diagnosis, bold: bool) -> String {
    let facts = &diagnosis.facts;
    let who = match (facts.asker.rootful, facts.is_plain()) {
        (true, _) => "as root",
        (_, true) => "as a plain user",
        _ => "as uid 0",
    };
    let of = if facts.distribution.is_empty() { "an unnamed distribution" } else { &facts.distribution };
    let mut out = format!("Linux {} on {}, {of}, {who}\n", facts.kernel, facts.machine);
    for found in &diagnosis.found {
        out.push('\n');
        one(&mut out, found, bold);
    }
    if !facts.unseen.is_empty() {
        out.push_str("\nWhat could not be seen here:\n");
        facts.unseen.iter().for_each(|what| wrapped(&mut out, "", what));
    }
    let count = |level| diagnosis.found.iter().filter(|found| found.level == level).count();
    let end = match (count(Level::Stops), count(Level::Limits)) {
        (0, 0) => "Nothing stands in the way of a container.".to_owned(),
        (0, n) => format!("Containers run; {} what works.", conditions(n, "limit")),
        (n, 0) => format!("No container runs: {} all of them.", conditions(n, "stop")),
        (n, more) => {
            let more = format!("{more} limit{} the rest", if more == 1 { "s" } else { "" });
            format!("No container runs: {} all of them; {more}.", conditions(n, "stop"))
        }
    };
    let unexplained = unexplained(diagnosis);
    if !unexplained.is_empty() {
        out.push_str("\nWhat was refused, for a reason that can't be seen from here:\n");
        unexplained.iter().for_each(|call| wrapped(&mut out, "", call));
    }
    // Writing to a String can't fail.
    let _ = writeln!(out, "\n{end}");
    out
}

fn conditions(count: usize, does: &str) -> String {
    if count == 1 { format!("1 condition {does}s") } else { format!("{count} conditions {does}") }
}

/// What was tried of a container's making and refused, where no condition names a reason.
fn unexplained(diagnosis: &Diagnosis) -> Vec<&str> {
    let room = if diagnosis.facts.asker.rootful { "root/" } else { "user/" };
    let of_room = diagnosis.facts.tried.iter().filter(|(what, _)| what.starts_with(room));
    let refused = of_room.filter_map(|(_, outcome)| match outcome {
        Outcome::Refused(refusal) => Some(refusal.call.as_str()),
        _ => None,
    });
    let told = |call: &&str| diagnosis.found.iter().any(|found| found.seen.contains(*call));
    if diagnosis.is_stopped() { Vec::new() } else { refused.filter(|call| !told(call)).collect() }
}

/// One condition.
pub(super) fn one(out: &mut String, found: &Found, bold: bool) {
    let (on, off) = if bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let _ = writeln!(out, "{on}[{}] {}{off}", found.level.word(), found.condition.id);
    wrapped(out, "what:", found.title);
    wrapped(out, "seen:", &found.seen);
    wrapped(out, "why:", found.why);
    wrapped(out, "stops:", &found.stops);
    for (n, [todo, undo]) in found.remedies.iter().enumerate() {
        command(out, if n == 0 { "do:" } else { "or:" }, todo);
        command(out, "undo:", undo);
    }
}

/// A line behind its tag, broken between words, or behind a `|` of flags.
pub(super) fn wrapped(out: &mut String, tag: &str, words: &str) {
    let mut line = format!("  {tag:TAG$}");
    for word in words.split_inclusive([' ', '|']) {
        let wide = line.chars().count() + word.trim_end().chars().count() > WIDTH;
        if wide && line.trim_end().chars().count() > TAG + 2 {
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(TAG + 2);
        }
        line.push_str(word);
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

/// A command behind its tag. A long one goes on behind backslashes, as in a shell.
fn command(out: &mut String, tag: &str, line: &str) {
    let broken = line.replace(" --", &format!(" \\\n{}--", " ".repeat(TAG + 4)));
    let _ =
        writeln!(out, "  {tag:TAG$}{}", if TAG + 2 + line.chars().count() > WIDTH { &broken } else { line });
}

/// Everything, for programs.
#[must_use]
pub fn json(diagnosis: &Diagnosis) -> String {
    let all = json!({
        "version": 1,
        "stopped": diagnosis.is_stopped(),
        "conditions": diagnosis.found.iter().map(as_json).collect::<Vec<_>>(),
        "facts": diagnosis.facts,
    });
    format!("{all:#}\n")
}

fn as_json(found: &Found) -> serde_json::Value {
    let Found { condition, level, title, why, seen, stops, remedies } = found;
    let remedies: Vec<_> = remedies.iter().map(|[todo, undo]| json!({ "do": todo, "undo": undo })).collect();
    json!({
        "id": condition.id, "level": level.word(), "title": title, "why": why,
        "seen": seen, "stops": stops, "remedies": remedies,
    })
}

/// One line to send to the instructor: no name and no path is in it.
#[must_use]
pub fn class(diagnosis: &Diagnosis) -> String {
    let facts = &diagnosis.facts;
    let ids = |level| {
        let ids: Vec<&str> =
            diagnosis.found.iter().filter(|f| f.level == level).map(|f| f.condition.id).collect();
        if ids.is_empty() { "-".to_owned() } else { ids.join(",") }
    };
    format!(
        "minidocker-doctor-1 linux={} machine={} on={} user={} cgroups={} stops={} limits={} unseen={}\n",
        facts.kernel,
        facts.machine,
        if facts.distribution.is_empty() { "-" } else { &facts.distribution },
        if facts.asker.rootful {
            "root"
        } else if facts.is_plain() {
            "plain"
        } else {
            "unknown"
        },
        if facts.groups.kind.is_empty() { "-" } else { &facts.groups.kind },
        ids(Level::Stops),
        ids(Level::Limits),
        facts.unseen.len()
    )
}
