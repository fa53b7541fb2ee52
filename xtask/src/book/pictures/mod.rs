//! Pictures, drawn from what this project's own programs printed.
//!
//! A picture answers one question, its caption. It is at most 720 wide, has the colour of the text around
//! it, and says the same in words below. Data of another shape than the one it draws is an error.

mod library_tree;
mod mount_table;
mod namespaces;
mod svg;

use std::path::Path;

use super::data::{self, Section};
use svg::Svg;

/// What a picture is, beside its lines.
struct Picture {
    /// The question that it answers.
    caption: &'static str,
    svg: Svg,
    /// The same in words, a sentence each.
    words: Vec<String>,
}

/// Draws `book/data/NAME.json` as HTML.
pub(super) fn draw(root: &Path, name: &str) -> Result<String, String> {
    let draw: fn(&[Section]) -> Result<Picture, String> = match name {
        "library-tree" => library_tree::draw,
        "mount-table" => mount_table::draw,
        "namespaces" => namespaces::draw,
        _ => return Err(format!("there is no picture {name}")),
    };
    let picture = draw(&data::read(root, name)?).map_err(|why| format!("book/data/{name}.json: {why}"))?;
    let words: String =
        picture.words.iter().map(|words| format!("<li>{}</li>\n", svg::escaped(words))).collect();
    // No empty line: it would end the block of HTML (CommonMark, "HTML blocks").
    Ok(format!(
        "<figure class=\"picture\">\n{}<figcaption>{caption}</figcaption>\n\
         <details>\n<summary>The same in words</summary>\n<ul>\n{words}</ul>\n</details>\n</figure>",
        picture.svg.html(picture.caption),
        caption = svg::escaped(picture.caption),
    ))
}

/// The section with this title.
fn section<'a>(sections: &'a [Section], title: &str) -> Result<&'a [String], String> {
    let found = sections.iter().find(|section| section.title == title);
    let lines = found.map(|section| section.lines.as_slice()).ok_or_else(|| format!("no section {title}"))?;
    if lines.is_empty() { Err(format!("section {title} is empty")) } else { Ok(lines) }
}

#[cfg(test)]
mod tests {
    use super::{Section, draw};

    /// The sections of a test.
    pub(super) fn sections(all: &[(&str, &str)]) -> Vec<Section> {
        let section = |(title, lines): &(&str, &str)| Section {
            title: (*title).to_owned(),
            lines: lines.lines().map(str::to_owned).collect(),
        };
        all.iter().map(section).collect()
    }

    #[test]
    fn an_unknown_picture_is_refused() {
        assert_eq!(draw("/".as_ref(), "cat").unwrap_err(), "there is no picture cat");
    }

    #[test]
    fn the_pictures_of_the_book_fit_the_page_and_speak() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for name in ["library-tree", "mount-table", "namespaces"] {
            let html = draw(root, name).unwrap();
            assert!(html.contains("viewBox=\"0 0 720 ") && html.contains("<title>"), "{name}: {html}");
            assert!(
                html.contains("<li>") && !html.contains("\n\n") && !html.contains("=\"#"),
                "{name}: {html}"
            );
        }
    }
}
