//! What a container has on the host, and how each is given back.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec};
use serde::{Deserialize, Serialize};

use sys::{Errno, Pid, SysError};

use super::Failure;

/// One thing on the host that would stay if nobody took it away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Resource {
    /// A cgroup: its directory in each hierarchy.
    Cgroup {
        /// Absolute paths.
        dirs: Vec<PathBuf>,
    },
    /// The container's init. The kernel gives its number to another process some day, so the
    /// start time and the pid namespace say whether it is still the same.
    Init {
        /// The host's number.
        pid: i32,
        /// Field 22 of /proc/pid/stat, in clock ticks since boot (proc(5)).
        start_time: u64,
        /// The inode of its /proc/pid/ns/pid.
        pid_namespace: u64,
    },
}

impl Resource {
    /// How this init has ended while its parent did not wait for it: 128 + n after signal n. None: it
    /// runs, it is gone, or this is no init.
    #[must_use]
    pub fn zombie_code(&self) -> Option<i32> {
        let Self::Init { pid, start_time, .. } = self else { return None };
        let fields = stat(*pid)?;
        let is_it = fields.first()? == "Z" && fields.get(START_TIME)?.parse() == Ok(*start_time);
        let status: i32 = fields.get(EXIT_CODE)?.parse().ok()?;
        // As waitpid(2) gives it.
        let code = if status & 0x7f == 0 { status >> 8 } else { 128 + (status & 0x7f) };
        is_it.then_some(code)
    }
}

/// Who writes resources down.
pub trait RuntimeLedger {
    /// Writes it to disk; returns when a crash of ours can't lose it.
    ///
    /// # Errors
    /// The disk is full, or the container's directory is gone.
    fn record(&mut self, resource: Resource) -> Result<(), Failure>;
}

/// Gives one resource back. Gone already is success.
///
/// # Errors
/// The resource is still there.
pub fn release(resource: &Resource) -> Result<(), ReleaseError> {
    match resource {
        Resource::Cgroup { dirs } => {
            let group = cgroups::Group::from_dirs(dirs.clone());
            group.kill()?;
            Ok(group.remove()?)
        }
        Resource::Init { .. } => kill_init(resource),
    }
}

/// A resource that could not be given back.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The cgroup can't be emptied or removed.
    #[error("{0}")]
    Cgroup(#[from] cgroups::CgroupError),
    /// The process can't be killed.
    #[error("{0}")]
    Sys(#[from] SysError),
    /// SIGKILL was sent and the process is still there.
    #[error("init does not end: it hangs in the kernel (state D in ps)")]
    Hangs,
}

/// How long a killed process may take to be gone, in seconds.
const KILL_PATIENCE_S: i64 = 5;

/// A pidfd on the init that `resource` names, or none: it is gone, or its number is another's now.
#[must_use]
pub fn open_init(resource: &Resource) -> Option<OwnedFd> {
    let Resource::Init { pid, start_time, pid_namespace } = resource else { return None };
    // The descriptor first, the look second: what we looked at is then what we have.
    let pidfd = sys::pidfd_open(Pid::from_raw(*pid)).ok()?;
    // 0: it could not be read, of a zombie or of another user.
    let same = |(start, namespace): (u64, u64)| {
        start == *start_time && (namespace == *pid_namespace || namespace == 0 || *pid_namespace == 0)
    };
    identity(*pid).is_some_and(same).then_some(pidfd)
}

fn kill_init(resource: &Resource) -> Result<(), ReleaseError> {
    let Some(pidfd) = open_init(resource) else { return Ok(()) };
    match sys::pidfd_send_signal(pidfd.as_fd(), nix::libc::SIGKILL) {
        Err(e) if e.errno() != Errno::ESRCH => return Err(e.into()),
        _ => {}
    }
    let timeout = Timespec { tv_sec: KILL_PATIENCE_S, tv_nsec: 0 };
    match rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
        Ok(0) => Err(ReleaseError::Hangs),
        _ => Ok(()),
    }
}

/// Of the fields of /proc/pid/stat, counted from the third (proc(5)).
const START_TIME: usize = 22 - 3;
const EXIT_CODE: usize = 52 - 3;

/// /proc/pid/stat from the third field on, which is the state.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses: count behind the last one.
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// (start time, inode of the pid namespace) of a process, or none when it is gone or not ours to see.
pub(crate) fn identity(pid: i32) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let start_time = stat(pid)?.get(START_TIME)?.parse().ok()?;
    // A zombie has no namespaces any more; its start time is enough.
    let namespace = fs::metadata(format!("/proc/{pid}/ns/pid")).map_or(0, |m| m.ino());
    Some((start_time, namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_with_the_same_number_is_left_alone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id() as i32;
        let (start_time, pid_namespace) = identity(pid).unwrap();
        release(&Resource::Init { pid, start_time: start_time + 1, pid_namespace }).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "it lives");
        let init = Resource::Init { pid, start_time, pid_namespace };
        assert_eq!(init.zombie_code(), None, "it runs");
        release(&init).unwrap();
        assert_eq!(init.zombie_code(), Some(137));
        assert!(!child.wait().unwrap().success());
        assert_eq!(init.zombie_code(), None, "it is gone");
        release(&init).unwrap();
    }
}
