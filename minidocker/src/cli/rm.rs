//! `minidocker rm`.

use super::told::Told;
use super::verb::{Arity, Verb};
use crate::container::{self, Container, ContainerError, Status};
use crate::store::Store;
use crate::supervisor;

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

/// Removes each and prints its name. With `--force`, a container that isn't there is told of but is
/// no failure (Docker 28: the exit code is 0).
fn rm(args: &Rm) -> anyhow::Result<u8> {
    let store = Store::open()?;
    Ok(Told::each(&args.names, |name| match remove(&store, name, args.force) {
        Ok(()) => Ok(super::print(&format!("{name}\n"))?),
        Err(e) if args.force && matches!(e.downcast_ref(), Some(ContainerError::NotFound(_))) => {
            Told::note(e);
            Ok(())
        }
        Err(e) => Err(e),
    }))
}

fn remove(store: &Store, name: &str, force: bool) -> anyhow::Result<()> {
    let container = container::find(store, name)?;
    // What a dead supervisor left counts as ended. A damaged record is no reason to keep the rest. But of
    // a newer one we don't know what it holds on the host, and what could not be released there
    // would stay for ever without its record.
    match container.refuse_newer().and_then(|()| container::recover(store, &container)) {
        Err(e @ ContainerError::Leftover { .. }) => return Err(e.into()),
        // What is about to go needs no record of its end.
        Err(e) if e.is_full_disk() => {}
        Err(e) if !force || e.is_newer() => return Err(e.into()),
        // It was half made, and is cleared.
        _ if !container.dir.exists() => return Ok(()),
        _ => {}
    }
    // One whose end is written down is about to let its lock go.
    let ends = || container.state().is_ok_and(|state| state.status == Status::Exited);
    if container.is_alive()? && (force || !ends()) {
        if !force {
            return Err(running(&container));
        }
        supervisor::client::end(&container)?;
        // Killed in the middle of a write its record may be damaged by now, which keeps nothing either.
        if let Err(e @ ContainerError::Leftover { .. }) = container::recover(store, &container) {
            return Err(e.into());
        }
    }
    match container::lock_dead(&container)? {
        Some(_lock) => Ok(container::end_and_remove(store, &container)?),
        // With --rm its supervisor removed it, or another `rm` did.
        None if !container.dir.exists() => Ok(()),
        None => Err(running(&container)),
    }
}

fn running(container: &Container) -> anyhow::Error {
    let shown = container.request().map_or_else(|_| container.id.clone(), |r| format!("/{}", r.name));
    ContainerError::Running(shown).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Privilege;

    #[test]
    fn a_name_has_its_slash_and_an_id_in_its_place_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
        let new = container::made_for_tests(&store);
        let said = |container| running(container).to_string();
        assert!(said(&new.container).starts_with(&format!(
            "cannot remove container \"/{}\": container is running: stop",
            new.request.name
        )));
        std::fs::remove_file(new.container.dir.join("request.json")).unwrap();
        assert!(
            said(&new.container).starts_with(&format!("cannot remove container \"{}\": ", new.container.id))
        );
    }
}
