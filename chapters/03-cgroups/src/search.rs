//! A group of ours that was made from another place than the one where we are now.
//!
//! Whoever starts a container from a login session and clears it from another, or from a service, is in
//! another cgroup each time, and [`World::group`] names another directory. The name is the same.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::{Group, PARENT, World};

/// So many directories are looked at: more than a machine has, fewer than take a second.
const MOST: usize = 20_000;

impl World {
    /// The group `minidocker/<name>` in every tree that we see, wherever it lies. For one whose record is
    /// lost: it reads all directories of these trees, the nearest to the root first, 20,000 at most.
    pub fn find(&self, name: &str) -> Group {
        let mut found: Vec<PathBuf> = self.roots.iter().flat_map(|root| find_below(root, name)).collect();
        found.sort_unstable();
        // A tree may be mounted twice.
        found.dedup();
        Group::from_dirs(found)
    }
}

fn find_below(root: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut next = VecDeque::from([root.to_owned()]);
    for _ in 0..MOST {
        let Some(dir) = next.pop_front() else { break };
        let wanted = dir.join(name);
        if dir.file_name() == Some(PARENT.as_ref()) && wanted.is_dir() {
            found.push(wanted);
        }
        // Gone, or not ours to look into: nothing of ours is there.
        let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        next.extend(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    found
}
