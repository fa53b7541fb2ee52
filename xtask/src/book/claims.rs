//! Claims: sentences about what the kernel does, each with a probe that shows it.
//!
//! A page writes `<!-- claim: ID -->` behind such a sentence. In the book a mark that leads to the
//! probe stands there, and the page with `{{#claims}}` lists them all.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::pages::{Page, Pages};
use table::{PROBES, Probe, Who};

#[path = "../../../tests/transcripts/claims.rs"]
mod table;

const MARK: &str = "<!-- claim: ";

/// A sentence that is marked.
pub(super) struct Claim<'a> {
    pub(super) line: usize,
    pub(super) id: &'a str,
    sentence: String,
}

/// The claims of a page.
pub(super) fn of(page: &Page) -> Vec<Claim<'_>> {
    let mut claims = Vec::new();
    let mut end = 0;
    while let Some(at) = page.text[end..].find(MARK).map(|at| end + at) {
        let Some(length) = page.text[at..].find(" -->") else { break };
        let id = &page.text[at + MARK.len()..at + length];
        let line = page.text[..at].matches('\n').count() + 1;
        claims.push(Claim { line, id, sentence: sentence(&page.text[end..at]) });
        end = at + length + " -->".len();
    }
    claims
}

/// The last sentence of `text`, on one line.
fn sentence(text: &str) -> String {
    let paragraph = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let words = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let body = words.trim_end_matches(['.', ':', '?']);
    let start = [". ", "? ", "> "].iter().filter_map(|end| body.rfind(end)).max().map_or(0, |at| at + 2);
    words[start..].trim_start_matches(['#', '-', '>', ' ']).to_owned()
}

/// Puts a link to its probe in place of each mark.
pub(super) fn linked(text: &str, page: &Path) -> String {
    let up = "../".repeat(page.components().count().saturating_sub(1));
    let mut parts = text.split(MARK);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (id, rest) = part.split_once(" -->").unwrap_or((part, ""));
        out.truncate(out.trim_end_matches(' ').len());
        let _ = write!(
            out,
            "<a class=\"claim\" id=\"claim-{id}\" href=\"{up}claims.html#{id}\" \
             title=\"The probe that shows this\">✓</a>{rest}"
        );
    }
    out
}

/// What is wrong with the claims of a page.
pub(super) fn refused(page: &Page) -> Vec<(usize, String)> {
    let without = |claim: &Claim<'_>| !PROBES.iter().any(|probe| probe.claim == claim.id);
    let claims = of(page).into_iter().filter(without);
    claims.map(|claim| (claim.line, format!("claim {} has no probe", claim.id))).collect()
}

/// The list of all claims, in the order of the book.
pub(super) fn list(pages: &Pages) -> Result<String, String> {
    let told = Told::read(&pages.tried)?;
    let mut out = String::new();
    for page in pages.in_order() {
        let claims = of(page);
        if let Some(title) = page.text.lines().find_map(|line| line.strip_prefix("# "))
            && !claims.is_empty()
        {
            let _ = writeln!(out, "\n## {title}");
        }
        for claim in claims {
            let probe = PROBES.iter().find(|probe| probe.claim == claim.id);
            let probe = probe.ok_or_else(|| format!("claim {} has no probe", claim.id))?;
            let link = format!("{}#claim-{}", page.path.display(), claim.id);
            let _ = writeln!(out, "\n### {0} {{#{0}}}\n\n> {1} [↩]({link})\n", claim.id, claim.sentence);
            let _ = write!(out, "{}\n{}\n", probe_text(probe), told.of(probe));
        }
    }
    Ok(out)
}

fn probe_text(probe: &Probe) -> String {
    let who = if probe.who == Who::Plain { "A plain user runs" } else { "Anybody runs" };
    format!("{who}\n\n```sh\n{}\n```\n\nand it prints\n\n```text\n{}\n```\n", probe.script, probe.shows)
}

/// What the probes showed when they were last run with this target folder.
struct Told(Vec<(String, Value)>);

impl Told {
    fn read(folder: &Path) -> Result<Told, String> {
        let mut all = Vec::new();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Some(who) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let told = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
            all.push((who.to_owned(), told));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Told(all))
    }

    /// One line for each user, or that nobody tried: never a pass that wasn't.
    fn of(&self, probe: &Probe) -> String {
        let lines = self.0.iter().map(|(who, told)| {
            let told = &told[probe.claim];
            let same = told["script"] == probe.script && told["shows"] == probe.shows;
            let result = told["result"].as_str().filter(|_| same).unwrap_or("not tried");
            format!("- As {who}, where this book was built: {result}.\n")
        });
        let lines: String = lines.collect();
        if lines.is_empty() { "- Not tried where this book was built.\n".to_owned() } else { lines }
    }
}

#[cfg(test)]
mod tests {
    use super::{Probe, Told, Who, linked, of, sentence};
    use crate::book::pages::Page;

    #[test]
    fn a_claim_is_the_sentence_before_its_mark() {
        let text =
            "# T\n\nFirst thing. The kernel\nkeeps it. <!-- claim: a -->\nAnother one. <!-- claim: b -->\n";
        let page = Page { path: "a.md".into(), text: text.to_owned() };
        let seen: Vec<_> = of(&page).iter().map(|c| (c.line, c.id, c.sentence.clone())).collect();
        let expected = [(4, "a", "The kernel keeps it.".to_owned()), (5, "b", "Another one.".to_owned())];
        assert_eq!(seen, expected);
        assert_eq!(sentence("\n\n> Why? Because `a.b` is"), "Because `a.b` is");
    }

    #[test]
    fn a_mark_becomes_a_link() {
        let html = linked("It is. <!-- claim: a --> So. <!-- claim: b -->\n", "deep/x.md".as_ref());
        assert!(
            html.starts_with("It is.<a class=\"claim\" id=\"claim-a\" href=\"../claims.html#a\""),
            "{html}"
        );
        assert!(html.contains("</a> So.<a ") && html.ends_with("</a>\n"), "{html}");
    }

    #[test]
    fn what_was_not_tried_is_no_pass() {
        let probe = |script| Probe { claim: "a", who: Who::Anybody, script, shows: "x" };
        assert_eq!(Told(Vec::new()).of(&probe("s")), "- Not tried where this book was built.\n");
        let told = serde_json::json!({"a": {"script": "s", "shows": "x", "result": "shown"}});
        let told = Told(vec![("root".into(), told)]);
        assert_eq!(told.of(&probe("s")), "- As root, where this book was built: shown.\n");
        // The probe was changed since.
        assert_eq!(told.of(&probe("t")), "- As root, where this book was built: not tried.\n");
    }
}
