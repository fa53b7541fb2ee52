//! `minidocker run`.

use std::io::IsTerminal;

use super::make::{Make, make_not_yet};
use super::told::Told;
use super::verb::{Arity, Verb};
use super::{Refused, launch, refusal};
use crate::container;
use crate::supervisor::{self, Attach, Foreground, SupervisorError};

/// What was typed behind `run`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Run {
    /// What the container is to be.
    #[command(flatten)]
    pub make: Make,
}

impl Verb for Run {
    const ABOUT: &'static str = "Create and run a new container from an image";
    const USAGE: &'static str = "[OPTIONS] IMAGE [COMMAND] [ARG...]";
    const NOT_YET: &'static str = concat!("d,detach detach-keys= sig-proxy ", make_not_yet!());
    const ARITY: Arity = Arity::Any;

    fn words(&self) -> usize {
        self.make.words.len()
    }

    fn act(self, path: &str) -> anyhow::Result<u8> {
        if self.make.rootfs.is_none() && self.make.words.is_empty() {
            return Err(refusal::too_few(path, Self::USAGE).into());
        }
        run(&self, path)
    }
}

/// Makes the container, starts it, stays with it, and returns its exit code.
fn run(args: &Run, path: &str) -> anyhow::Result<u8> {
    let stdin = std::io::stdin();
    let Make { tty, interactive, .. } = args.make;
    if tty && interactive && !stdin.is_terminal() {
        return Err(Refused::new(1, "the input device is not a TTY").into());
    }
    let (store, base, request) = launch::asked(&args.make, path)?;
    launch::make_sources(&store, &request)?;
    let new = launch::create(&store, &base, request)?;
    supervisor::hold_signals()?;
    let attach = Attach { stdin: interactive, stdout: true, stderr: !tty, events: false };
    let session = supervisor::spawn(&store, new, attach)?;
    let pid = session.supervisor;
    let ended = supervisor::carry(session, Foreground { tty }, Box::new(drop));
    if args.make.rm {
        // Then nothing is left when we end, no process either. Without --rm it may still be writing what
        // must outlive the machine.
        supervisor::reap(pid, &ended);
    }
    // What dead supervisors left. It is no failure of this container.
    container::recover_all(&store).into_iter().for_each(Told::note);
    match ended {
        Ok(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(SupervisorError::Failed(failure)) => Err(failure.into()),
        Err(e) => Err(e.into()),
    }
}
