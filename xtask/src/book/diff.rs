//! Unified diffs, as `diff -u` writes them.

use std::fmt::Write;

/// Lines around a change.
const CONTEXT: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    Keep,
    Remove,
    Add,
}

/// The way from `before` to `after`, each with its name; empty when both are the same.
pub(super) fn unified(before: (&str, &str), after: (&str, &str)) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.1.lines().collect(), after.1.lines().collect());
    let edits = edits(&old, &new);
    let mut out = String::new();
    // Where each edit stands in both texts.
    let (mut at_old, mut at_new) = (0, 0);
    let mut places = Vec::with_capacity(edits.len());
    for edit in &edits {
        places.push((at_old, at_new));
        at_old += usize::from(*edit != Edit::Add);
        at_new += usize::from(*edit != Edit::Remove);
    }
    for hunk in hunks(&edits) {
        let inside = &edits[hunk.clone()];
        let count = |other| inside.iter().filter(|edit| **edit != other).count();
        let (first_old, first_new) = places[hunk.start];
        let _ = writeln!(
            out,
            "@@ -{},{} +{},{} @@",
            first_old + 1,
            count(Edit::Add),
            first_new + 1,
            count(Edit::Remove)
        );
        for (edit, (at_old, at_new)) in inside.iter().zip(&places[hunk.clone()]) {
            let (mark, line) = match edit {
                Edit::Keep => (' ', old[*at_old]),
                Edit::Remove => ('-', old[*at_old]),
                Edit::Add => ('+', new[*at_new]),
            };
            let _ = writeln!(out, "{}", format!("{mark}{line}").trim_end());
        }
    }
    if out.is_empty() { out } else { format!("--- {}\n+++ {}\n{out}", before.0, after.0) }
}

/// The edits of a longest common subsequence of lines; removals stand before additions.
fn edits(old: &[&str], new: &[&str]) -> Vec<Edit> {
    // common[i][j]: how many lines old[i..] and new[j..] share.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut edits) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            edits.push(Edit::Keep);
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            edits.push(Edit::Remove);
            i += 1;
        } else {
            edits.push(Edit::Add);
            j += 1;
        }
    }
    edits
}

/// The changes with their context; two that are close are one.
fn hunks(edits: &[Edit]) -> Vec<std::ops::Range<usize>> {
    let mut hunks: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in edits.iter().enumerate().filter(|(_, edit)| **edit != Edit::Keep) {
        let (start, end) = (at.saturating_sub(CONTEXT), (at + 1 + CONTEXT).min(edits.len()));
        match hunks.last_mut().filter(|last| last.end >= start) {
            Some(last) => last.end = end,
            None => hunks.push(start..end),
        }
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn a_change_stands_in_its_context() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let after = "1\n2\n3\n4\nfive\n6\n7\n8\n9\nten\n";
        let shown = "--- a\n+++ b\n@@ -2,8 +2,9 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n 9\n+ten\n";
        assert_eq!(unified(("a", before), ("b", after)), shown);
        assert_eq!(unified(("a", before), ("b", before)), "");
    }

    #[test]
    fn patch_would_accept_it() {
        let far = |mark: &str| format!("{mark}\n{}{mark}\n", "same\n".repeat(9));
        let shown = unified(("a", &far("x")), ("b", &far("y")));
        let heads: Vec<_> = shown.lines().filter(|line| line.starts_with("@@")).collect();
        assert_eq!(heads, ["@@ -1,4 +1,4 @@", "@@ -8,4 +8,4 @@"]);
    }
}
