//! What is no container: half made, half removed, or a name of nobody.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::container::find::{id_of_name, listed};
use crate::store::{Lock, Store, StoreError, is_locked, remove_tree};

/// Removes what a killed `create` or `remove` left: directories with a dot, and names of nobody. One
/// that stays does not keep the others.
pub(super) fn sweep(store: &Store) -> Vec<StoreError> {
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
    let names = listed(entries).map_err(StoreError::io("getdents64", &dir, ""))?;
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
        if link.file_name().to_str().is_none_or(|name| matches!(id_of_name(store, name), Ok(None))) {
            let _ = fs::remove_file(link.path());
        }
    }
}

fn is_leftover(name: &str) -> bool {
    name.starts_with(".new-") || name.starts_with(".gone-")
}
