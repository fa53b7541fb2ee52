//! `minidocker ps`.

use jiff::Timestamp;

use super::found::Found;
use super::told::Told;
use super::verb::{Arity, Verb};
use crate::container;
use crate::format::{self, Row};
use crate::store::Store;

/// `ps [-a] [-q] [--no-trunc]`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Ps {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    pub all: bool,
    /// Don't truncate output
    #[arg(long)]
    pub no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    pub quiet: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Ps {
    const ABOUT: &'static str = "List containers";
    const USAGE: &'static str = "[OPTIONS]";
    const NOT_YET: &'static str = "f,filter= format= n,last= l,latest s,size";
    const ARITY: Arity = Arity::None;

    fn words(&self) -> usize {
        self.words.len()
    }

    fn act(self, _: &str) -> anyhow::Result<u8> {
        ps(&self)
    }
}

/// Prints the table, newest first ([`crate::format::ps`]). A record that can't be read is told of
/// on stderr, and the others are shown all the same.
fn ps(args: &Ps) -> anyhow::Result<u8> {
    let store = Store::open()?;
    let mut told = Told::default();
    for e in container::recover_all(&store) {
        // What is shown is right all the same.
        if e.is_full_disk() { Told::note(e) } else { told.tell(e) }
    }
    let mut found = Found::all(&store, |e| told.tell(e))?;
    found.retain(|one| args.all || one.state.is_running());
    let rows: Vec<Row<'_>> = found
        .iter()
        .map(|one| Row {
            id: &one.request.id,
            name: &one.request.name,
            config: &one.config,
            created: one.request.created,
            state: one.shown(),
        })
        .collect();
    let text = match args.quiet {
        true => format::ids(&rows, args.no_trunc),
        false => format::ps(&rows, Timestamp::now(), args.no_trunc),
    };
    super::print(&text)?;
    Ok(told.code())
}
