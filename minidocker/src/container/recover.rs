//! What a dead supervisor left, and the end of a container: one way for both.

mod sweep;

use std::fs;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::create::release_name;
use super::{Container, ContainerError, Ledger, Status, all};
use crate::runtime::{self, Failure};
use crate::spec::Request;
use crate::store::{Lock, Store, StoreError, remove_tree};

/// The code of a container whose end nobody saw. Docker shows the same after its daemon died.
pub const UNSEEN: i32 = 255;
/// How long another command may take to clear a dead container.
const CLEARING: Duration = Duration::from_secs(6);

/// Clears what the dead left: releases their resources, removes those that were to be removed at
/// their end, and what was half made or half removed. Goes on past failures and returns them.
#[must_use = "what could not be cleared must be told"]
pub fn recover_all(store: &Store) -> Vec<ContainerError> {
    let mut failures = Vec::new();
    match all(store) {
        Ok(containers) => failures.extend(containers.iter().filter_map(|c| recover(store, c).err())),
        Err(e) => failures.push(e.into()),
    }
    failures.extend(sweep::sweep(store).into_iter().map(ContainerError::from));
    // One full disk is told once, whatever could not be written to it.
    let first = failures.iter().position(ContainerError::is_full_disk);
    let mut at = 0..;
    failures.retain(|e| at.next() == first || !e.is_full_disk());
    failures
}

/// Clears what a dead supervisor left of one container. A living one is left alone.
///
/// # Errors
/// A resource that can't be released; a record that is damaged, or newer (then nothing is changed).
pub fn recover(store: &Store, container: &Container) -> Result<(), ContainerError> {
    match clear_dead(store, container) {
        // Removed by somebody else while we looked.
        Err(_) if !container.dir.exists() => Ok(()),
        other => other,
    }
}

fn clear_dead(store: &Store, container: &Container) -> Result<(), ContainerError> {
    let auto_remove = match container.request() {
        Err(e) if e.is_newer() => return Err(e),
        request => request.is_ok_and(|r| r.host_config.auto_remove),
    };
    if is_half_made(container) {
        return clear_half_made(store, container);
    }
    let state = container.state()?;
    let at_rest = state.status != Status::Running && state.resources.is_empty();
    if (at_rest && (!auto_remove || state.waits)) || container.is_alive()? {
        return Ok(());
    }
    container.refuse_newer()?;
    let Some(_lock) = Lock::try_exclusive(&container.lock_path())? else { return Ok(()) };
    clear(store, container, auto_remove)
}

/// By what the record says now that the lock is ours: before, it may have been half made.
fn clear(store: &Store, container: &Container, auto_remove: bool) -> Result<(), ContainerError> {
    let mut ledger = Ledger::open(&container.dir)?;
    let doomed = auto_remove && !ledger.state.waits;
    let finished = finish(container, &mut ledger, UNSEEN);
    settle(store, container, finished, doomed)
}

/// Without state.json nothing was ever started, or the disk lost it: then the upper may hold what a
/// user wants back, and `rm -f` alone takes it away.
fn is_half_made(container: &Container) -> bool {
    let is_missing = |e: &std::io::Error| e.kind() == ErrorKind::NotFound;
    let missing = |name: &str| fs::symlink_metadata(container.dir.join(name)).is_err_and(|e| is_missing(&e));
    let empty = |dir: &str| {
        // What can't be looked at may hold something.
        fs::read_dir(container.dir.join(dir)).map_or_else(|e| is_missing(&e), |mut d| d.next().is_none())
    };
    missing("state.json") && empty("upper") && missing("log")
}

fn clear_half_made(store: &Store, container: &Container) -> Result<(), ContainerError> {
    match Lock::try_exclusive(&container.lock_path())? {
        Some(_lock) if is_half_made(container) => remove(store, container),
        _ => Ok(()),
    }
}

/// The lock of a container that nobody keeps alive; none if somebody does, or if it is gone. Another
/// command that clears what the dead left has the lock for a moment: that is waited for.
///
/// # Errors
/// The lock file can't be opened.
pub fn lock_dead(container: &Container) -> Result<Option<Lock>, StoreError> {
    let end = Instant::now() + CLEARING;
    while container.dir.exists() {
        match Lock::try_exclusive(&container.lock_path()) {
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(2)),
            // Gone between the two looks.
            Err(_) if !container.dir.exists() => {}
            found => return found,
        }
    }
    Ok(None)
}

