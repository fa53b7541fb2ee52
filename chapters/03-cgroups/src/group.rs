//! One group: a directory in each tree that we may write to.

use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, AtFlags, CWD, OFlags};
use sys::{Errno, Pid, SysError, mkdir, rmdir};

use crate::members::{is_empty, open, processes_of, tree};
use crate::{CgroupError, Joiner};

/// The directory above all groups of ours, by which they are known. It holds groups, never processes.
pub const PARENT: &str = "minidocker";

/// How long [`Group::remove`] waits for the last process to be gone for good.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// One group: a directory in each tree. Dropping it changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "a group is only a list of paths until it is made"]
pub struct Group {
    dirs: Vec<PathBuf>,
}

impl Group {
    /// The group with these directories, as [`Group::dirs`] gave them. No call is made.
    pub fn from_dirs(dirs: Vec<PathBuf>) -> Self {
        Self { dirs }
    }

    /// Its directories: what is worth to be written down before [`Group::make`].
    #[must_use]
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Makes the directories, and says which: a tree that we may not write to, or may not put
    /// processes into, is left out without an error, because nobody asked for a limit. So the
    /// group of a plain user without a delegated subtree has no directory.
    ///
    /// # Errors
    /// [`CgroupError::Taken`]: somebody lives there already. `EAGAIN`: cgroup.max.descendants.
    /// What this call made before the error is removed again.
    pub fn make(&self) -> Result<Self, CgroupError> {
        let mut made = Self::default();
        for dir in &self.dirs {
            match make_one(dir) {
                Ok(true) => made.dirs.push(dir.clone()),
                Ok(false) => {}
                Err(e) => {
                    // The first error is the story; what can't be undone stands in the caller's record.
                    let _ = made.remove();
                    return Err(e);
                }
            }
        }
        Ok(made)
    }

    /// A descriptor for `CloneArgs::cgroup`: born in the group, a child needs no move.
    /// None without a unified tree.
    ///
    /// # Errors
    /// [`CgroupError::Call`].
    pub fn v2_fd(&self) -> Result<Option<OwnedFd>, CgroupError> {
        let Some(dir) = self.v2_dir() else { return Ok(None) };
        open(dir, OFlags::PATH | OFlags::DIRECTORY).map(Some)
    }

    /// Opens what the child needs to join: v1's `tasks`, and with `v2_too` (where clone3 is
    /// missing) v2's `cgroup.procs`. The parent opens, because the kernel asks for the opener's
    /// rights, and because the child may see no cgroups any more.
    ///
    /// # Errors
    /// [`CgroupError::Call`].
    pub fn joiner(&self, v2_too: bool) -> Result<Joiner, CgroupError> {
        let mut files = Vec::new();
        for dir in &self.dirs {
            if is_v1(dir) {
                files.push(open(&dir.join("tasks"), OFlags::WRONLY)?);
            } else if v2_too {
                files.push(open(&dir.join("cgroup.procs"), OFlags::WRONLY)?);
            }
        }
        Ok(Joiner { files })
    }

