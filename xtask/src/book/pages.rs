//! The pages of the book as they are written, and their order in SUMMARY.md.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

use super::markdown;

/// Where the pages lie, below the root of the workspace.
pub(crate) const SRC: &str = "book/src";
pub(crate) const SUMMARY: &str = "SUMMARY.md";

/// One page.
pub(crate) struct Page {
    /// Relative to `book/src`.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A line of SUMMARY.md that names a page.
pub(crate) struct Entry {
    pub(crate) line: usize,
    /// Relative to `book/src`; empty for a chapter without a file.
    pub(crate) path: PathBuf,
}

/// All of them.
pub(crate) struct Pages {
    /// The root of the workspace.
    pub(crate) root: PathBuf,
    pub(crate) all: Vec<Page>,
    pub(crate) summary: Vec<Entry>,
    /// What the probes of the claims told when they were last run.
    pub(crate) tried: PathBuf,
}

impl Pages {
    /// Reads `book/src` below `root`.
    pub(crate) fn read(root: &Path, tried: PathBuf) -> Result<Pages> {
        let mut all = Vec::new();
        walk(&root.join(SRC), Path::new(""), &mut all)?;
        all.sort_by(|a, b| a.path.cmp(&b.path));
        let at = all.iter().position(|page| page.path == Path::new(SUMMARY));
        let summary = all.remove(at.with_context(|| format!("{SRC}/{SUMMARY} is missing"))?);
        let links = markdown::facts(&summary.text).links;
        let entries = links.into_iter().map(|link| Entry { line: link.line, path: plain(&link.to) });
        Ok(Pages { root: root.to_owned(), all, summary: entries.collect(), tried })
    }

    /// The page at `path`, relative to `book/src`.
    pub(crate) fn get(&self, path: &Path) -> Option<&Page> {
        self.all.iter().find(|page| page.path == path)
    }

    /// The pages in the order in which they are read.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &Page> {
        self.summary.iter().filter_map(|entry| self.get(&entry.path))
    }
}

/// A path without `.` and with `..` taken back, as far as that goes.
pub(crate) fn plain(path: impl AsRef<Path>) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.as_ref().components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if out.components().next_back().is_some_and(|c| c != Component::ParentDir) =>
            {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

fn walk(src: &Path, below: &Path, pages: &mut Vec<Page>) -> Result<()> {
    let folder = src.join(below);
    for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            walk(src, &path, pages)?;
        } else if path.extension().is_some_and(|e| e == "md") {
            let text =
                fs::read_to_string(entry.path()).with_context(|| format!("read {}", path.display()))?;
            pages.push(Page { path, text });
        }
    }
    Ok(())
}
