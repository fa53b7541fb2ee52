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
//!                                        … goes on
//! ```

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use sys::{CloneArgs, CloneFlags, Cloned, Errno, Gid, Pid, Role, SysError, Uid};

use crate::clock::{self, Offsets};
use crate::idmap::{How, IdMapError, Maps, write_maps};

/// Why there is no child. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// clone3(2) or a call around it was refused.
    #[error("cannot make a process in new namespaces")]
    Sys(#[from] SysError),
    /// The maps were not written.
    #[error("cannot give it its ids")]
    Maps(#[from] IdMapError),
    /// The child was refused something before it could go on; the text is its [`SysError`].
    #[error("in the new namespaces: {0}")]
    Inside(String),
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
    let failed = |e| SysError::of("pipe2", "O_CLOEXEC".to_owned(), e);
    let ((gate, open_gate), (hear, report)) = (pipe().map_err(failed)?, pipe().map_err(failed)?);
    let (cloned, late_clock) = clone_or_older(flags, cgroup)?;
    match &cloned {
        Cloned::Child => {
            sys::set_role(Role::Child);
            drop((open_gate, hear));
            begin(gate, report, || ready(maps, late_clock, parent.as_fd()));
        }
        Cloned::Parent { pid, .. } => {
            drop((gate, report));
            if let Err(e) = release(*pid, maps, open_gate, hear) {
                // Its gate is closed, so it has ended or will.
                let _ = sys::waitpid(*pid);
                return Err(e);
            }
        }
    }
    Ok(cloned)
}

/// clone3, or, where that is filtered (ENOSYS, or EPERM by an old libseccomp), clone, which has no bit
/// left for CLONE_NEWTIME: then the child must make its time namespace itself, as the second value says.
fn clone_or_older(flags: CloneFlags, cgroup: Option<BorrowedFd<'_>>) -> Result<(Cloned, bool), SysError> {
    let older = CloneArgs { flags: flags - CloneFlags::CLONE_NEWTIME, cgroup };
    match sys::clone3(&CloneArgs { flags, cgroup }) {
        Err(e) if flags != older.flags && matches!(e.errno(), Errno::ENOSYS | Errno::EPERM) => {
            sys::clone3(&older).map(|cloned| (cloned, true))
        }
        made => made.map(|cloned| (cloned, false)),
    }
}

/// Writes the maps, opens the gate, and waits until the child goes on.
fn release(
    pid: Pid,
    maps: Option<&Maps>,
    mut gate: PipeWriter,
    mut hear: PipeReader,
) -> Result<(), SpawnError> {
    maps.map_or(Ok(()), |maps| write_maps(pid, maps))?;
    // EPIPE: the child was killed meanwhile; whoever waits for it hears how.
    let _ = gate.write_all(b"!");
    let mut text = String::new();
    hear.read_to_string(&mut text).map_err(|e| SysError::of("read", "(pipe)".to_owned(), e))?;
    if text.is_empty() { Ok(()) } else { Err(SpawnError::Inside(text)) }
}

/// The child, up to where it goes on. If it can't, it tells why and ends.
fn begin(mut gate: PipeReader, mut report: PipeWriter, ready: impl FnOnce() -> Result<(), SysError>) {
    // End of file: the parent is dead, or the maps were refused, which it knows.
    if gate.read_exact(&mut [0]).is_err() {
        sys::exit_now(125);
    }
    if let Err(e) = ready() {
        let _ = report.write_all(e.to_string().as_bytes());
        sys::exit_now(125);
    }
}

fn ready(maps: Option<&Maps>, late_clock: bool, parent: BorrowedFd<'_>) -> Result<(), SysError> {
    if late_clock {
        clock::enter_new(Offsets::default())?;
    }
    maps.map_or(Ok(()), |maps| become_root(maps.how))?;
    die_with_parent(parent)
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
