//! `minidocker rm`.

use super::verb::{Arity, Verb};

/// `rm [-f] NAME...`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Rm {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short, long)]
    pub force: bool,
    /// Containers, by name, id or the beginning of an id.
    #[arg(hide = true)]
    pub names: Vec<String>,
}

impl Verb for Rm {
    const ABOUT: &'static str = "Remove one or more containers";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";
    const NOT_YET: &'static str = "l,link v,volumes";
    const ARITY: Arity = Arity::Some;

    fn words(&self) -> usize {
        self.names.len()
    }

    fn act(self, _: &str) -> anyhow::Result<u8> {
        rm(&self)
    }
}

/// Removes each and prints its name. Goes on past a failure, tells of it on stderr, and ends with
/// 1 if there was one. With `--force`, a container that isn't there is told of but is no failure
/// (Docker 28: the exit code is 0).
fn rm(_: &Rm) -> anyhow::Result<u8> {
    // glue
    anyhow::bail!("rm: not in minidocker yet")
}
