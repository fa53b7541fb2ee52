//! `cargo xtask climb`: each demo binary is the one before it plus one mechanism.
//!
//! Compares neighbouring `main.rs` by their longest common subsequence of lines that are
//! neither blank nor comment, as `diff` would, and fails where a step is too high.

use std::path::Path;

use anyhow::{Result, bail};

use crate::lex;
use crate::source::File;
use crate::table;
use crate::workspace::Workspace;

const MAX_ADDED: usize = 60;
const MAX_REMOVED: usize = 5;

/// Checks all steps between the demo binaries that exist.
pub(crate) fn check() -> Result<()> {
    let workspace = Workspace::read()?;
    let files = workspace.files()?;
    let mut demos: Vec<(u32, &File)> = workspace
        .packages
        .iter()
        .filter_map(|p| {
            let path = p.folder.join("src/main.rs");
            Some((p.chapter()?, files.iter().find(|f| f.path == path)?))
        })
        .collect();
    demos.sort_by_key(|(chapter, _)| *chapter);
    let mut rows = Vec::new();
    let mut too_high = Vec::new();
    for pair in demos.windows(2) {
        let [(from, before), (to, after)] = pair else { continue };
        let (added, removed) = step(&lines(&before.text), &lines(&after.text));
        let name = format!("chapter {from} -> chapter {to}");
        rows.push(vec![name.clone(), added.to_string(), removed.to_string()]);
        if added > MAX_ADDED || removed > MAX_REMOVED {
            too_high.push(format!("{name}: {} adds {added} and removes {removed} lines", shown(&after.path)));
        }
    }
    table::print(
        &["step", &format!("added (at most {MAX_ADDED})"), &format!("removed (at most {MAX_REMOVED})")],
        &rows,
    );
    if !too_high.is_empty() {
        bail!("{}", too_high.join("; "));
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The lines of code, without blanks and comments.
fn lines(text: &str) -> Vec<&str> {
    let tokens = lex::tokens(text);
    let holds_code = |line: usize| tokens.iter().any(|t| (t.line..=t.end_line).contains(&line));
    let all = text.lines().enumerate();
    all.filter(|(i, line)| !line.trim().is_empty() && holds_code(i + 1))
        .map(|(_, line)| line.trim_end())
        .collect()
}

/// How many lines are added and removed on the shortest way from `before` to `after`.
fn step(before: &[&str], after: &[&str]) -> (usize, usize) {
    let mut row = vec![0; after.len() + 1];
    for line in before {
        let mut diagonal = 0;
        for (i, other) in after.iter().enumerate() {
            let above = row[i + 1];
            row[i + 1] = if line == other { diagonal + 1 } else { above.max(row[i]) };
            diagonal = above;
        }
    }
    let common = row[after.len()];
    (after.len() - common, before.len() - common)
}

#[cfg(test)]
mod tests {
    use super::{lines, step};

    #[test]
    fn a_step_counts_added_and_removed_lines() {
        assert_eq!(step(&["a", "b", "c"], &["a", "x", "b", "y"]), (2, 1));
        assert_eq!(step(&["a"], &["a"]), (0, 0));
        assert_eq!(step(&[], &["a", "b"]), (2, 0));
    }

    #[test]
    fn comments_and_blanks_are_no_step() {
        assert_eq!(lines("//! Chapter 1.\n\nfn f() {} // why\n/* a\n b */\n"), ["fn f() {} // why"]);
    }
}