/// Releases all that the container has on the host, last first, and records the end. The caller
/// holds the container's lock.
///
/// # Errors
/// `Leftover` with everything that could not be released; the record keeps it for the next try.
pub fn finish(container: &Container, ledger: &mut Ledger, exit_code: i32) -> Result<(), ContainerError> {
    let mut failures = Vec::new();
    let mut stays = Vec::new();
    for resource in ledger.state.resources.iter().rev() {
        if let Err(e) = runtime::release(resource) {
            failures.push(e.to_string());
            stays.insert(0, resource.clone());
        }
    }
    let mut written = ledger.change(|state| {
        if state.status == Status::Running {
            state.exit_code = exit_code;
            state.status = Status::Exited;
            state.finished_at = super::state::now();
        }
        state.pid = 0;
        state.resources = stays;
    });
    if written.as_ref().is_err_and(StoreError::is_full_disk) {
        make_room(container);
        written = ledger.change(|_| {});
    }
    written.map_err(|e| ContainerError::Unwritten { container: container.name(), cause: Box::new(e) })?;
    if failures.is_empty() {
        return Ok(());
    }
    Err(ContainerError::Leftover { id: container.id.clone(), reason: failures.join("; ") })
}

/// On a full disk, gives up a file that every start makes anew, for the record of this end. That needs a
/// block (or an inode: the fifo's) for a moment, until it has taken the place of the one before.
fn make_room(container: &Container) {
    // Emptied: what is mounted somewhere keeps its blocks when it is unlinked.
    let _ = fs::File::options().write(true).open(container.dir.join("hosts")).and_then(|f| f.set_len(0));
    let _ = fs::remove_file(container.dir.join("exec.fifo"));
}

/// The end of a start that failed: releases what was made, keeps the container as it was, with the
/// reason, or removes it with `--rm`. The caller holds the container's lock.
///
/// # Errors
/// Those of [`finish`] and [`remove`].
pub fn give_up(
    store: &Store,
    container: &Container,
    request: &Request,
    ledger: &mut Ledger,
    failure: &Failure,
) -> Result<(), ContainerError> {
    let cleared = finish(container, ledger, i32::from(failure.code));
    // On a full disk the reason is lost, and was told all the same.
    let _ = ledger.change(|state| {
        state.status = if state.started_at.is_empty() { Status::Created } else { Status::Exited };
        state.exit_code = i32::from(failure.code);
        state.error = failure.message.clone();
    });
    settle(store, container, cleared, request.host_config.auto_remove)
}

/// What comes after [`finish`]: a container that is `doomed` is removed. That its last state could not be
/// written, on a full disk, doesn't matter then; that it has something left on the host does.
///
/// # Errors
/// That of `finished`, or those of [`remove`].
pub fn settle(
    store: &Store,
    container: &Container,
    finished: Result<(), ContainerError>,
    doomed: bool,
) -> Result<(), ContainerError> {
    match finished {
        Err(e) if !doomed || matches!(e, ContainerError::Leftover { .. }) => Err(e),
        _ if doomed => remove(store, container),
        _ => Ok(()),
    }
}

/// Removes a container whose lock the caller has. Before that, another command may have started it,
/// and its supervisor have died.
///
/// # Errors
/// As [`remove`].
pub fn end_and_remove(store: &Store, container: &Container) -> Result<(), ContainerError> {
    if let Ok(mut ledger) = Ledger::open(&container.dir)
        && !ledger.state.resources.is_empty()
    {
        settle(store, container, finish(container, &mut ledger, UNSEEN), true)
    } else {
        remove(store, container)
    }
}

/// Removes the record, the files and the name of a container. The caller holds its lock and has
/// released its resources.
///
/// # Errors
/// Files that can't be removed: the container is gone from every list all the same. `Leftover`.
pub fn remove(store: &Store, container: &Container) -> Result<(), ContainerError> {
    if container.state().is_err() {
        release_unrecorded(container)?;
    }
    // A damaged request must not keep the container, nor its name.
    let name = container.request().map_or_else(|_| container.name(), |r| r.name);
    let gone = store.containers().join(format!(".gone-{}", container.id));
    {
        // Else a new container could take the name between the two, and lose it again.
        let _containers = Lock::exclusive(&store.lock_of("containers"))?;
        match fs::rename(&container.dir, &gone) {
            Ok(()) => release_name(store, &name, &container.id),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(StoreError::io("rename", &container.dir, "")(e).into()),
        }
    }
    Ok(remove_tree(store, &gone)?)
}

/// A damaged record doesn't tell what the container has on the host. Its cgroup bears its id, wherever the
/// command was that made it.
fn release_unrecorded(container: &Container) -> Result<(), ContainerError> {
    let leftover = |e: &dyn std::error::Error| ContainerError::Leftover {
        id: container.id.clone(),
        reason: e.to_string(),
    };
    let world = cgroups::World::detect().map_err(|e| leftover(&e))?;
    let dirs = world.find(&container.id).dirs().to_vec();
    runtime::release(&runtime::Resource::Cgroup { dirs }).map_err(|e| leftover(&e))
}

#[cfg(test)]
mod tests;
