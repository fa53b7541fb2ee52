//! `cargo xtask book --data`: what the pictures are drawn from, measured again on this machine.
//!
//! `book/data/NAME.sh` prints sections (`== title`, then lines), which are kept as `book/data/NAME.json`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::workspace::Workspace;

/// Where the scripts and what they printed lie, below the root of the workspace.
const FOLDER: &str = "book/data";

/// One part of what a script printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) title: String,
    pub(super) lines: Vec<String>,
}

/// Reads the data of a picture.
pub(super) fn read(root: &Path, name: &str) -> Result<Vec<Section>, String> {
    let path = format!("{FOLDER}/{name}.json");
    let text = fs::read_to_string(root.join(&path)).map_err(|e| format!("{path}: {e}"))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| format!("{path}: {e}"))?;
    let sections = value["sections"].as_array().ok_or_else(|| format!("{path}: no sections"))?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let section = |value: &Value| {
        let lines = value["lines"].as_array()?.iter().map(text).collect::<Option<_>>()?;
        Some(Section { title: text(&value["title"])?, lines })
    };
    let all: Option<Vec<_>> = sections.iter().map(section).collect();
    all.ok_or_else(|| format!("{path}: a section is no title with lines"))
}

/// Runs all scripts anew.
pub(super) fn renew(workspace: &Workspace) -> Result<()> {
    workspace.cargo(&[
        "build",
        "-q",
        "-p",
        "ch01-chroot",
        "-p",
        "ch02-namespaces",
        "--bins",
        "--examples",
    ])?;
    let folder = workspace.root.join(FOLDER);
    for entry in fs::read_dir(&folder).with_context(|| format!("read {FOLDER}"))? {
        let script = entry?.path();
        if script.extension().is_none_or(|e| e != "sh") {
            continue;
        }
        let scratch = tempfile::tempdir()?;
        let out = Command::new("sh")
            .arg(&script)
            .env("TARGET", workspace.target.join("debug"))
            .env("SCRATCH", scratch.path())
            .env("LC_ALL", "C")
            .output()?;
        let name = script.file_name().unwrap_or_default().display().to_string();
        let words = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success() && words.is_empty(), "{name}: {}\n{words}", out.status);
        let sections = sections(&String::from_utf8(out.stdout).context("a name that is not UTF-8")?);
        let all: Vec<Value> = sections.iter().map(|s| json!({"title": s.title, "lines": s.lines})).collect();
        let value = json!({"made_by": format!("sh {FOLDER}/{name}"), "sections": all});
        let path = script.with_extension("json");
        fs::write(&path, serde_json::to_string_pretty(&value)? + "\n")?;
        println!("{}", path.display());
    }
    Ok(())
}

fn sections(text: &str) -> Vec<Section> {
    let mut all: Vec<Section> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("== "), all.last_mut()) {
            (Some(title), _) => all.push(Section { title: title.to_owned(), lines: Vec::new() }),
            (None, Some(section)) => section.lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{read, sections};

    #[test]
    fn sections_have_their_lines() {
        let all = sections("== a\n1\n2\n== b c\n");
        let seen: Vec<_> = all.iter().map(|s| (s.title.as_str(), s.lines.len())).collect();
        assert_eq!(seen, [("a", 2), ("b c", 0)]);
    }

    #[test]
    fn another_shape_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("book/data")).unwrap();
        let of = |text: &str| {
            std::fs::write(root.path().join("book/data/x.json"), text).unwrap();
            read(root.path(), "x").map_err(|e| e.replace("book/data/", ""))
        };
        assert_eq!(of("{\"sections\": [{\"title\": \"a\", \"lines\": [\"1\"]}]}").unwrap().len(), 1);
        assert_eq!(of("{}").unwrap_err(), "x.json: no sections");
        assert_eq!(
            of("{\"sections\": [{\"title\": 1}]}").unwrap_err(),
            "x.json: a section is no title with lines"
        );
        assert!(read(root.path(), "gone").unwrap_err().starts_with("book/data/gone.json: No such file"));
    }
}
