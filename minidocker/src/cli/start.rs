//! `minidocker start`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::told::Told;
use super::verb::{Arity, Verb};
use super::{Refused, foreground, keys, launch, sources};
use crate::container::{self, Container, Ledger, NewContainer};
use crate::spec::Request;
use crate::store::Store;
use crate::supervisor::{self, Attach};

/// `start [-a] [-i] NAME...`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Start {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short, long)]
    pub attach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string", default_value = "")]
    pub detach_keys: String,
    /// Attach container's STDIN
    #[arg(short, long)]
    pub interactive: bool,
    /// Containers, by name, id or the beginning of an id.
    #[arg(hide = true)]
    pub names: Vec<String>,
}

impl Verb for Start {
    const ABOUT: &'static str = "Start one or more stopped containers";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";
    const NOT_YET: &'static str = "checkpoint= checkpoint-dir=";
    const ARITY: Arity = Arity::Some;

    fn words(&self) -> usize {
        self.names.len()
    }

    fn act(self, _: &str) -> anyhow::Result<u8> {
        let keys = keys::parse(&self.detach_keys).map_err(|text| Refused::new(1, text))?;
        match self.names.as_slice() {
            [name] if self.attach || self.interactive => {
                start_attached(&self, name, &keys).or_else(|e| Ok(Told::one(e)))
            }
            [_, _, ..] if self.attach || self.interactive => {
                Err(Refused::new(1, "you cannot start and attach multiple containers at once").into())
            }
            names => start_all(names),
        }
    }
}

/// Starts each and prints its name; goes on past a failure.
fn start_all(names: &[String]) -> anyhow::Result<u8> {
    let store = Store::open()?;
    let mut failed = Vec::new();
    let code = Told::each(names, |name| {
        let started = start_alone(&store, name);
        match started {
            Ok(()) => Ok(super::print(&format!("{name}\n"))?),
            Err(e) => {
                failed.push(name.to_owned());
                Err(e)
            }
        }
    });
    if !failed.is_empty() {
        super::tell(&format!("Error: failed to start containers: {}\n", failed.join(", ")));
    }
    Ok(code)
}

fn start_alone(store: &Store, name: &str) -> anyhow::Result<()> {
    let container = container::find(store, name)?;
    match take(store, &container)? {
        // As in Docker: what runs is started.
        None => Ok(()),
        Some(new) => {
            let session = supervisor::spawn(store, ready(store, new)?, Attach::default())?;
            supervisor::await_start(&session).map_err(foreground::told)
        }
    }
}

fn start_attached(args: &Start, name: &str, keys: &keys::Keys) -> anyhow::Result<u8> {
    let store = Store::open()?;
    let container = container::find(&store, name)?;
    container::recover(&store, &container)?;
    let config = container.request()?.config;
    let stdin = args.interactive && config.open_stdin;
    if config.tty && stdin && !std::io::stdin().is_terminal() {
        return Err(Refused::new(1, "the input device is not a TTY").into());
    }
    let attach = Attach { stdin, stdout: true, stderr: !config.tty, events: false };
    let new = take(&store, &container)?;
    supervisor::hold_signals()?;
    let (session, removed) = match new {
        None => (supervisor::attach(&container, attach)?, false),
        Some(mut new) => {
            if config.tty {
                new.request.host_config.console_size = launch::console_size();
            }
            let removed = new.request.host_config.auto_remove;
            (supervisor::spawn(&store, ready(&store, new)?, attach)?, removed)
        }
    };
    foreground::stay(&store, &container, session, config.tty, keys, removed)
}

/// How long another command may hold the lock of a container that doesn't run: it starts it, clears
/// up behind it, or removes it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The container with its lock, which makes the start ours alone; none if it runs already.
fn take(store: &Store, container: &Container) -> anyhow::Result<Option<NewContainer>> {
    let end = Instant::now() + PATIENCE;
    loop {
        container::recover(store, container)?;
        let lock = container::lock_dead(container)?;
        container.refuse_newer()?;
        let state = container.state()?;
        match lock {
            // Dead a moment ago, with all that it had: once more from the start.
            Some(_) if state.is_running() || !state.resources.is_empty() => {}
            Some(lock) => {
                let request: Request = container.request()?;
                return Ok(Some(NewContainer { container: container.clone(), request, lock }));
            }
            None if state.is_running() => return Ok(None),
            None => {}
        }
        if Instant::now() > end {
            let text = format!("container {} is locked by another command", container.short_id());
            return Err(Refused::new(1, text).into());
        }
        // The kernel has no wait for a lock that takes nothing.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Derives anew what depends on the machine. From now on `--rm` counts.
fn ready(store: &Store, new: NewContainer) -> anyhow::Result<NewContainer> {
    sources::make_sources(store, &new.request)?;
    launch::renew(store, &new.container, &new.request)?;
    Ledger::open(&new.container.dir)?.change(|state| state.waits = false)?;
    Ok(new)
}
