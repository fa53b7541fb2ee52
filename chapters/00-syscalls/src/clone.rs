//! clone3(2): a child in new namespaces, and in a cgroup, at once.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sched;

use crate::call::call;
use crate::shown::{By, Plain, Shown};
use crate::{Errno, Pid, Result, SysError};

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
        const CLONE_NEWTIME = libc::CLONE_NEWTIME as u64;
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

/// unshare(2): a caller with threads gets EINVAL.
fn alone(needed: bool) -> nix::Result<()> {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if needed && threads() > 1 { Err(Errno::EINVAL) } else { Ok(()) }
}

/// Makes a child that shares our memory, as vfork(2) does: we stand still until it has executed a
/// program or ended, with what `child` returns. No page table is copied, and no page afterwards.
///
/// # Errors
/// `EINVAL`: another thread would run meanwhile. `EAGAIN` (pids.max, RLIMIT_NPROC), `ENOMEM`.
pub fn vfork(child: &mut dyn FnMut() -> isize) -> Result<Pid> {
    let (mut stack, how) = (vec![0; 64 << 10], sched::CloneFlags::CLONE_VM | sched::CloneFlags::CLONE_VFORK);
    call("clone", &[&Plain("CLONE_VM|CLONE_VFORK|SIGCHLD")], || {
        alone(true)?;
        // SAFETY: the child has a stack of its own. It may use our memory, locks and heap, for our only thread
        // stands still (CLONE_VFORK) until the child has left this memory. It leaves it half-changed only
        // if it is killed alone: nobody knows its number yet, and the OOM killer ends all who share a memory.
        unsafe { sched::clone(Box::new(child), &mut stack, how, Some(libc::SIGCHLD)) }
    })
}

/// Makes a child as fork(2) does, in new namespaces and in a cgroup. A pidfd always comes along.
///
/// Where clone3 is missing (before Linux 5.3) or filtered (Docker's profile answers ENOSYS, one made
/// with an old libseccomp EPERM), clone(2) is used. It knows neither `cgroup` nor `CLONE_NEWTIME`:
/// with them the error stays. A kernel that lacks CLONE_INTO_CGROUP answers E2BIG.
///
/// # Errors
/// `EINVAL` also for a caller with threads that asks for a user namespace: unshare(2) says so,
/// and we refuse it for clone as well, because a lock that another thread held stays locked.
/// `EPERM`, `ENOSPC` (max_user_namespaces, or 32 levels), `EAGAIN` (pids.max, RLIMIT_NPROC).
pub fn clone3(args: &CloneArgs<'_>) -> Result<Cloned> {
    let mut flags = args.flags | CloneFlags::CLONE_PIDFD;
    flags.set(CloneFlags::CLONE_INTO_CGROUP, args.cgroup.is_some());
    let mut pidfd: libc::c_int = -1;
    // SAFETY: clone_args is a C struct of integers (clone3(2)), for which zero means "not asked for".
    let mut raw: libc::clone_args = unsafe { std::mem::zeroed() };
    raw.flags = flags.bits();
    raw.pidfd = &raw mut pidfd as u64;
    raw.exit_signal = libc::SIGCHLD as u64;
    raw.cgroup = args.cgroup.map_or(0, |c| c.as_raw_fd() as u64);

    let cgroup = || args.cgroup.map_or(String::new(), |c| format!(", cgroup={}", c.shown()));
    let shown = By(|| format!("{{flags={}, exit_signal=SIGCHLD{}}}", flags.shown(), cgroup()));
    let mut made = call("clone3", &[&shown], || {
        alone(!args.flags.is_empty())?;
        // SAFETY: `raw` and `pidfd` outlive the call; without CLONE_VM and with a null stack the child
        // is a copy of us, as after fork(2), and goes on behind this line with its own memory.
        Errno::result(unsafe { libc::syscall(libc::SYS_clone3, &raw const raw, size_of_val(&raw)) })
    });
    let clone_can_too = args.cgroup.is_none() && !args.flags.contains(CloneFlags::CLONE_NEWTIME);
    let refused = made.as_ref().err().map(SysError::errno);
    if clone_can_too && matches!(refused, Some(Errno::ENOSYS | Errno::EPERM)) {
        let shown = By(|| format!("{}|SIGCHLD, NULL", flags.shown()));
        let older = call("clone", &[&shown], || {
            let (bits, none) = (raw.flags | raw.exit_signal, 0_u64);
            // SAFETY: as above. The order of the last two arguments differs between architectures, both are 0.
            Errno::result(unsafe { libc::syscall(libc::SYS_clone, bits, none, &raw mut pidfd, none, none) })
        });
        // Refused twice for the same reason: then no filter stood before the first.
        made = if older.as_ref().err().map(SysError::errno) == refused { made } else { older };
    }
    Ok(match made? {
        0 => Cloned::Child,
        pid => Cloned::Parent {
            pid: Pid::from_raw(pid as libc::pid_t),
            // SAFETY: CLONE_PIDFD put a fresh descriptor there, which nothing else owns.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        },
    })
}
