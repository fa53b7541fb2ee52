//! The mistakes that mdBook passes over in silence (0.5 ends with 0 on each of them).
//!
//! An include that is missing or empty, a chapter without a file, a page outside of SUMMARY.md, a
//! link or a fragment that leads nowhere, a fence without a language, code that nobody compiles,
//! `--` that would become a dash.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::directives;
use super::markdown::{self, Facts, Fence};
use super::pages::{Page, Pages, SRC, SUMMARY, plain};
use crate::arrows::Finding;

/// As wide as a terminal.
const COLUMNS: usize = 80;

/// What is wrong with the book.
pub(super) fn check(pages: &Pages) -> Vec<Finding> {
    let mut findings = summary(pages);
    let mut facts = BTreeMap::new();
    for page in &pages.all {
        let (expanded, refused) = directives::expand(pages, page);
        findings.extend(refused.into_iter().map(|refused| found(&page.path, refused.line, refused.why)));
        findings.extend(text(page));
        facts.insert(page.path.as_path(), markdown::facts(&expanded));
    }
    for page in &pages.all {
        findings.extend(links(pages, page, &facts));
    }
    findings
}

fn found(page: &Path, line: usize, what: impl Into<String>) -> Finding {
    Finding::new(&Path::new(SRC).join(page), line, what)
}

fn summary(pages: &Pages) -> Vec<Finding> {
    let here = Path::new(SUMMARY);
    let mut findings = Vec::new();
    let mut named: HashSet<&Path> = HashSet::new();
    for entry in &pages.summary {
        if pages.get(&entry.path).is_none() {
            let path = entry.path.display();
            findings.push(found(here, entry.line, format!("a chapter without a file: {path:?}")));
        } else if !named.insert(&entry.path) {
            findings.push(found(here, entry.line, format!("{} stands there twice", entry.path.display())));
        }
    }
    let outside = pages.all.iter().filter(|page| !named.contains(page.path.as_path()));
    findings
        .extend(outside.map(|page| found(&page.path, 0, format!("isn't in {SUMMARY}, so not in the book"))));
    findings
}

/// What a page says of itself, as it is written.
fn text(page: &Page) -> Vec<Finding> {
    let facts = markdown::facts(&page.text);
    let dash = "`--` becomes a dash outside of backticks";
    let dashes = facts.dashes.iter().map(|line| found(&page.path, *line, dash));
    let fences = facts.fences.iter().flat_map(|fence| {
        let wrong = |what: String| found(&page.path, fence.line, what);
        tags(fence).into_iter().map(wrong).chain(wide(page, fence))
    });
    dashes.chain(fences).collect()
}

fn tags(fence: &Fence) -> Option<String> {
    let has = |tag: &str| fence.tags().any(|t| t == tag);
    if fence.info.is_none() {
        return Some("an indented block has no language: fence it".to_owned());
    }
    if fence.tags().next().is_none() {
        return Some("a fence without a language is compiled as Rust".to_owned());
    }
    if has("ignore") {
        return Some("`ignore`: code that is never compiled".to_owned());
    }
    let is_included = |text: &str| text.trim_start().starts_with("{{#") && text.trim_end().ends_with("}}");
    (has("rust") && !is_included(&fence.text)).then(|| "a listing is included, never copied".to_owned())
}

/// Commands of a transcript that a terminal would break.
fn wide(page: &Page, fence: &Fence) -> Vec<Finding> {
    if !fence.tags().any(|tag| tag == "console") {
        return Vec::new();
    }
    let is_typed = |line: &str| ["$ ", "# ", "> "].iter().any(|prompt| line.starts_with(prompt));
    let commands = fence.text.lines().enumerate().filter(|(_, line)| is_typed(line));
    let long = commands.filter(|(_, line)| line.chars().count() > COLUMNS);
    long.map(|(i, _)| found(&page.path, fence.line + 1 + i, format!("wider than {COLUMNS} columns")))
        .collect()
}

/// How much is typed in the transcripts, and the part of them that is wildcards as they are written.
pub(super) fn transcripts(pages: &Pages) -> String {
    let all = pages.all.iter().flat_map(|page| markdown::facts(&page.text).fences);
    let consoles: Vec<Fence> = all.filter(|fence| fence.tags().any(|tag| tag == "console")).collect();
    let lines = || consoles.iter().flat_map(|fence| fence.text.lines());
    let commands = lines().filter(|line| line.starts_with("$ ") || line.starts_with("# ")).count();
    let wild = |line: &str| if line == "..." { 3 } else { 4 * line.matches("[..]").count() };
    let (wild, characters): (usize, usize) = (lines().map(wild).sum(), lines().map(str::len).sum());
    let percent = 100.0 * wild as f64 / characters.max(1) as f64;
    format!("{} transcripts of {commands} commands, {percent:.1} % wildcards", consoles.len())
}

/// Links that lead to no page, to no place of it, or out of the book.
fn links(pages: &Pages, page: &Page, facts: &BTreeMap<&Path, Facts>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for link in markdown::facts(&page.text).links {
        if ["https:", "http:", "mailto:"].iter().any(|scheme| link.to.starts_with(scheme)) {
            continue;
        }
        let (path, fragment) = link.to.split_once('#').unwrap_or((&link.to, ""));
        let target = target(page, path);
        let src = pages.root.join(SRC);
        let what = match facts.get(target.as_path()) {
            Some(there) if fragment.is_empty() || there.ids.contains(fragment) => continue,
            Some(_) => format!("{}: no place #{fragment} there", link.to),
            None if target.starts_with("..") || target.is_absolute() => {
                format!("{} leads out of the book", link.to)
            }
            None if target.extension().is_some_and(|e| e != "md") && src.join(&target).is_file() => continue,
            None => format!("{} leads nowhere", link.to),
        };
        findings.push(found(&page.path, link.line, what));
    }
    findings
}

