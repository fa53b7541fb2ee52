//! `cargo xtask ci`: the whole gate, the same here and in CI, what is cheap first.

use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::workspace::Workspace;
use crate::{arrows, book, climb, machine, table, test};

/// What to leave out.
#[derive(Args)]
pub(crate) struct Parts {
    /// Checks only: no test is run.
    #[arg(long)]
    no_test: bool,
}

type Check = fn(&Workspace) -> Result<bool>;

const CHECKS: [(&str, Check); 7] = [
    ("fmt", |workspace| workspace.cargo(&["fmt", "--all", "--check"]).map(|()| true)),
    ("arrows", |_| arrows::check().map(|()| true)),
    ("climb", |_| climb::check().map(|()| true)),
    ("book", |workspace| book::check(workspace).map(|_| true)),
    ("clippy", |workspace| {
        workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).map(|()| true)
    }),
    ("aarch64", machine::check),
    ("test", |_| test::run(&test::Selection::default())),
];

/// Runs all checks, also after one has failed; whether all is well.
pub(crate) fn run(parts: &Parts) -> Result<bool> {
    let workspace = Workspace::read()?;
    let mut rows = Vec::new();
    let mut all_well = true;
    for (name, check) in CHECKS.iter().filter(|(name, _)| !(parts.no_test && *name == "test")) {
        println!("\n== {name}");
        let began = Instant::now();
        let words = match check(&workspace) {
            Ok(true) => "passed".to_owned(),
            Ok(false) => "FAILED".to_owned(),
            Err(error) => format!("FAILED: {error:#}"),
        };
        all_well &= words == "passed";
        rows.push(vec![(*name).to_owned(), format!("{:.0} s", began.elapsed().as_secs_f32()), words]);
    }
    println!();
    table::print(&["check", "took", "result"], &rows);
    Ok(all_well)
}
