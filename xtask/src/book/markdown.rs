//! What mdBook's own parser sees in a page: fences, links, the places that links may name, dashes.

use std::collections::HashSet;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// What a page holds.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) fences: Vec<Fence>,
    pub(crate) links: Vec<Link>,
    /// What may stand behind `#` in a link to this page.
    pub(crate) ids: HashSet<String>,
    /// Lines of prose in which `--` would become a dash.
    pub(crate) dashes: Vec<usize>,
    heading: Option<String>,
}

/// A block of code.
pub(crate) struct Fence {
    /// Where it begins, from 1.
    pub(crate) line: usize,
    /// The words behind the fence; `None` for an indented block.
    pub(crate) info: Option<String>,
    pub(crate) text: String,
}

impl Fence {
    /// The words behind the fence, one by one: `rust,ignore` has two.
    pub(crate) fn tags(&self) -> impl Iterator<Item = &str> {
        let info = self.info.as_deref().unwrap_or_default();
        info.split([',', ' ']).filter(|tag| !tag.is_empty())
    }
}

/// A link or a picture, in Markdown or HTML.
pub(crate) struct Link {
    pub(crate) line: usize,
    pub(crate) to: String,
}

/// Reads a page.
pub(crate) fn facts(text: &str) -> Facts {
    // As mdbook-markdown, but for smart punctuation, which would hide the dashes.
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_GFM;
    let mut facts = Facts::default();
    let mut in_code = false;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        let line = line_of(text, range.start);
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let info = match kind {
                    CodeBlockKind::Fenced(info) => Some(info.trim().to_owned()),
                    CodeBlockKind::Indented => None,
                };
                facts.fences.push(Fence { line, info, text: String::new() });
                in_code = true;
            }
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Text(part) if in_code => {
                facts.fences.last_mut().into_iter().for_each(|f| f.text.push_str(&part))
            }
            event => facts.note(event, line, &range, text),
        }
    }
    facts
}

impl Facts {
    fn note(&mut self, event: Event<'_>, line: usize, range: &Range<usize>, source: &str) {
        match event {
            Event::Start(Tag::Link { dest_url: to, .. } | Tag::Image { dest_url: to, .. }) => {
                self.links.push(Link { line, to: to.into_string() });
            }
            Event::Start(Tag::Heading { id, .. }) => {
                self.ids.extend(id.as_deref().map(str::to_owned));
                self.heading = id.is_none().then(String::new);
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some(heading) = self.heading.take() {
                    self.add_id(&id_of(&heading));
                }
            }
            Event::Text(part) => {
                if part.contains("--") {
                    let at = source[range.clone()].find("--").unwrap_or(0);
                    self.dashes.push(line_of(source, range.start + at));
                }
                self.heading.iter_mut().for_each(|heading| heading.push_str(&part));
            }
            Event::Code(part) => self.heading.iter_mut().for_each(|heading| heading.push_str(&part)),
            Event::Html(part) | Event::InlineHtml(part) => {
                self.ids.extend(attribute(&part, "id").map(str::to_owned));
                let to = attribute(&part, "href").chain(attribute(&part, "src"));
                self.links.extend(to.map(|to| Link { line, to: to.to_owned() }));
            }
            _ => {}
        }
    }

    /// The second heading of a name gets `-1` (mdbook-html, `unique_id`).
    fn add_id(&mut self, id: &str) {
        let mut all = std::iter::once(id.to_owned()).chain((1..).map(|n| format!("{id}-{n}")));
        if let Some(free) = all.find(|id| !self.ids.contains(id)) {
            self.ids.insert(free);
        }
    }
}

/// How mdBook makes the id of a heading out of its words (mdbook-html, `id_from_content`).
fn id_of(heading: &str) -> String {
    let letter = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    };
    heading.trim().to_lowercase().chars().filter_map(letter).collect()
}

/// The values of `name="…"` in a piece of HTML.
fn attribute<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let start = format!(" {name}=\"");
    let length = start.len();
    let all: Vec<usize> = html.match_indices(&start).map(|(at, _)| at + length).collect();
    all.into_iter().filter_map(move |at| html[at..].split('"').next())
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].bytes().filter(|b| *b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::facts;

    #[test]
    fn ids_are_made_as_mdbook_makes_them() {
        let page = "# What `chroot` can't do\n\n## Own {#mine}\n\n## Two\n\n## Two\n\n<a id=\"here\"></a>\n";
        let mut ids: Vec<_> = facts(page).ids.into_iter().collect();
        ids.sort();
        assert_eq!(ids, ["here", "mine", "two", "two-1", "what-chroot-cant-do"]);
    }

    #[test]
    fn fences_have_their_line_and_words() {
        let page = "x\n\n```rust,ignore\nfn f() {}\n```\n\n    indented\n\n~~~\nbare\n~~~\n";
        let all = facts(page).fences;
        let seen: Vec<_> = all.iter().map(|f| (f.line, f.info.as_deref(), f.text.as_str())).collect();
        let expected =
            [(3, Some("rust,ignore"), "fn f() {}\n"), (7, None, "indented\n"), (9, Some(""), "bare\n")];
        assert_eq!(seen, expected);
        assert_eq!(all[0].tags().collect::<Vec<_>>(), ["rust", "ignore"]);
    }

    #[test]
    fn links_are_those_of_markdown_and_of_html() {
        let page = "[a](b.md#c) <img src=\"d.svg\">\n\n[e]: f.md\n\nsee [e]\n";
        let links = facts(page).links;
        let seen: Vec<_> = links.iter().map(|l| (l.line, l.to.as_str())).collect();
        assert_eq!(seen, [(1, "b.md#c"), (1, "d.svg"), (5, "f.md")]);
    }
}