    /// The processes in it and in groups below, each once, by the numbers of our pid namespace.
    /// Zombies don't count.
    ///
    /// # Errors
    /// [`CgroupError::Call`]. A group that is gone has no processes.
    pub fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        let mut pids = Vec::new();
        for dir in &self.dirs {
            for group in tree(dir)? {
                pids.extend(processes_of(&group)?);
            }
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Removes the directories and the groups that the container made below them, deepest first,
    /// then the parent if no other group is in it. Gone already is success. Waits (5 s at most)
    /// for processes that are about to end; [`Group::kill`] sees to it that they are.
    ///
    /// # Errors
    /// [`CgroupError::NotOurs`]. `EBUSY`: a process still lives. All directories are tried before
    /// the first error is returned.
    pub fn remove(&self) -> Result<(), CgroupError> {
        let mut first = Ok(());
        for dir in &self.dirs {
            let done = ours(dir).and_then(|parent| {
                remove_tree(dir)?;
                remove_parent(parent).map_err(CgroupError::from)
            });
            first = first.and(done);
        }
        first
    }

    /// Removes the directories if nobody is in them and no group is below, and says whether all of them
    /// are gone. The kernel looks and removes in one call, so this needs no list of members: after the
    /// end of a container it is mostly enough.
    ///
    /// # Errors
    /// [`CgroupError::NotOurs`]; [`CgroupError::Call`]: the parent can't be removed.
    pub fn remove_empty(&self) -> Result<bool, CgroupError> {
        for dir in &self.dirs {
            let parent = ours(dir)?;
            match rmdir(dir) {
                // `remove` tells why, if it can't either.
                Err(e) if e.errno() != Errno::ENOENT => return Ok(false),
                _ => remove_parent(parent)?,
            }
        }
        Ok(true)
    }

    /// The directory that holds a file of this name: what a directory can do is seen from its files.
    pub(crate) fn with_file(&self, name: &str) -> Option<&Path> {
        self.dirs.iter().find(|d| d.join(name).exists()).map(PathBuf::as_path)
    }

    pub(crate) fn v2_dir(&self) -> Option<&Path> {
        self.dirs.iter().find(|d| d.is_dir() && !is_v1(d)).map(PathBuf::as_path)
    }
}

/// The parent of a directory of ours, else an error. Every change asks this first: a damaged
/// record must not lead us to the groups of others.
pub(crate) fn ours(dir: &Path) -> Result<&Path, CgroupError> {
    let plain = dir.is_absolute() && !dir.components().any(|c| c == Component::ParentDir);
    match dir.parent() {
        Some(parent) if plain && dir.file_name().is_some() && parent.file_name() == Some(PARENT.as_ref()) => {
            Ok(parent)
        }
        _ => Err(CgroupError::NotOurs { dir: dir.to_owned() }),
    }
}

/// v1 alone has `tasks`. A tree of v2 can be told before anything is in it, a faked one too.
pub(crate) fn is_v1(dir: &Path) -> bool {
    dir.join("tasks").exists()
}

/// Makes one directory; false where we may not.
fn make_one(dir: &Path) -> Result<bool, CgroupError> {
    let parent = ours(dir)?;
    // Another command may remove the empty parent between our two calls.
    for _ in 0..100 {
        match mkdir(parent, 0o755) {
            Err(e) if e.errno() == Errno::EEXIST => {}
            Err(e) if forbidden(&e) => return Ok(false),
            other => other?,
        }
        match mkdir(dir, 0o755) {
            Err(e) if e.errno() == Errno::ENOENT => continue,
            Err(e) if e.errno() == Errno::EEXIST => in_use(dir)?,
            Err(e) if forbidden(&e) => {
                remove_parent(parent)?;
                return Ok(false);
            }
            other => other?,
        }
        let usable = may_hold_processes(dir, parent);
        if !usable {
            remove_tree(dir)?;
            remove_parent(parent)?;
        }
        return Ok(usable);
    }
    Err(CgroupError::Taken { dir: parent.to_owned() })
}

/// The errnos by which a tree says that it is not for us; ENOENT is a place that is gone.
fn forbidden(e: &SysError) -> bool {
    matches!(e.errno(), Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::ENOENT)
}

/// An empty directory that a crash has left is as good as a new one.
fn in_use(dir: &Path) -> Result<(), CgroupError> {
    if tree(dir)?.len() <= 1 && is_empty(dir)? {
        Ok(())
    } else {
        Err(CgroupError::Taken { dir: dir.to_owned() })
    }
}

/// Whether we could move a process there (cgroup-v2.rst, "Delegation Containment", "Threads").
///
/// Who moves a process must be allowed to write `cgroup.procs` of the group that both places have
/// in common: that of our own place. And below a threaded group a new one is `domain invalid`.
fn may_hold_processes(dir: &Path, parent: &Path) -> bool {
    let place = parent.parent().unwrap_or(parent).join("cgroup.procs");
    let allowed = rustix::fs::accessat(CWD, &place, Access::WRITE_OK, AtFlags::EACCESS);
    let kind = std::fs::read_to_string(dir.join("cgroup.type")).unwrap_or_default();
    !matches!(allowed, Err(rustix::io::Errno::ACCESS | rustix::io::Errno::ROFS))
        && kind.trim() != "domain invalid"
}

fn remove_tree(dir: &Path) -> Result<(), CgroupError> {
    let deadline = Instant::now() + LONGEST_WAIT;
    let mut pause = Duration::from_micros(100);
    loop {
        let done = tree(dir)?.iter().rev().try_for_each(|group| rmdir(group));
        match done {
            Err(e) if e.errno() == Errno::ENOENT => {}
            // A process that was killed is a member until its exit is complete.
            Err(e) if e.errno() == Errno::EBUSY && Instant::now() < deadline => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(20));
            }
            other => return other.map_err(CgroupError::from),
        }
    }
}

/// Removes the parent of our groups unless a group is still in it, or another user made it.
fn remove_parent(parent: &Path) -> Result<(), SysError> {
    match rmdir(parent) {
        Err(e) if matches!(e.errno(), Errno::EBUSY | Errno::ENOTEMPTY) || forbidden(&e) => Ok(()),
        other => other,
    }
}
