//! `{{#WORD …}}` in a page, and what stands in its place in the book.
//!
//! | directive | becomes |
//! |---|---|
//! | `{{#include PATH:ANCHOR}}` | lines of a source |
//! | `{{#sketch N}}` | the bare idea that opens the library of chapter N |
//! | `{{#climb M N}}` | the difference from the demo binary of chapter M to that of chapter N |
//! | `{{#picture NAME}}` | a picture drawn from `book/data/NAME.json` |
//! | `{{#claims}}` | all claims of the book, with their probes |
//!
//! mdBook's own preprocessors are off: what these can't do is a mistake, never silence.

use std::fs;
use std::path::Path;

use super::pages::{Page, Pages, SRC};
use super::{claims, diff, include, pictures};

/// Something that could not be put into a page.
pub(crate) struct Refused {
    pub(crate) line: usize,
    pub(crate) why: String,
}

/// A page with everything put in, and what could not be.
pub(crate) fn expand(pages: &Pages, page: &Page) -> (String, Vec<Refused>) {
    let mut out = String::new();
    let mut refused = Vec::new();
    let mut rest = page.text.as_str();
    while let Some(at) = rest.find("{{#") {
        let Some(end) = rest[at..].find("}}").map(|end| at + end) else { break };
        let before = page.text.len() - rest.len() + at;
        if rest[..at].ends_with('\\') {
            out.push_str(&rest[..at - 1]);
            out.push_str(&rest[at..end + 2]);
        } else {
            out.push_str(&rest[..at]);
            match one(pages, page, &rest[at + 3..end]) {
                Ok(text) => out.push_str(&text),
                Err(why) => {
                    let line = page.text[..before].matches('\n').count() + 1;
                    refused.push(Refused { line, why });
                }
            }
        }
        rest = &rest[end + 2..];
    }
    out.push_str(rest);
    refused.extend(claims::refused(page).into_iter().map(|(line, why)| Refused { line, why }));
    (claims::linked(&out, &page.path), refused)
}

fn one(pages: &Pages, page: &Page, words: &str) -> Result<String, String> {
    let folder = Path::new(SRC).join(page.path.parent().unwrap_or(Path::new("")));
    let words: Vec<&str> = words.split_whitespace().collect();
    match words[..] {
        ["include", what] => include::include(&pages.root, &folder, what),
        ["sketch", chapter] => sketch(&pages.root, chapter),
        ["climb", from, to] => climb(&pages.root, from, to),
        ["picture", name] => pictures::draw(&pages.root, name),
        ["claims"] => claims::list(pages),
        _ => Err(format!("`{{{{#{}}}}}` is none of our directives", words.join(" "))),
    }
}

/// The folder of chapter `number`, such as `chapters/01-chroot`.
pub(super) fn chapter(root: &Path, number: &str) -> Result<String, String> {
    let all = fs::read_dir(root.join("chapters")).map_err(|e| format!("chapters: {e}"))?;
    let names = all.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let found = names.into_iter().find(|name| name.split('-').next() == Some(number));
    found.map(|name| format!("chapters/{name}")).ok_or_else(|| format!("there is no chapter {number}"))
}

/// The first block of code of a library's documentation, as rustdoc shows it.
fn sketch(root: &Path, number: &str) -> Result<String, String> {
    let path = chapter(root, number)? + "/src/lib.rs";
    let text = fs::read_to_string(root.join(&path)).map_err(|e| format!("{path}: {e}"))?;
    let words = text.lines().map_while(|line| line.strip_prefix("//!"));
    let words = words.map(|line| line.strip_prefix(' ').unwrap_or(line));
    let block = words.skip_while(|line| !line.starts_with("```")).skip(1);
    let block = block.take_while(|line| !line.starts_with("```"));
    // rustdoc compiles a line behind `# ` and doesn't show it.
    let shown: Vec<&str> = block.filter(|line| *line != "#" && !line.starts_with("# ")).collect();
    if shown.is_empty() { Err(format!("{path} opens with no sketch")) } else { Ok(shown.join("\n")) }
}

/// The difference between two demo binaries.
fn climb(root: &Path, from: &str, to: &str) -> Result<String, String> {
    let main = |number| -> Result<(String, String), String> {
        let path = chapter(root, number)? + "/src/main.rs";
        let text = fs::read_to_string(root.join(&path)).map_err(|e| format!("{path}: {e}"))?;
        Ok((path, text))
    };
    let (before, after) = (main(from)?, main(to)?);
    let diff = diff::unified((&before.0, &before.1), (&after.0, &after.1));
    if diff.is_empty() { Err("the two are the same".to_owned()) } else { Ok(format!("```diff\n{diff}```")) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::expand;
    use crate::book::pages::{Page, Pages};

    fn expanded(text: &str) -> (String, Vec<(usize, String)>) {
        let root = tempfile::tempdir().unwrap();
        let chapter = root.path().join("chapters/01-chroot/src");
        std::fs::create_dir_all(&chapter).unwrap();
        let library = "//! Words.\n//!\n//! ```\n//! # hidden();\n//! shown();\n//!\n//! {\n//! ```\n//! ```\n//! not()\n//! ```\n";
        std::fs::write(chapter.join("lib.rs"), library).unwrap();
        std::fs::write(chapter.join("main.rs"), "fn main() {}\n").unwrap();
        let page = Page { path: PathBuf::from("a.md"), text: text.to_owned() };
        let pages = Pages {
            root: root.path().to_owned(),
            all: Vec::new(),
            summary: Vec::new(),
            tried: PathBuf::new(),
        };
        let (text, refused) = expand(&pages, &page);
        (text, refused.into_iter().map(|r| (r.line, r.why)).collect())
    }

    #[test]
    fn directives_are_replaced_and_escaped_ones_stay() {
        let page =
            "a {{#include ../../chapters/01-chroot/src/main.rs}} b\n\\{{#include x}}\n{{#sketch 01}}\n";
        let expected = "a fn main() {} b\n{{#include x}}\nshown();\n\n{\n";
        assert_eq!(expanded(page), (expected.to_owned(), Vec::new()));
    }

    #[test]
    fn what_cannot_be_replaced_is_told_with_its_line() {
        let (_, refused) = expanded("\n{{#include x.rs}}\n\n{{#playground y.rs}}\n{{#sketch 09}}\n");
        let expected = [
            (2, "book/src/x.rs: No such file or directory (os error 2)"),
            (4, "`{{#playground y.rs}}` is none of our directives"),
            (5, "there is no chapter 09"),
        ];
        assert_eq!(refused, expected.map(|(line, why)| (line, why.to_owned())));
    }
}
