//! `cargo xtask book`: the book is checked, then built by mdBook as a library.
//!
//! mdBook is slow to compile and only the book needs it, so it stands behind the feature `book`, and
//! this command starts cargo once more with it. All that the pages are made of (includes, diffs,
//! pictures, claims) is expanded here, by the same code that checks it: a page that can't be
//! expanded is a finding, and never an empty block.

#[cfg(feature = "book")]
mod build;
mod claims;
mod data;
mod diff;
mod directives;
mod include;
mod lint;
mod markdown;
mod pages;
mod pictures;

use anyhow::{Result, ensure};
use clap::Args;

use crate::arrows::Finding;
use crate::workspace::{self, Workspace};
use pages::Pages;

/// What to do with the book.
#[derive(Args, Clone, Copy)]
pub(crate) struct Book {
    /// Show it in the browser.
    #[arg(long)]
    open: bool,
    /// Only look for mistakes, and build nothing.
    #[arg(long, conflicts_with = "open")]
    check: bool,
    /// Write into the pages what their transcripts print now.
    #[arg(long, conflicts_with_all = ["open", "check", "data"])]
    bless: bool,
    /// Measure anew what the pictures are drawn from.
    #[arg(long)]
    data: bool,
}

/// Checks the book, and builds it below the target folder.
pub(crate) fn run(what: &Book) -> Result<bool> {
    let workspace = Workspace::read()?;
    if what.bless {
        return bless(&workspace).map(|()| true);
    }
    if what.data {
        data::renew(&workspace)?;
    }
    let pages = check(&workspace)?;
    if what.check {
        return Ok(true);
    }
    build(&workspace, pages, what.open)?;
    Ok(true)
}

/// The linter: no mistake on any page, or an error.
pub(crate) fn check(workspace: &Workspace) -> Result<Pages> {
    let pages = Pages::read(&workspace.root, workspace.scratch("claims")?)?;
    let mut findings = lint::check(&pages);
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    findings.iter().for_each(|finding: &Finding| println!("{finding}"));
    ensure!(findings.is_empty(), "{} findings in the book", findings.len());
    println!("book: nothing found in {} pages; {}", pages.all.len(), lint::transcripts(&pages));
    Ok(pages)
}

/// Runs the transcripts, which then correct the pages.
fn bless(workspace: &Workspace) -> Result<()> {
    workspace.cargo(&["build", "--workspace", "--bins", "--examples"])?;
    let test = ["test", "-p", "minidocker", "--test", "transcripts", "as_a_plain_user"];
    println!("+ MINIDOCKER_BLESS=1 cargo {}", test.join(" "));
    let mut command = workspace::cargo();
    workspace::run(command.args(test).current_dir(&workspace.root).env("MINIDOCKER_BLESS", "1"))
}

#[cfg(feature = "book")]
fn build(workspace: &Workspace, pages: Pages, open: bool) -> Result<()> {
    build::build(workspace, pages, open)
}

#[cfg(not(feature = "book"))]
fn build(workspace: &Workspace, _: Pages, open: bool) -> Result<()> {
    println!("mdBook is compiled the first time, which takes about a minute");
    let more: &[&str] = if open { &["--open"] } else { &[] };
    workspace.cargo(&[&["run", "-q", "-p", "xtask", "--features", "book", "--", "book"], more].concat())
}
