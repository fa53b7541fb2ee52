//! `minidocker run`.

use std::io::IsTerminal;

use super::make::{Make, make_not_yet};
use super::verb::{Arity, Verb};
use super::{Refused, foreground, keys, launch, sources};
use crate::supervisor::{self, Attach};

/// What was typed behind `run`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Run {
    /// What the container is to be.
    #[command(flatten)]
    pub make: Make,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string", default_value = "")]
    pub detach_keys: String,
}

impl Verb for Run {
    const ABOUT: &'static str = "Create and run a new container from an image";
    const USAGE: &'static str = Make::USAGE;
    const NOT_YET: &'static str = concat!("d,detach sig-proxy ", make_not_yet!());
    const ARITY: Arity = Arity::Any;

    fn words(&self) -> usize {
        self.make.words.len()
    }

    fn act(self, path: &str) -> anyhow::Result<u8> {
        self.make.demand_image(path)?;
        run(&self, path)
    }
}

/// Makes the container, starts it, stays with it, and returns its exit code.
fn run(args: &Run, path: &str) -> anyhow::Result<u8> {
    let Make { tty, interactive, rm, .. } = args.make;
    let keys = keys::parse(&args.detach_keys).map_err(|text| Refused::new(1, text))?;
    if tty && interactive && !std::io::stdin().is_terminal() {
        return Err(Refused::new(1, "the input device is not a TTY").into());
    }
    let (store, base, request) = launch::asked(&args.make, path)?;
    sources::make_sources(&store, &request)?;
    let new = launch::create(&store, &base, request)?;
    supervisor::hold_signals()?;
    let attach = Attach { stdin: interactive, stdout: true, stderr: !tty, events: false };
    let container = new.container.clone();
    let session = supervisor::spawn(&store, new, attach)?;
    foreground::stay(&store, &container, session, tty, &keys, rm)
}