/// The file that a link names, relative to `book/src`. HTML names what mdBook makes of it.
fn target(page: &Page, path: &str) -> PathBuf {
    if path.is_empty() {
        return page.path.clone();
    }
    let target = plain(page.path.parent().unwrap_or(Path::new("")).join(path));
    if target.extension().is_some_and(|e| e == "html") { target.with_extension("md") } else { target }
}

#[cfg(test)]
mod tests {
    use crate::book::pages::Pages;

    /// A good page; each test spoils one thing.
    const GOOD: &str = "# Title\n\nRun `true --rm`, see [b](b.md#part), [here](#title), \
        [rust](https://rust-lang.org).\n\n```console\n$ true\n```\n\n```rust\n{{#include ../../lib.rs:a}}\n```\n";

    fn findings(page: &str, more: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("book/src/SUMMARY.md", "# Summary\n\n- [A](a.md)\n- [B](b.md)\n");
        write("book/src/a.md", page);
        write("book/src/b.md", "# B\n\n## Part\n");
        write("lib.rs", "// ANCHOR: a\nfn a() {}\n// ANCHOR_END: a\n// ANCHOR: e\n// ANCHOR_END: e\n");
        more.iter().for_each(|(path, text)| write(path, text));
        super::check(&Pages::read(root.path(), root.path().join("tried")).unwrap())
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// `GOOD` passes, and with `from` become `to` it fails with `what` in that line.
    fn spoilt(from: &str, to: &str, what: &str) {
        assert_eq!(findings(GOOD, &[]), [""; 0]);
        let bad = GOOD.replacen(from, to, 1);
        assert_ne!(bad, GOOD);
        let found = findings(&bad, &[]);
        assert!(found.len() == 1 && found[0].contains(what), "{found:?}");
    }

    #[test]
    fn a_missing_include_is_found() {
        spoilt("lib.rs:a", "gone.rs:a", "a.md:10: gone.rs: No such file");
    }

    #[test]
    fn a_missing_anchor_and_an_empty_block_are_found() {
        spoilt("lib.rs:a", "lib.rs:x", "a.md:10: `ANCHOR: x` is missing");
        spoilt("lib.rs:a", "lib.rs:e", "a.md:10: ../../lib.rs:e is empty");
        spoilt("lib.rs:a", "lib.rs:7:9", "a.md:10: there are 5 lines, not 7:9");
    }

    #[test]
    fn the_anchors_of_a_whole_file_are_found() {
        spoilt("lib.rs:a", "lib.rs", "a.md:10: it would show `// ANCHOR: a`");
    }

    #[test]
    fn a_chapter_without_a_file_is_found() {
        let summary = |more: &str| format!("- [A](a.md)\n- [B](b.md)\n{more}");
        let of = |more: &str| findings(GOOD, &[("book/src/SUMMARY.md", &summary(more))]);
        assert_eq!(of(""), [""; 0]);
        assert_eq!(of("- [C](c.md)\n"), ["book/src/SUMMARY.md:3: a chapter without a file: \"c.md\""]);
        assert_eq!(of("- [Draft]()\n"), ["book/src/SUMMARY.md:3: a chapter without a file: \"\""]);
        assert_eq!(of("- [A](a.md)\n"), ["book/src/SUMMARY.md:3: a.md stands there twice"]);
    }

    #[test]
    fn a_page_outside_of_the_summary_is_found() {
        let found = findings(GOOD, &[("book/src/deep/c.md", "# C\n")]);
        assert_eq!(found, ["book/src/deep/c.md:0: isn't in SUMMARY.md, so not in the book"]);
    }

    #[test]
    fn broken_links_and_fragments_are_found() {
        spoilt("b.md#part", "gone.md", "a.md:3: gone.md leads nowhere");
        spoilt("b.md#part", "b.md#parts", "a.md:3: b.md#parts: no place #parts there");
        spoilt("#title", "#titel", "a.md:3: #titel: no place #titel there");
        spoilt("b.md#part", "../../lib.rs", "a.md:3: ../../lib.rs leads out of the book");
        spoilt(
            "[here](#title)",
            "<a href=\"b.html#gone\">x</a>",
            "a.md:3: b.html#gone: no place #gone there",
        );
    }

    #[test]
    fn an_untagged_fence_and_an_indented_block_are_found() {
        spoilt("```console", "```", "a.md:5: a fence without a language");
        spoilt("```console\n$ true\n```", "    $ true", "a.md:5: an indented block has no language");
    }

    #[test]
    fn a_dash_of_two_outside_of_backticks_is_found() {
        spoilt("`true --rm`", "true --rm", "a.md:3: `--` becomes a dash");
    }

    #[test]
    fn code_that_is_never_compiled_is_found() {
        spoilt("```rust\n", "```rust,ignore\n", "a.md:9: `ignore`");
        spoilt("{{#include ../../lib.rs:a}}", "fn copied() {}", "a.md:9: a listing is included");
    }

    #[test]
    fn an_unknown_directive_is_found() {
        spoilt("{{#include ../../lib.rs:a}}", "{{#playground a.rs}}", "a.md:10: `{{#playground a.rs}}`");
    }

    #[test]
    fn a_transcript_that_is_too_wide_is_found() {
        spoilt("$ true", &format!("$ {}", "x".repeat(79)), "a.md:6: wider than 80 columns");
    }
}
