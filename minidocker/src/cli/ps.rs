//! `minidocker ps`.

use super::verb::{Arity, Verb};

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

/// Prints the table, newest first ([`crate::format::ps`]).
fn ps(_: &Ps) -> anyhow::Result<u8> {
    // glue
    anyhow::bail!("ps: not in minidocker yet")
}
