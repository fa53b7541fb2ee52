//! Words that don't belong in the project.
//!
//! `xtask/words.txt` lists phrases that no file holds. The glossary's last column names what a
//! thing is not called; a phrase there of two or more words means one thing only, so it is
//! looked for too. Single words are left to the reviewer: `slice` is also Rust's. And no file names
//! the folder in which the project happens to lie.

use std::path::Path;

use anyhow::{Context, Result};

use super::Finding;
use crate::source::File;

const LIST: &str = "xtask/words.txt";
const GLOSSARY: &str = "book/src/glossary.md";

pub(super) fn check(root: &Path, files: &[File]) -> Result<Vec<Finding>> {
    let text = |path: &str| {
        let file = files.iter().find(|f| f.path == Path::new(path));
        file.map(|f| f.text.as_str()).with_context(|| format!("{path} is missing"))
    };
    let listed = text(LIST)?.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let folder = root.display().to_string().to_lowercase();
    let phrases: Vec<String> =
        listed.map(str::to_lowercase).chain(not_called(text(GLOSSARY)?)).chain([folder]).collect();
    let readable =
        files.iter().filter(|f| ![LIST, GLOSSARY, "Cargo.lock"].iter().any(|p| f.path == Path::new(p)));
    Ok(readable.flat_map(|file| find(file, &phrases)).collect())
}

/// Phrases of the glossary's last column, in lower case.
fn not_called(glossary: &str) -> Vec<String> {
    let rows = glossary.lines().filter(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    let phrases = cells.flat_map(|cell| cell.split(',')).map(|phrase| phrase.trim().to_lowercase());
    phrases.filter(|phrase| phrase.contains(' ')).collect()
}

fn find(file: &File, phrases: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (i, line) in file.text.lines().enumerate() {
        let line = line.to_lowercase();
        for phrase in phrases.iter().filter(|phrase| holds(&line, phrase)) {
            findings.push(Finding::new(
                &file.path,
                i + 1,
                format!("`{phrase}` doesn't belong in the project"),
            ));
        }
    }
    findings
}

/// Whether `phrase` stands in `line` with no letter or digit right before or behind it.
fn holds(line: &str, phrase: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let cut = |c: Option<char>, edge: Option<char>| !(c.is_some_and(is_word) && edge.is_some_and(is_word));
    line.match_indices(phrase).any(|(at, _)| {
        cut(line[..at].chars().next_back(), phrase.chars().next())
            && cut(line[at + phrase.len()..].chars().next(), phrase.chars().next_back())
    })
}

#[cfg(test)]
mod tests {
    use super::{holds, not_called};

    #[test]
    fn phrases_come_from_the_last_column() {
        let page = "| word | means | not |\n|---|---|---|\n| a | b | two words, slice |\n";
        assert_eq!(not_called(page), ["two words"]);
    }

    #[test]
    fn a_phrase_is_found_as_whole_words() {
        assert!(holds("// later: more", "later"));
        assert!(holds("see /srv/x", "/srv/"));
        assert!(!holds("collaterals", "later"));
    }
}
