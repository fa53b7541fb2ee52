//! clone3(2): a child in new namespaces, and in a cgroup, at once.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::call::{Shown, call, flags};
use crate::{Errno, Pid, SysError};

bitflags::bitflags! {
    /// The flags of clone3(2), unshare(2) and setns(2).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct CloneFlags: u64 {
        /// New mount namespace.
        const CLONE_NEWNS = libc::CLONE_NEWNS as u64;
        /// New cgroup namespace.
        const CLONE_NEWCGROUP = libc::CLONE_NEWCGROUP as u64;
        /// New UTS namespace (host and domain name).
        const CLONE_NEWUTS = libc::CLONE_NEWUTS as u64;
        /// New IPC namespace.
        const CLONE_NEWIPC = libc::CLONE_NEWIPC as u64;
        /// New user namespace.
        const CLONE_NEWUSER = libc::CLONE_NEWUSER as u64;
        /// New pid namespace.
        const CLONE_NEWPID = libc::CLONE_NEWPID as u64;
        /// New network namespace.
        const CLONE_NEWNET = libc::CLONE_NEWNET as u64;
        /// New time namespace; clone3 and unshare only.
        const CLONE_NEWTIME = 0x80;
        /// The parent gets a pidfd.
        const CLONE_PIDFD = libc::CLONE_PIDFD as u64;
        /// The child starts in the cgroup of [`CloneArgs::cgroup`]; clone3 only, Linux 5.7.
        const CLONE_INTO_CGROUP = 0x2_0000_0000;
    }
}

/// What [`clone3`] is to make. The child's end is told with SIGCHLD.
#[derive(Debug, Default)]
pub struct CloneArgs<'a> {
    /// The namespaces.
    pub flags: CloneFlags,
    /// A directory of a cgroup v2 tree to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// In which of the two processes we are.
#[derive(Debug)]
pub enum Cloned {
    /// In the new one.
    Child,
    /// In the old one.
    Parent {
        /// The child, as our pid namespace numbers it.
        pid: Pid,
        /// A descriptor on the child, which no other process can take the place of.
        pidfd: OwnedFd,
    },
}

impl Shown for Cloned {
    fn shown(&self) -> String {
        match self {
            Self::Child => "0".to_owned(),
            Self::Parent { pid, .. } => pid.to_string(),
        }
    }
}

/// Whether this process has one thread, as far as /proc can tell.
#[must_use]
pub fn single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() == 1)
}

/// The kernel's `struct clone_args` up to `cgroup` (clone3(2), version 2 of the struct).
#[repr(C)]
#[derive(Default)]
struct RawArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Makes a child as fork(2) does, in new namespaces and in a cgroup. A pidfd always comes along.
///
/// Where clone3 is missing (before Linux 5.3) or filtered (Docker's profile answers ENOSYS),
/// clone(2) is used, which knows neither `cgroup` nor `CLONE_NEWTIME`: with them the ENOSYS stays.
///
/// # Errors
/// `EINVAL` also for a caller with threads that asks for a user namespace: unshare(2) says so,
/// and we refuse it for clone as well, because a lock that another thread held stays locked.
/// `EPERM`, `ENOSPC` (max_user_namespaces, or 32 levels), `EAGAIN` (pids.max, RLIMIT_NPROC).
pub fn clone3(args: &CloneArgs<'_>) -> Result<Cloned, SysError> {
    let mut wanted = args.flags | CloneFlags::CLONE_PIDFD;
    if args.cgroup.is_some() {
        wanted |= CloneFlags::CLONE_INTO_CGROUP;
    }
    let namespaces = !args.flags.is_empty();
    let shown = || {
        let cgroup = args.cgroup.map_or(String::new(), |c| format!(", cgroup={}", crate::call::fd(c)));
        format!("{{flags={}, exit_signal=SIGCHLD{cgroup}}}", flags(&wanted))
    };
    let made = call("clone3", shown, || {
        if namespaces && !single_threaded() {
            return Err(Errno::EINVAL);
        }
        raw_clone3(wanted, args.cgroup)
    });
    match made {
        Err(e)
            if e.errno() == Errno::ENOSYS
                && args.cgroup.is_none()
                && !args.flags.contains(CloneFlags::CLONE_NEWTIME) =>
        {
            call("clone", || format!("{}|SIGCHLD, NULL", flags(&wanted)), || raw_clone(wanted))
        }
        other => other,
    }
}

fn raw_clone3(wanted: CloneFlags, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, Errno> {
    let mut pidfd: libc::c_int = -1;
    let raw = RawArgs {
        flags: wanted.bits(),
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: cgroup.map_or(0, |c| c.as_raw_fd() as u64),
        ..RawArgs::default()
    };
    // SAFETY: `raw` and `pidfd` outlive the call; without CLONE_VM and with a null stack the child
    // is a copy of us, as after fork(2), and goes on behind this line with its own memory.
    let rc = unsafe { libc::syscall(libc::SYS_clone3, &raw const raw, size_of::<RawArgs>()) };
    parent_or_child(rc, pidfd)
}

fn raw_clone(wanted: CloneFlags) -> Result<Cloned, Errno> {
    let mut pidfd: libc::c_int = -1;
    let bits = wanted.bits() as libc::c_ulong | libc::SIGCHLD as libc::c_ulong;
    let none: libc::c_ulong = 0;
    // SAFETY: as above. The order of the last two arguments differs between architectures, both are 0.
    let rc = unsafe { libc::syscall(libc::SYS_clone, bits, none, &raw mut pidfd, none, none) };
    parent_or_child(rc, pidfd)
}

fn parent_or_child(rc: libc::c_long, pidfd: libc::c_int) -> Result<Cloned, Errno> {
    match Errno::result(rc)? {
        0 => Ok(Cloned::Child),
        pid => {
            // SAFETY: CLONE_PIDFD put a fresh descriptor there, which nothing else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid: Pid::from_raw(pid as libc::pid_t), pidfd })
        }
    }
}
