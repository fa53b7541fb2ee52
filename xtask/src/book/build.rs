//! mdBook as a library: expanded pages in, HTML out, which needs no server and no network to be read.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use mdbook_driver::MDBook;
use mdbook_driver::book::BookItem;
use mdbook_driver::config::Config;

use super::directives;
use super::pages::Pages;
use crate::workspace::Workspace;

/// Builds the book below the target folder; `pages` have been checked.
pub(super) fn build(workspace: &Workspace, pages: Pages, open: bool) -> Result<()> {
    let began = Instant::now();
    let out = workspace.target.join("book");
    let mut config = Config::from_disk(workspace.root.join("book/book.toml"))?;
    config.build.build_dir = out.clone();
    let mut book = MDBook::load_with_config(workspace.root.join("book"), config)?;
    let mut refused = Vec::new();
    book.book.for_each_mut(|item| {
        if let BookItem::Chapter(chapter) = item
            && let Some(page) = chapter.path.as_deref().and_then(|path| pages.get(path))
        {
            let (text, more) = directives::expand(&pages, page);
            refused.extend(more.into_iter().map(|r| r.why));
            chapter.content = text;
        }
    });
    ensure!(refused.is_empty(), "{}", refused.join("; "));
    book.build()?;
    let index = out.join("index.html");
    ensure!(index.is_file(), "mdBook made no {}", index.display());
    println!("book: {} pages in {:.1} s", pages.all.len(), began.elapsed().as_secs_f32());
    println!("file://{}", index.display());
    if open {
        let mut command = Command::new("xdg-open");
        command.arg(&index).stdin(Stdio::null());
        command.status().context("start xdg-open; open the address above by hand")?;
    }
    Ok(())
}
