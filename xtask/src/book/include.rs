//! `{{#include PATH}}`, `{{#include PATH:ANCHOR}}`, `{{#include PATH:FROM:TO}}`, as mdBook writes it.
//!
//! Where mdBook would leave the words in the page, or an empty block, this is an error.

use std::fs;
use std::path::Path;

use super::pages::plain;

/// Replaces the words behind `#include` of a page in `folder` (both below the root of the workspace).
pub(super) fn include(root: &Path, folder: &Path, words: &str) -> Result<String, String> {
    let (path, part) = words.split_once(':').unwrap_or((words, ""));
    let path = plain(folder.join(path));
    if path.starts_with("..") || path.is_absolute() {
        return Err(format!("{} is outside of the project", path.display()));
    }
    let text = fs::read_to_string(root.join(&path)).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines: Vec<&str> = text.lines().collect();
    let starts_with_digit = part.starts_with(|c: char| c.is_ascii_digit());
    let chosen = match part {
        "" => free_of_anchors(&lines)?,
        range if starts_with_digit || range.starts_with(':') => free_of_anchors(in_range(&lines, range)?)?,
        anchor => anchored(&lines, anchor)?,
    };
    if chosen.iter().all(|line| line.trim().is_empty()) {
        return Err(format!("{words} is empty"));
    }
    Ok(outdented(&chosen))
}

/// The first and the last line are counted from 1; either may be left out.
fn in_range<'t, 'a>(lines: &'t [&'a str], range: &str) -> Result<&'t [&'a str], String> {
    let (first, last) = range.split_once(':').unwrap_or((range, range));
    let number = |text: &str, otherwise| match text {
        "" => Ok(otherwise),
        digits => digits.parse::<usize>().map_err(|_| format!("{range} is no range of lines")),
    };
    let (first, last) = (number(first, 1)?, number(last, lines.len())?);
    let chosen = first.checked_sub(1).and_then(|first| lines.get(first..last));
    chosen.ok_or_else(|| format!("there are {} lines, not {range}", lines.len()))
}

/// The lines between `ANCHOR: name` and `ANCHOR_END: name`, without the marks of others.
fn anchored<'a>(lines: &[&'a str], name: &str) -> Result<Vec<&'a str>, String> {
    let at = |word| {
        let mut marks = lines.iter().enumerate().filter(|(_, line)| mark(line, word) == Some(name));
        match (marks.next(), marks.next()) {
            (Some((at, _)), None) => Ok(at),
            (None, _) => Err(format!("`{word} {name}` is missing")),
            (Some(_), Some((again, _))) => {
                Err(format!("`{word} {name}` stands there twice, again in line {}", again + 1))
            }
        }
    };
    let (first, end) = (at("ANCHOR:")?, at("ANCHOR_END:")?);
    let between = lines.get(first + 1..end).ok_or_else(|| format!("{name} ends before it begins"))?;
    Ok(between.iter().filter(|line| !is_mark(line)).copied().collect())
}

fn mark<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.split_once(word)?.1.split_whitespace().next()
}

fn is_mark(line: &str) -> bool {
    line.contains("ANCHOR:") || line.contains("ANCHOR_END:")
}

fn free_of_anchors<'a>(lines: &[&'a str]) -> Result<Vec<&'a str>, String> {
    match lines.iter().find(|line| is_mark(line)) {
        Some(line) => Err(format!("it would show `{}`: include a part by its anchor", line.trim())),
        None => Ok(lines.to_vec()),
    }
}

/// Takes away the blanks that all lines begin with.
fn outdented(lines: &[&str]) -> String {
    let blanks = |line: &&str| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|line| !line.trim().is_empty()).map(blanks).min().unwrap_or(0);
    let lines: Vec<&str> = lines.iter().map(|line| line.get(common..).unwrap_or_default()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::include;

    const SOURCE: &str = "one\n// ANCHOR: a\n    two {\n    // ANCHOR: b\n        three\n    // ANCHOR_END: b\n    }\n\
        // ANCHOR_END: a\n// ANCHOR: c\n// ANCHOR_END: c\n// ANCHOR: open\nlast\n";

    fn of(words: &str) -> Result<String, String> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("src")).unwrap();
        std::fs::write(root.path().join("src/a.rs"), SOURCE).unwrap();
        std::fs::write(root.path().join("src/plain.rs"), "1\n2\n3\n").unwrap();
        include(root.path(), "book/src".as_ref(), words)
    }

    #[test]
    fn an_anchor_gives_its_lines_without_marks_and_margin() {
        assert_eq!(of("../../src/a.rs:a").unwrap(), "two {\n    three\n}");
        assert_eq!(of("../../src/a.rs:b").unwrap(), "three");
        assert_eq!(of("../../src/plain.rs:2:3").unwrap(), "2\n3");
        assert_eq!(of("../../src/plain.rs:2").unwrap(), "2");
        assert_eq!(of("../../src/plain.rs:3:").unwrap(), "3");
        assert_eq!(of("../../src/plain.rs").unwrap(), "1\n2\n3");
    }

    #[test]
    fn what_mdbook_would_pass_over_is_an_error() {
        let message = |words: &str| of(words).unwrap_err();
        assert!(message("../../src/missing.rs").starts_with("src/missing.rs: No such file"));
        assert_eq!(message("../../src/a.rs:nobody"), "`ANCHOR: nobody` is missing");
        assert_eq!(message("../../src/a.rs:open"), "`ANCHOR_END: open` is missing");
        assert_eq!(message("../../src/a.rs:c"), "../../src/a.rs:c is empty");
        assert_eq!(message("../../src/plain.rs:3:9"), "there are 3 lines, not 3:9");
        assert_eq!(message("../../src/plain.rs:4"), "there are 3 lines, not 4");
        assert!(message("../../src/a.rs").starts_with("it would show `// ANCHOR: a`"));
        assert!(message("../../src/a.rs:1:4").starts_with("it would show `// ANCHOR: a`"));
        assert_eq!(message("../../../etc/passwd"), "../etc/passwd is outside of the project");
    }
}
