//! Who is in a group, and how a process gets into one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sys::{Errno, Pid, SysError, write_fd};

use crate::CgroupError;
use crate::error::unread;

/// Open files through which a child enters a group.
#[derive(Debug, Default)]
pub struct Joiner {
    pub(crate) files: Vec<OwnedFd>,
}

impl Joiner {
    /// Enters the group: called by the child itself, before it makes its cgroup namespace.
    ///
    /// `0` means the writer. v1 takes it in `tasks` within microseconds, for it moves one thread;
    /// a pid in `cgroup.procs` may move many, and the kernel first waits for an RCU grace period
    /// (10 to 15 ms). The child is to have one thread.
    ///
    /// # Errors
    /// `EACCES`: the opener had no right to move processes here. `ENODEV`: the group was removed.
    pub fn join(self) -> Result<(), SysError> {
        self.files.iter().try_for_each(|file| write_fd(file.as_fd(), "0"))
    }

    /// The open files: what a child that closes its parent's descriptors must keep.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.files.iter().map(AsFd::as_fd)
    }
}

pub(crate) fn open(path: &Path, how: OFlags) -> Result<OwnedFd, CgroupError> {
    let shown = if how.contains(OFlags::PATH) { "O_PATH|O_DIRECTORY" } else { "O_WRONLY" };
    let opened = rustix::fs::open(path, how | OFlags::CLOEXEC, Mode::empty());
    opened.map_err(|e| SysError::of("openat", format!("AT_FDCWD, {path:?}, {shown}|O_CLOEXEC"), e).into())
}

/// `dir` and every group below it, a group always before those in it. Nothing if it is gone.
pub(crate) fn tree(dir: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let mut found = vec![dir.to_owned()];
    let mut next = 0;
    while let Some(here) = found.get(next).cloned() {
        let entries = match std::fs::read_dir(&here) {
            Ok(entries) => entries,
            Err(e) if gone(&e) => {
                found.remove(next);
                continue;
            }
            Err(e) => return Err(unread(&here, e)),
        };
        for entry in entries {
            match entry.and_then(|e| Ok((e.file_type()?.is_dir(), e.path()))) {
                Ok((true, below)) => found.push(below),
                Ok((false, _)) => {}
                // It goes away while we look.
                Err(e) if gone(&e) => {}
                Err(e) => return Err(unread(&here, e)),
            }
        }
        next += 1;
    }
    Ok(found)
}

/// ENODEV is what an open directory or file of a removed group answers.
fn gone(e: &std::io::Error) -> bool {
    e.kind() == std::io::ErrorKind::NotFound || e.raw_os_error() == Some(Errno::ENODEV as i32)
}

/// Whether no process is in the group or below it. Where v2 counts its members, the count is
/// asked: a list of processes that all fork and end meanwhile may come out empty.
pub(crate) fn is_empty(dir: &Path) -> Result<bool, CgroupError> {
    let path = dir.join("cgroup.events");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().any(|l| l == "populated 0")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            tree(dir)?.iter().try_fold(true, |empty, group| Ok(empty && processes_of(group)?.is_empty()))
        }
        Err(e) if gone(&e) => Ok(true),
        Err(e) => Err(unread(&path, e)),
    }
}

pub(crate) fn processes_of(dir: &Path) -> Result<Vec<Pid>, CgroupError> {
    let path = dir.join("cgroup.procs");
    match std::fs::read_to_string(&path) {
        // 0 is a process that our pid namespace has no number for.
        Ok(text) => {
            let pids = text.lines().filter_map(|l| l.parse().ok()).filter(|p| *p != 0);
            Ok(pids.map(Pid::from_raw).collect())
        }
        Err(e) if gone(&e) => Ok(Vec::new()),
        // A threaded group has no list of its own: its processes stand in the group above.
        Err(e) if e.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => Ok(Vec::new()),
        Err(e) => Err(unread(&path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_look_reads_like_a_line_of_strace() {
        let none = Path::new("/no/such/tasks");
        let opened = open(none, OFlags::WRONLY).unwrap_err().to_string();
        let end = ": ENOENT (No such file or directory)";
        assert_eq!(opened, format!("openat(AT_FDCWD, \"/no/such/tasks\", O_WRONLY|O_CLOEXEC) {end}"));
        let read = processes_of(Path::new("/proc/version")).unwrap_err().to_string();
        assert_eq!(read, "read(\"/proc/version/cgroup.procs\") : ENOTDIR (Not a directory)");
    }
}
