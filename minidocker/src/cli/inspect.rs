//! `minidocker inspect`.

use super::verb::{Arity, Verb};

/// `inspect NAME...`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Inspect {
    /// Containers, by name, id or the beginning of an id.
    #[arg(hide = true)]
    pub names: Vec<String>,
}

impl Verb for Inspect {
    const ABOUT: &'static str = "Return low-level information on containers";
    const USAGE: &'static str = "[OPTIONS] NAME|ID [NAME|ID...]";
    const NOT_YET: &'static str = "f,format= s,size type=";
    const ARITY: Arity = Arity::Some;

    fn usage(path: &str) -> &'static str {
        if path == "inspect" { Self::USAGE } else { "[OPTIONS] CONTAINER [CONTAINER...]" }
    }

    fn words(&self) -> usize {
        self.names.len()
    }

    fn act(self, path: &str) -> anyhow::Result<u8> {
        inspect(&self, path)
    }
}

/// Prints a JSON list of those that there are ([`crate::format::inspect`]), tells of the others on
/// stderr, and ends with 1 if there were such.
fn inspect(_: &Inspect, _path: &str) -> anyhow::Result<u8> {
    // glue
    anyhow::bail!("inspect: not in minidocker yet")
}
