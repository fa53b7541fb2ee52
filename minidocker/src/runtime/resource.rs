//! What a container has on the host, and how each is given back.

use std::fs;
use std::io::ErrorKind;
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
        let fields = stat(*pid).ok()??;
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
            if group.remove_empty()? {
                return Ok(());
            }
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
///
/// # Errors
/// Nobody could look: no descriptor is free, a filter forbids pidfd_open(2), /proc can't be read.
pub fn open_init(resource: &Resource) -> Result<Option<OwnedFd>, SysError> {
    let Resource::Init { pid, .. } = resource else { return Ok(None) };
    // The descriptor first, the look second: what we looked at is then what we have.
    if_same(resource, sys::pidfd_open(Pid::from_raw(*pid)))
}

/// What was opened, if it is the init that `resource` names.
fn if_same(resource: &Resource, opened: Result<OwnedFd, SysError>) -> Result<Option<OwnedFd>, SysError> {
    let Resource::Init { pid, start_time, pid_namespace } = resource else { return Ok(None) };
    match opened {
        // The number belongs to nobody, or to a thread (Linux 6.9 says ENOENT): ours led its own group.
        Err(e) if matches!(e.errno(), Errno::ESRCH | Errno::EINVAL | Errno::ENOENT) => return Ok(None),
        _ => {}
    }
    // 0: it could not be read, of a zombie or of another user.
    let same = |(start, namespace): (u64, u64)| {
        start == *start_time && (namespace == *pid_namespace || namespace == 0 || *pid_namespace == 0)
    };
    if identity(*pid)?.is_some_and(same) { opened.map(Some) } else { Ok(None) }
}

fn kill_init(resource: &Resource) -> Result<(), ReleaseError> {
    let Some(pidfd) = open_init(resource)? else { return Ok(()) };
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

/// /proc/pid/stat from the third field on, which is the state. None: there is no such process.
fn stat(pid: i32) -> Result<Option<Vec<String>>, SysError> {
    let path = format!("/proc/{pid}/stat");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        // ESRCH: it went between the open and the read.
        Err(e) if e.kind() == ErrorKind::NotFound || e.raw_os_error() == Some(nix::libc::ESRCH) => {
            return Ok(None);
        }
        Err(e) => return Err(SysError::of("read", format!("{path:?}"), e)),
    };
    // The name in parentheses may hold spaces and parentheses: count behind the last one.
    Ok(text.rsplit_once(')').map(|(_, fields)| fields.split_whitespace().map(str::to_owned).collect()))
}

/// (start time, inode of the pid namespace) of a process, or none when it is gone.
pub(crate) fn identity(pid: i32) -> Result<Option<(u64, u64)>, SysError> {
    use std::os::unix::fs::MetadataExt;
    let fields = stat(pid)?.unwrap_or_default();
    let start_time = fields.get(START_TIME).and_then(|field| field.parse().ok());
    // A zombie has no namespaces any more; its start time is enough.
    let namespace = || fs::metadata(format!("/proc/{pid}/ns/pid")).map_or(0, |m| m.ino());
    Ok(start_time.map(|start_time| (start_time, namespace())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_with_the_same_number_is_left_alone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id() as i32;
        let (start_time, pid_namespace) = identity(pid).unwrap().unwrap();
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

    #[test]
    fn who_could_not_look_does_not_say_that_it_is_gone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id() as i32;
        let (start_time, pid_namespace) = identity(pid).unwrap().unwrap();
        let init = Resource::Init { pid, start_time, pid_namespace };
        let other = Resource::Init { pid, start_time: start_time + 1, pid_namespace };
        let failed = |errno| Err(SysError::new("pidfd_open", format!("{pid}, 0"), errno));
        for errno in [Errno::EMFILE, Errno::ENOMEM, Errno::ENOSYS, Errno::EPERM] {
            assert_eq!(if_same(&init, failed(errno)).unwrap_err().errno(), errno);
            assert!(if_same(&other, failed(errno)).unwrap().is_none(), "{errno}: another has its number");
        }
        for errno in [Errno::ESRCH, Errno::EINVAL, Errno::ENOENT] {
            assert!(if_same(&init, failed(errno)).unwrap().is_none(), "{errno}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(if_same(&init, failed(Errno::EMFILE)).unwrap().is_none(), "it is gone");
    }
}
