//! Arrows between the engine's rooms: the modules right below `minidocker/src`.
//!
//! The list stands in `book/src/design.md`, in the one block that is fenced as `arrows`; each of its
//! lines is `room -> the rooms that it may name`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Finding;
use crate::paths::{self, NamedPath};
use crate::source::File;

const DESIGN: &str = "book/src/design.md";
const ENGINE: &str = "minidocker/src";

type Arrows = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check(files: &[File]) -> Result<Vec<Finding>> {
    let design =
        files.iter().find(|f| f.path == Path::new(DESIGN)).with_context(|| format!("{DESIGN} is missing"))?;
    let arrows = list(&design.text).with_context(|| format!("{DESIGN}, the block fenced as `arrows`"))?;
    let rooms: BTreeSet<&str> = files.iter().filter_map(room_of).collect();
    let mut findings = Vec::new();
    for room in rooms.iter().filter(|room| !arrows.contains_key(**room)) {
        findings.push(Finding::new(
            Path::new(DESIGN),
            0,
            format!("room {room} has no line in the list of arrows"),
        ));
    }
    for file in files.iter().filter(|f| f.is_rust()) {
        if let Some(room) = room_of(file) {
            findings.extend(named(file, room, &rooms, &arrows));
        }
    }
    Ok(findings)
}

/// The room of a file of the engine. `lib.rs` and `main.rs` are no rooms.
pub(super) fn room_of(file: &File) -> Option<&str> {
    let below = file.path.strip_prefix(ENGINE).ok()?;
    let first = below.iter().next()?.to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&name)).then_some(name)
}

/// Reads the list of arrows out of the design page.
fn list(page: &str) -> Result<Arrows> {
    let mut blocks = page.split("\n```arrows\n").skip(1);
    let block = blocks.next().and_then(|b| b.split("\n```").next()).context("is missing")?;
    if blocks.next().is_some() {
        bail!("stands there twice");
    }
    let mut arrows = Arrows::new();
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let (room, others) = line.split_once("->").with_context(|| format!("`{line}` has no ->"))?;
        let others = others.split_whitespace().map(str::to_owned).collect();
        if arrows.insert(room.trim().to_owned(), others).is_some() {
            bail!("has two lines for {}", room.trim());
        }
    }
    let unknown = arrows.values().flatten().find(|other| !arrows.contains_key(*other));
    if let Some(other) = unknown {
        bail!("names {other}, which has no line");
    }
    Ok(arrows)
}

fn named(file: &File, room: &str, rooms: &BTreeSet<&str>, arrows: &Arrows) -> Vec<Finding> {
    let code = file.code();
    let mut findings = Vec::new();
    for path in paths::named(&code) {
        let Some(target) = below_crate(&path, module_depth(file)) else { continue };
        let allowed = arrows.get(room).is_some_and(|to| to.contains(target));
        let what = match target {
            // `crate::{self}` and a macro of the crate.
            "self" | "*" => continue,
            _ if target == room || allowed => continue,
            _ if rooms.contains(target) || arrows.contains_key(target) => {
                format!("no arrow {room} -> {target}: {}", path.segments.join("::"))
            }
            _ => format!("{target} is no room; lib.rs holds nothing that a room names"),
        };
        findings.push(Finding::new(&file.path, path.line, what));
    }
    findings
}

/// What `path` names right below the root of the crate, by `crate::` or by enough `super::`.
fn below_crate<'a>(path: &NamedPath<'a>, depth: usize) -> Option<&'a str> {
    let segments = path.segments.strip_prefix(&["self"]).unwrap_or(&path.segments);
    if segments.first() == Some(&"crate") {
        return segments.get(1).copied();
    }
    let ups = segments.iter().take_while(|s| **s == "super").count();
    if ups > 0 && ups == depth + path.inline_depth { segments.get(ups).copied() } else { None }
}

/// How many `super` lead from the top of the file to the root of the crate.
fn module_depth(file: &File) -> usize {
    let below = file.path.strip_prefix(ENGINE).unwrap_or(&file.path);
    below.iter().count() - usize::from(below.ends_with("mod.rs"))
}

#[cfg(test)]
mod tests {
    use super::{list, named, room_of};
    use crate::source::File;

    const PAGE: &str = "# Arrows\n\n```arrows\nstore ->\nimage -> store\ncli   -> image store\n```\n";

    fn findings(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.into(), text: text.into(), is_test: false };
        let rooms = ["store", "image", "cli"].into();
        let found = named(&file, room_of(&file).unwrap(), &rooms, &list(PAGE).unwrap());
        found.into_iter().map(|f| format!("{}: {}", f.line, f.what)).collect()
    }

    #[test]
    fn an_arrow_that_is_not_listed_is_found() {
        let text = "use crate::store::Lock;\nuse crate::{image, cli::Run};\nfn f() { crate::cli::run() }";
        assert_eq!(findings("minidocker/src/cli/run.rs", text), [""; 0]);
        let wrong =
            ["2: no arrow image -> cli: crate::cli::Run", "3: no arrow image -> cli: crate::cli::run"];
        assert_eq!(findings("minidocker/src/image.rs", text), wrong);
    }

    #[test]
    fn super_reaches_other_rooms_too() {
        let text = "use super::cli;\nmod x { use super::super::cli; use super::own; }";
        let twice = ["1: no arrow store -> cli: super::cli", "2: no arrow store -> cli: super::super::cli"];
        assert_eq!(findings("minidocker/src/store/mod.rs", text), twice);
        assert_eq!(
            findings("minidocker/src/store/lock.rs", "use super::cli; use super::super::store;"),
            [""; 0]
        );
    }

    #[test]
    fn the_root_of_the_crate_is_no_shelf() {
        let found = findings("minidocker/src/cli/mod.rs", "use crate::Helper;");
        assert_eq!(found, ["1: Helper is no room; lib.rs holds nothing that a room names"]);
    }

    #[test]
    fn a_broken_list_is_refused() {
        let message = |page: &str| list(page).unwrap_err().to_string();
        assert_eq!(message("no block"), "is missing");
        assert_eq!(message("\n```arrows\na -> b\n```"), "names b, which has no line");
        assert_eq!(message("\n```arrows\na ->\na ->\n```"), "has two lines for a");
    }
}
