//! Removing a tree that a container wrote.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use rustix::fs::{CWD, FlockOperation};
use sys::Errno;

use super::{Privilege, Store, StoreError, in_id_map};

/// Removes `tree` and all below it, however deep; gone already is success. Rootless, files of
/// subordinate ids can't be removed from outside: then a child that entered the store's id map does it.
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
    // Another command may remove the same leftover, and renames in it: wait until it is done.
    let held = File::open(tree).ok();
    if let Some(dir) = &held {
        rustix::io::retry_on_intr(|| rustix::fs::flock(dir, FlockOperation::LockExclusive))?;
    }
    match images::remove_tree(CWD, tree.as_os_str()) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        // The walk takes a few at once; this takes one a level, and so can't go deep either.
        Err(e) if e.raw_os_error() == Some(Errno::EMFILE as i32) => {
            drop(held);
            fs::remove_dir_all(tree).map_err(|_| e)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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

    /// Deeper than a process may have descriptors, and deeper than a path may be long (PATH_MAX).
    #[test]
    fn a_deep_tree_with_closed_directories_is_removed_by_two_at_once() {
        use rustix::fs::{Mode, OFlags};
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let open = OFlags::PATH | OFlags::DIRECTORY;
        let mut here = rustix::fs::open(&tree, open, Mode::empty()).unwrap();
        for level in 0..3_000 {
            rustix::fs::mkdirat(&here, "level", Mode::RWXU).unwrap();
            let below = rustix::fs::openat(&here, "level", open, Mode::empty()).unwrap();
            if level % 100 == 99 {
                rustix::fs::mkdirat(&here, "closed", Mode::empty()).unwrap();
            }
            here = below;
        }
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| remove_tree(&store, &tree).unwrap());
            }
        });
        assert!(!tree.exists());
    }
}
