//! `minidocker run`.

use std::io::IsTerminal;

use super::make::{Make, make_not_yet};
use super::told::Told;
use super::verb::{Arity, Verb};
use super::{Refused, launch, refusal, signal};
use crate::container::{self, Container, Status, UNSEEN};
use crate::supervisor::{self, Attach, SupervisorError};

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
    let container = new.container.clone();
    let session = supervisor::spawn(&store, new, attach)?;
    let pid = session.supervisor;
    let ended = supervisor::carry(session, tty, Box::new(drop));
    if args.make.rm {
        // Then nothing is left when we end, no process either. Without --rm it may still be writing what
        // must outlive the machine.
        supervisor::reap(pid, &ended);
    }
    let ended = match ended {
        Err(SupervisorError::Died(id)) => end_on_record(&container).ok_or(SupervisorError::Died(id)),
        ended => ended,
    };
    // What dead supervisors left. It is no failure of this container.
    container::recover_all(&store).into_iter().for_each(Told::note);
    match ended {
        Ok(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(SupervisorError::Failed(failure)) => Err(failure.into()),
        Err(e) => Err(e.into()),
    }
}

/// The exit code of a container whose supervisor was killed: `kill` and `rm -f` do that to one that
/// doesn't answer, after they have written it down. None: nobody did.
fn end_on_record(container: &Container) -> Option<i32> {
    match container.state() {
        Ok(state) => Some(state.exit_code).filter(|code| state.status == Status::Exited && *code != UNSEEN),
        // `rm -f` has removed it by now, and it sends nothing but SIGKILL.
        Err(_) => (!container.dir.exists()).then_some(128 + signal::KILL),
    }
}
