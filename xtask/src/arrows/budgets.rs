//! Lines: of each crate, room, file and function, beside what is allowed.
//!
//! A line, for the budget of a crate or room, is one of `src` outside `#[cfg(test)]` that is neither
//! blank nor comment. A file and a function count in full, as a reader scrolls through them.

use std::collections::BTreeMap;

use super::{Finding, crates, rooms};
use crate::source::File;
use crate::table;
use crate::workspace::{Package, Workspace};

const SYS: usize = 750;
const CHAPTER: usize = 600;
/// Chapters that are allowed more than `CHAPTER`.
const WIDER: [(u32, usize); 5] = [(1, 1_000), (3, 1_200), (4, 1_200), (5, 1_200), (6, 1_700)];
const DEMO: usize = 150;
const ROOM: usize = 2_000;
/// The rooms on the way of a `run`, with the root of the crate.
const ON_THE_WAY: [&str; 10] =
    ["cli", "spec", "runtime", "supervisor", "container", "image", "network", "volume", "store", "(root)"];
const ENGINE_ON_THE_WAY: usize = 12_000;
const ENGINE: usize = 18_000;
const FILE: usize = 500;
const FUNCTION: usize = 60;

/// One row of the table.
struct Row {
    what: String,
    lines: usize,
    budget: usize,
}

pub(super) fn check(workspace: &Workspace, files: &[File]) -> Vec<Finding> {
    let rows = rows(workspace, files);
    let cells: Vec<_> =
        rows.iter().map(|r| vec![r.what.clone(), r.lines.to_string(), r.budget.to_string()]).collect();
    table::print(&["crate or room", "lines", "budget"], &cells);
    let over = rows.iter().filter(|row| row.lines > row.budget);
    let over =
        over.map(|r| Finding::new(r.what.as_ref(), 0, format!("{} lines, budget {}", r.lines, r.budget)));
    over.chain(files.iter().filter(|f| f.is_rust()).flat_map(lengths)).collect()
}

fn rows(workspace: &Workspace, files: &[File]) -> Vec<Row> {
    let mut rows = Vec::new();
    for package in &workspace.packages {
        let sources =
            || files.iter().filter(|f| f.is_rust() && f.path.starts_with(package.folder.join("src")));
        let (demo, library): (Vec<_>, Vec<_>) =
            sources().partition(|f| package.chapter().is_some() && crates::is_demo(package, &f.path));
        let name = package.library.as_deref().unwrap_or(&package.name);
        if package.name == "minidocker" {
            rows.extend(engine(&library));
        } else if package.name == "xtask" {
            rows.extend(by_room(&library, xtask_room).into_iter().map(|(room, lines)| Row {
                what: format!("xtask {room}"),
                lines,
                budget: ROOM,
            }));
        } else if let Some(budget) = budget(package) {
            rows.push(Row { what: name.into(), lines: total(&library), budget });
        }
        if !demo.is_empty() {
            rows.push(Row { what: format!("{name}, demo"), lines: total(&demo), budget: DEMO });
        }
    }
    rows
}

fn budget(package: &Package) -> Option<usize> {
    match package.chapter() {
        Some(0) => Some(SYS),
        Some(n) => Some(WIDER.iter().find(|(chapter, _)| *chapter == n).map_or(CHAPTER, |(_, wider)| *wider)),
        None => None,
    }
}

fn engine(files: &[&File]) -> Vec<Row> {
    let lines = by_room(files, rooms::room_of);
    let on_the_way = lines.iter().filter(|(room, _)| ON_THE_WAY.contains(room)).map(|(_, n)| n).sum();
    let all = lines.values().sum();
    let room =
        |(room, n): (&&str, &usize)| Row { what: format!("minidocker {room}"), lines: *n, budget: ROOM };
    let mut rows: Vec<Row> = lines.iter().map(room).collect();
    rows.push(Row {
        what: "minidocker, on the way of a run".into(),
        lines: on_the_way,
        budget: ENGINE_ON_THE_WAY,
    });
    rows.push(Row { what: "minidocker, in all".into(), lines: all, budget: ENGINE });
    rows
}

/// The lines of each room, and of what is in none.
fn by_room<'a>(files: &[&'a File], room: fn(&'a File) -> Option<&'a str>) -> BTreeMap<&'a str, usize> {
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for file in files {
        *lines.entry(room(file).unwrap_or("(root)")).or_default() += file.code().budget_lines(&file.text);
    }
    lines
}

/// A folder right below `xtask/src` is a room.
fn xtask_room(file: &File) -> Option<&str> {
    let mut below = file.path.strip_prefix("xtask/src").ok()?.iter();
    let first = below.next()?.to_str()?;
    below.next().map(|_| first)
}

fn total(files: &[&File]) -> usize {
    files.iter().map(|file| file.code().budget_lines(&file.text)).sum()
}

/// Files and functions that are too long, tests and examples too.
fn lengths(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().count();
    let code = file.code();
    let functions = code.functions();
    let long = functions.iter().filter(|f| f.length > FUNCTION);
    let long = long.map(|f| {
        Finding::new(&file.path, f.line, format!("fn {} has {} lines, at most {FUNCTION}", f.name, f.length))
    });
    let mut findings: Vec<_> = long.collect();
    if lines > FILE {
        findings.push(Finding::new(&file.path, 0, format!("{lines} lines, at most {FILE}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::lengths;
    use crate::source::File;

    #[test]
    fn a_function_counts_from_its_head_to_its_brace() {
        let of = |lines: usize| File {
            path: "a.rs".into(),
            text: format!("fn f() {{\n{}}}\n", "// x\n".repeat(lines - 2)),
            is_test: false,
        };
        assert!(lengths(&of(60)).is_empty());
        assert_eq!(lengths(&of(61))[0].what, "fn f has 61 lines, at most 60");
    }

    #[test]
    fn a_file_counts_in_full() {
        let file = File { path: "a.rs".into(), text: "\n".repeat(501), is_test: true };
        assert_eq!(lengths(&file)[0].what, "501 lines, at most 500");
    }
}
