//! Removing a tree that a container wrote.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Privilege, Store, StoreError, in_id_map};

/// Removes `tree` and all below it; gone already is success. Rootless, files of subordinate ids
/// can't be removed from outside: then a child that entered the store's id map does it.
///
/// # Errors
/// `Sys` with the path that stayed.
pub fn remove_tree(store: &Store, tree: &Path) -> Result<(), StoreError> {
    match plain(tree) {
        Err(e) if store.privilege() == Privilege::Rootless && e.kind() == ErrorKind::PermissionDenied => {
            in_id_map(store, || plain(tree).map_err(StoreError::io("unlinkat", tree, "")))
        }
        other => other.map_err(StoreError::io("unlinkat", tree, "")),
    }
}

fn plain(tree: &Path) -> std::io::Result<()> {
    let first = match fs::remove_dir_all(tree) {
        Err(e) if e.kind() == ErrorKind::PermissionDenied => e,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        other => return other,
    };
    // Directories without r, w or x for their owner (overlay's work/work has mode 000).
    if open_up(tree).is_err() {
        return Err(first);
    }
    fs::remove_dir_all(tree)
}

/// Gives the owner access to every directory below `dir`.
fn open_up(dir: &Path) -> std::io::Result<()> {
    // chmod(2) follows links.
    if !fs::symlink_metadata(dir)?.is_dir() {
        return Ok(());
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_directory_is_removed_by_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("work/work")).unwrap();
        fs::set_permissions(tree.join("work/work"), fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(&store, &tree).unwrap();
        assert!(!tree.exists());
        remove_tree(&store, &tree).unwrap();
    }
}
