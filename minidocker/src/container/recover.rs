//! What a dead supervisor left, and the end of a container: one way for both.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::create::release_name;
use super::find::id_of_name;
use super::{Container, ContainerError, Ledger, Status, all};
use crate::runtime::{self, Failure};
use crate::spec::Request;
use crate::store::{Lock, Store, StoreError, is_locked, remove_tree};

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
    failures.extend(sweep(store).into_iter().map(ContainerError::from));
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
    let empty = |dir: &str| fs::read_dir(container.dir.join(dir)).map_or(true, |mut d| d.next().is_none());
    fs::symlink_metadata(container.dir.join("state.json")).is_err_and(|e| e.kind() == ErrorKind::NotFound)
        && empty("upper")
        && !container.dir.join("log").exists()
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
    ledger.change(|state| {
        if state.status == Status::Running {
            state.exit_code = exit_code;
            state.status = Status::Exited;
            state.finished_at = super::state::now();
        }
        state.pid = 0;
        state.resources = stays;
    })?;
    if failures.is_empty() {
        return Ok(());
    }
    Err(ContainerError::Leftover { id: container.id.clone(), reason: failures.join("; ") })
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

/// A damaged record doesn't tell what the container has on the host. Its cgroup bears its id.
fn release_unrecorded(container: &Container) -> Result<(), ContainerError> {
    let leftover = |e: &dyn std::error::Error| ContainerError::Leftover {
        id: container.id.clone(),
        reason: e.to_string(),
    };
    let world = cgroups::World::detect().map_err(|e| leftover(&e))?;
    let dirs = world.group(&container.id).dirs().to_vec();
    runtime::release(&runtime::Resource::Cgroup { dirs }).map_err(|e| leftover(&e))
}

/// Removes what a killed `create` or `remove` left: directories with a dot, and names of nobody. One
/// that stays does not keep the others.
fn sweep(store: &Store) -> Vec<StoreError> {
    let (doomed, mut failures) = match doomed(store) {
        Ok(found) => found,
        Err(e) => return vec![e],
    };
    failures.extend(doomed.iter().filter_map(|path| remove_tree(store, path).err()));
    failures
}

/// The leftovers that are nobody's, and why others can't be told.
fn doomed(store: &Store) -> Result<(Vec<PathBuf>, Vec<StoreError>), StoreError> {
    let dir = store.containers();
    let entries = fs::read_dir(&dir).map_err(StoreError::io("openat", &dir, "O_RDONLY|O_DIRECTORY"))?;
    let names: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
    let leftovers: Vec<&String> = names.iter().filter(|n| is_leftover(n)).collect();
    let links = fs::read_dir(store.names()).map_or(0, Iterator::count);
    let (mut doomed, mut failures) = (Vec::new(), Vec::new());
    if leftovers.is_empty() && links <= names.len() {
        return Ok((doomed, failures));
    }
    // Whoever is making a container holds this lock until its own one is held.
    let _containers = Lock::exclusive(&store.lock_of("containers"))?;
    free_names(store);
    for name in leftovers {
        match doom(&dir, name) {
            Ok(path) => doomed.extend(path),
            Err(e) => failures.push(e),
        }
    }
    Ok((doomed, failures))
}

/// A leftover as `.gone-…`, which is nobody's; none if somebody is still making it.
fn doom(dir: &Path, name: &str) -> Result<Option<PathBuf>, StoreError> {
    let path = dir.join(name);
    let Some(id) = name.strip_prefix(".new-") else { return Ok(Some(path)) };
    if is_locked(&path.join("lock"))? {
        return Ok(None);
    }
    let gone = dir.join(format!(".gone-{id}"));
    match fs::rename(&path, &gone) {
        Ok(()) => Ok(Some(gone)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io("rename", path, "")(e)),
    }
}

/// Unlinks the names whose containers are gone.
fn free_names(store: &Store) {
    let links = fs::read_dir(store.names()).into_iter().flatten().filter_map(Result::ok);
    for link in links {
        if link.file_name().to_str().is_none_or(|name| id_of_name(store, name).is_none()) {
            let _ = fs::remove_file(link.path());
        }
    }
}

fn is_leftover(name: &str) -> bool {
    name.starts_with(".new-") || name.starts_with(".gone-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Privilege;

    #[test]
    fn a_lock_that_another_command_has_for_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
        let container = Container::at(&store, &"ab".repeat(32));
        assert!(lock_dead(&container).unwrap().is_none(), "there is no such container");
        fs::create_dir(&container.dir).unwrap();
        let held = Lock::exclusive(&container.lock_path()).unwrap();
        let (begun, begins) = std::sync::mpsc::channel();
        let waits = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                begun.send(()).unwrap();
                lock_dead(&container).unwrap().is_some()
            });
            begins.recv().unwrap();
            std::thread::sleep(Duration::from_millis(20));
            drop(held);
            waiting.join().unwrap()
        });
        assert!(waits);
    }

    #[test]
    fn a_container_that_waits_since_the_first_look_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
        let container = crate::container::made_for_tests(&store).container;
        Ledger::open(&container.dir).unwrap().change(|state| state.waits = true).unwrap();
        clear(&store, &container, true).unwrap();
        assert!(container.dir.exists());
        Ledger::open(&container.dir).unwrap().change(|state| state.waits = false).unwrap();
        clear(&store, &container, true).unwrap();
        assert!(!container.dir.exists());
    }

    #[test]
    fn what_was_started_and_died_before_rm_had_the_lock_is_ended_before_its_record_goes() {
        use std::os::unix::process::ExitStatusExt;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
        let container = crate::container::made_for_tests(&store).container;
        let mut init = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = init.id() as i32;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let start_time = stat.split(' ').nth(21).unwrap().parse().unwrap();
        let resource = runtime::Resource::Init { pid, start_time, pid_namespace: 0 };
        Ledger::open(&container.dir).unwrap().change(|state| state.resources.push(resource)).unwrap();
        end_and_remove(&store, &container).unwrap();
        assert_eq!(init.wait().unwrap().signal(), Some(9));
        assert!(!container.dir.exists());
    }

    #[test]
    fn one_leftover_that_stays_does_not_keep_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
        // Its lock can't be opened: a directory stands there.
        for name in [".new-a/lock", ".new-b", ".new-c/lock", ".gone-d/upper"] {
            fs::create_dir_all(store.containers().join(name)).unwrap();
        }
        let failures = sweep(&store);
        assert_eq!(failures.len(), 2, "{failures:?}");
        let mut left: Vec<_> =
            fs::read_dir(store.containers()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".new-a", ".new-c"]);
    }
}
