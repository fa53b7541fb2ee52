//! What maintainers need, as `cargo xtask WORD`; CONTRIBUTING.md says when.

mod arrows;
mod bench;
mod book;
mod climb;
mod faults;
mod gate;
mod lex;
mod machine;
mod paths;
mod source;
mod table;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks, tests and measurements of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Xtask {
    #[command(subcommand)]
    word: Word,
}

#[derive(Subcommand)]
enum Word {
    /// The whole gate: fmt, arrows, climb, book, clippy, aarch64, test.
    Ci(gate::Parts),
    /// All tests, and one table: passed, failed, not run here and why.
    Test(test::Selection),
    /// Who may name whom, how long things are, and the habits of the house.
    Arrows,
    /// The steps between neighbouring demo binaries.
    Climb,
    /// The book: its mistakes, then its pages below the target folder.
    Book(book::Book),
    /// Death and failure at the system calls of run, start, kill and rm: a sample, or all of them.
    Faults(faults::Faults),
    /// What a start and a build cost.
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let result = match Xtask::parse().word {
        Word::Ci(parts) => gate::run(&parts),
        Word::Test(selection) => test::run(&selection),
        Word::Arrows => arrows::check().map(|()| true),
        Word::Climb => climb::check().map(|()| true),
        Word::Book(what) => book::run(&what),
        Word::Faults(how) => faults::run(&how),
        Word::Bench(what) => bench::run(&what),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        // What failed has been said.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_that_would_be_ignored_beside_another_is_refused() {
        for flags in
            [["--check", "--open"], ["--bless", "--data"], ["--bless", "--check"], ["--bless", "--open"]]
        {
            let typed = ["cargo xtask", "book"].into_iter().chain(flags);
            let kind = Xtask::try_parse_from(typed).map(drop).map_err(|e| e.kind());
            assert_eq!(kind, Err(clap::error::ErrorKind::ArgumentConflict), "{flags:?}");
        }
    }
}
