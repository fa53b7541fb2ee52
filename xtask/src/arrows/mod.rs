//! `cargo xtask arrows`: who may name whom, how long things are, and the habits.
//!
//! Prints each crate's and each room's lines beside their budget, then every finding as
//! `path:line: what is wrong`. A finding is a failure.

mod budgets;
mod crates;
mod habits;
mod rooms;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: PathBuf,
    /// From 1; 0 for the file as a whole.
    pub(crate) line: usize,
    what: String,
}

impl Finding {
    pub(crate) fn new(path: &Path, line: usize, what: impl Into<String>) -> Self {
        Finding { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)
    }
}

/// Checks the whole work tree.
pub(crate) fn check() -> Result<()> {
    let workspace = Workspace::read()?;
    let files = workspace.files()?;
    let mut findings = budgets::check(&workspace, &files);
    findings.extend(crates::check(&workspace, &files));
    findings.extend(rooms::check(&files)?);
    findings.extend(habits::check(&workspace, &files));
    findings.extend(words::check(&workspace.root, &files)?);
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    println!("arrows: nothing found in {} files", files.len());
    Ok(())
}
