//! `minidocker kill`.

use anyhow::Context;

use super::told::Told;
use super::verb::{Arity, Verb};
use super::{Refused, signal};
use crate::container;
use crate::runtime::Failure;
use crate::store::Store;
use crate::supervisor::client::{self, Sent};

/// `kill [-s SIGNAL] NAME...`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Kill {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string", default_value = "")]
    pub signal: String,
    /// Containers, by name, id or the beginning of an id.
    #[arg(hide = true)]
    pub names: Vec<String>,
}

impl Verb for Kill {
    const ABOUT: &'static str = "Kill one or more running containers";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";
    const NOT_YET: &'static str = "";
    const ARITY: Arity = Arity::Some;

    fn words(&self) -> usize {
        self.names.len()
    }

    fn act(self, _: &str) -> anyhow::Result<u8> {
        let number = if self.signal.is_empty() { signal::KILL } else { signal::number(&self.signal)? };
        kill(&self.names, number)
    }
}

/// Sends signal `number` to the init of each; prints the name of each that got it.
fn kill(names: &[String], number: i32) -> anyhow::Result<u8> {
    let store = Store::open()?;
    Ok(Told::each(names, |name| {
        send(&store, name, number)?;
        Ok(super::print(&format!("{name}\n"))?)
    }))
}

fn send(store: &Store, name: &str, number: i32) -> anyhow::Result<()> {
    let container = container::find(store, name)?;
    // A damaged record is no reason to refuse: the supervisor knows its init.
    if !container.is_alive()? {
        container.refuse_newer()?;
        match container::recover(store, &container) {
            // It is as dead without a record of that.
            Err(e) if e.is_full_disk() => {}
            other => other?,
        }
        let id = &container.id;
        return Err(
            Refused::new(1, format!("cannot kill container: {name}: container {id} is not running")).into()
        );
    }
    let sent =
        client::signal(&container, number).with_context(|| format!("cannot kill container: {name}"))?;
    if sent == Sent::RoundSupervisor {
        Told::note(hanging(name));
    }
    // Its supervisor did not answer and had to go too: then clearing up is ours.
    if container.is_alive()? { Ok(()) } else { Ok(container::recover(store, &container)?) }
}

/// The signal came through, but whoever stays with the container learns nothing of its end.
fn hanging(name: &str) -> Failure {
    Failure::ours(format!(
        "the supervisor of container {name} doesn't answer: its init got the signal without it"
    ))
    .advise(
        "it hangs in the kernel, or a debugger holds it; the client of the container waits for it",
        format!("minidocker kill {name} ends them all"),
    )
}
