//! A child in new namespaces, held until its ids are there, which dies with its parent.
//!
//! ```text
//! parent                                 child
//! pidfd_open(self)
//! clone3(NEWUSER|NEWPID|...)  ─────────► read(gate) … nobody yet: uid 65534
//! write uid_map, gid_map
//! write(gate, 1 byte)         ─────────► setresgid(0), setresuid(0)
//!                                        prctl(PR_SET_PDEATHSIG), does the parent live?
//! read(report): end of file   ◄───────── close(report)
//!                                        f()
//! ```

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::AssertUnwindSafe;

use rustix::event::{PollFd, PollFlags, Timespec};
use sys::{CloneArgs, CloneFlags, Cloned, Errno, ExitStatus, Gid, Pid, Role, SysError, Uid};

use crate::clock::{self, Offsets};
use crate::idmap::{How, IdMapError, Maps, write_maps};

/// Why there is no child. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// clone3(2) or a call around it was refused.
    #[error("{0}")]
    Sys(#[from] SysError),
    /// The maps were not written.
    #[error("{0}")]
    Maps(#[from] IdMapError),
    /// A pipe was not made or read.
    #[error("pipe between parent and child")]
    Pipe(#[source] std::io::Error),
    /// The child was refused something before its work began; the text is its [`SysError`].
    #[error("in the new namespaces: {0}")]
    Inside(String),
}

impl SpawnError {
    /// The call of ours that was refused, with its hint. None where a helper or the child failed.
    #[must_use]
    pub fn refused(&self) -> Option<&SysError> {
        match self {
            Self::Sys(e) | Self::Maps(IdMapError::Sys(e)) => Some(e),
            _ => None,
        }
    }
}

/// A child process. Dropped, it runs on; who asked for it reaps it.
#[derive(Debug)]
pub struct Child {
    /// As our pid namespace numbers it.
    pub pid: Pid,
    /// A descriptor on it, readable when it has ended.
    pub pidfd: OwnedFd,
}

impl Child {
    /// Runs `work` in a child that [`clone()`] makes. Its return value is the exit code.
    /// Comes back when `work` begins.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn(
        flags: CloneFlags,
        maps: Option<&Maps>,
        cgroup: Option<BorrowedFd<'_>>,
        work: impl FnOnce() -> i32,
    ) -> Result<Self, SpawnError> {
        // What is buffered would be printed twice.
        let _ = std::io::stdout().flush();
        match clone(flags, maps, cgroup)? {
            Cloned::Child => sys::exit_now(run_work(work)),
            Cloned::Parent { pid, pidfd } => Ok(Self { pid, pidfd }),
        }
    }

    /// Waits for its end and reaps it.
    ///
    /// # Errors
    /// `ECHILD`: somebody has reaped it.
    pub fn wait(&self) -> Result<ExitStatus, SysError> {
        sys::waitpid(self.pid)
    }
}

/// Makes a child in the new namespaces `flags`, born in `cgroup` if given (Linux 5.7), and comes
/// back in both: in the child when its ids are there, in the parent when the child goes on.
///
/// With `maps`, `flags` must hold `CLONE_NEWUSER`, and the child is root of that namespace;
/// without, its ids stay as they are. It is killed when its parent ends.
/// The caller has one thread, or the child may do no more than after a fork(2).
///
/// # Errors
/// See [`SpawnError`]; always in the parent.
pub fn clone(
    flags: CloneFlags,
    maps: Option<&Maps>,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Cloned, SpawnError> {
    // Opened before the clone: no moment is left in which our death goes unseen.
    let parent = sys::pidfd_open(Pid::this())?;
    let ((gate, open_gate), (read_report, report)) = (pipe()?, pipe()?);
    let (cloned, late_clock) = clone_or_older(flags, cgroup)?;
    match &cloned {
        Cloned::Child => {
            sys::set_role(Role::Child);
            drop((open_gate, read_report));
            begin(&gate, report, parent.as_fd(), maps, late_clock);
        }
        Cloned::Parent { pid, .. } => {
            drop((gate, report));
            let begun = release(*pid, open_gate, read_report, maps);
            if begun.is_err() {
                // Its gate is closed, so it has ended or will.
                let _ = sys::waitpid(*pid);
            }
            begun?;
        }
    }
    Ok(cloned)
}

/// Writes the maps, opens the gate, and waits until the child goes on.
fn release(pid: Pid, gate: OwnedFd, report: OwnedFd, maps: Option<&Maps>) -> Result<(), SpawnError> {
    if let Some(maps) = maps {
        write_maps(pid, maps)?;
    }
    // EPIPE: the child was killed meanwhile; waiting for it tells the rest.
    let _ = std::fs::File::from(gate).write_all(b"!");
    let mut text = String::new();
    std::fs::File::from(report).read_to_string(&mut text).map_err(SpawnError::Pipe)?;
    if text.is_empty() { Ok(()) } else { Err(SpawnError::Inside(text)) }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), SpawnError> {
    let made = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    made.map_err(|e| SpawnError::Pipe(e.into()))
}

/// clone3, or, where that is filtered, clone, which has no bit left for CLONE_NEWTIME: then the
/// child must make its time namespace itself, which the second value says.
fn clone_or_older(flags: CloneFlags, cgroup: Option<BorrowedFd<'_>>) -> Result<(Cloned, bool), SysError> {
    match sys::clone3(&CloneArgs { flags, cgroup }) {
        Err(e) if e.errno() == Errno::ENOSYS && flags.contains(CloneFlags::CLONE_NEWTIME) => {
            let flags = flags - CloneFlags::CLONE_NEWTIME;
            sys::clone3(&CloneArgs { flags, cgroup }).map(|cloned| (cloned, true))
        }
        made => made.map(|cloned| (cloned, false)),
    }
}

/// The child, up to its work. Where it can't go on, it tells why and ends.
fn begin(gate: &OwnedFd, report: OwnedFd, parent: BorrowedFd<'_>, maps: Option<&Maps>, late_clock: bool) {
    // End of file: the parent is dead, or the maps were refused, which it knows.
    let opened = rustix::io::retry_on_intr(|| rustix::io::read(gate, &mut [0; 1]));
    if opened != Ok(1) {
        sys::exit_now(125);
    }
    let ready = || -> Result<(), String> {
        if late_clock {
            clock::enter_new(Offsets::default()).map_err(|e| e.to_string())?;
        }
        if let Some(maps) = maps {
            become_root(maps.how).map_err(|e| e.to_string())?;
        }
        die_with_parent(parent).map_err(|e| e.to_string())
    };
    if let Err(text) = ready() {
        let _ = std::fs::File::from(report).write_all(text.as_bytes());
        sys::exit_now(125);
    }
}

/// Becomes uid 0 and gid 0 of a user namespace whose maps are written, and leaves all other groups.
///
/// clone and the writing of a map change no id: this process keeps the one of the host that it had,
/// and the map says how that reads inside. Where it reads 0 (the user became 0: `Maps::choose`),
/// setresuid(0) changes nothing. It is needed where the id reads otherwise, or not at all (65534): a
/// map in which somebody else's id is 0, as with Docker's `userns-remap`. There it matters twice:
/// files would be made with an id that the namespace may not even have (EOVERFLOW), and
/// execve(2) would take all capabilities away, because it keeps them for uid 0 only (capabilities(7)).
/// The gid goes first: without uid 0 there may be no CAP_SETGID.
///
/// After a real change of id, /proc/self belongs to the host's root until the next execve(2)
/// (proc(5), "dumpable").
///
/// # Errors
/// `EINVAL`: 0 has no place in the map. `EPERM` without CAP_SETUID.
pub fn become_root(how: How) -> Result<(), SysError> {
    // setgroups=deny can also be inherited from the parent namespace.
    let denied = || std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"deny"));
    if how != How::Single && !denied() {
        sys::setgroups(&[])?;
    }
    sys::setresgid(Gid::from_raw(0))?;
    sys::setresuid(Uid::from_raw(0))
}

/// From now on this process gets SIGKILL when its parent, of which `parent` is a pidfd, ends.
///
/// Set after the last change of credentials, which clears it (prctl(2)). A parent that died before
/// sent nothing, and getppid(2) can't tell, since it is 0 for everybody's parent outside of the pid
/// namespace: hence the look at the pidfd. Does not come back when the parent is dead.
///
/// # Errors
/// None in practice.
pub fn die_with_parent(parent: BorrowedFd<'_>) -> Result<(), SysError> {
    sys::pdeathsig()?;
    let mut fds = [PollFd::from_borrowed_fd(parent, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&now))) {
        Ok(0) => Ok(()),
        _ => sys::exit_now(137),
    }
}

/// A panic must not unwind into the frames that this process has from its parent.
fn run_work(work: impl FnOnce() -> i32) -> i32 {
    let code = std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(125);
    let _ = std::io::stdout().flush();
    code
}
