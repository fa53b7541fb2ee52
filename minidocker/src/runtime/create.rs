//! The supervisor's side: the cgroup, the clone, the id maps; and the word to start.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use namespaces::idmap::{Abilities, How, IdMap, Maps, write_maps};
use sys::{CloneArgs, CloneFlags, Cloned, Errno, Pid, SysError};

use super::child::Child;
use super::report::{Failure, Report, read_report};
use super::resource::{Resource, RuntimeLedger, identity};
use super::{Plan, StepKind, fault, reason};

/// What the program gets as descriptors 0, 1 and 2 when it has no terminal.
#[derive(Debug)]
pub struct Stdio {
    /// Descriptor 0.
    pub stdin: OwnedFd,
    /// Descriptor 1.
    pub stdout: OwnedFd,
    /// Descriptor 2.
    pub stderr: OwnedFd,
}

/// An init that has its whole surroundings and waits for [`start`].
#[derive(Debug)]
pub struct Created {
    /// The host's number of it.
    pub pid: Pid,
    /// A descriptor on it.
    pub pidfd: OwnedFd,
    /// Where it still reports: a failed exec, or the end of the stream when exec succeeded.
    pub reports: OwnedFd,
    /// The master's end of its terminal.
    pub console: Option<OwnedFd>,
    /// Its mount namespace. While this is open the mounts stay, so that overlay's sync at their
    /// end happens when the exit was told already.
    pub mount_namespace: Option<OwnedFd>,
    /// CAP_MKNOD was dropped, because no device list can be set here: a node would be all that
    /// stands between root in the container and the host's disks.
    pub without_mknod: bool,
}

/// Makes the container of `plan` in `bundle` up to the exec fifo. `tell` gets the events of the child.
///
/// On failure the child is dead; what was recorded is for the caller to [`release`](super::release).
///
/// # Errors
/// What is to be told to the user, with the exit code.
pub fn create(
    bundle: &Path,
    plan: &mut Plan,
    stdio: Stdio,
    ledger: &mut dyn RuntimeLedger,
    tell: &mut dyn FnMut(sys::Event),
) -> Result<Created, Failure> {
    let mut listed = false;
    if let Some((uid, gid)) = &plan.id_maps {
        let unread = |e| SysError::of("read", "\"/proc/self/uid_map\"".to_owned(), e);
        let how = how_to_write(uid, gid).map_err(unread);
        plan.how = Some(how.map_err(|e| Failure::of("cannot read our own id maps", &e))?);
    }
    let group = make_group(plan, ledger, &mut listed)?;
    // In a user namespace mknod(2) of a device gives EPERM anyway, and what opens a node is the right of
    // the user who started us.
    plan.no_devices = !listed && !plan.namespaces.contains(CloneFlags::CLONE_NEWUSER);
    let without_mknod = plan.no_devices && plan.forbid_mknod();
    let fifo = exec_fifo(bundle).map_err(|e| Failure::of("cannot make the exec fifo", &e))?;
    let (ours, theirs) = reports().map_err(|e| Failure::of("cannot make a socket pair", &e))?;
    let (pid, pidfd) = clone_child(plan, group, stdio, fifo, theirs)?;
    let mut created =
        Created { pid, pidfd, reports: ours, console: None, mount_namespace: None, without_mknod };
    let prepared = release_child(plan, &mut created, ledger).and_then(|()| await_ready(&mut created, tell));
    match prepared {
        Ok(()) => Ok(created),
        Err(failure) => {
            // By its number, which is the child's until we wait for it: this call is never filtered, and
            // the wait for a child that nobody killed would have no end.
            let _ = sys::kill(created.pid, Some(sys::Signal::SIGKILL));
            let _ = sys::waitpid(created.pid);
            // What the child said last is nearer to the cause than what we saw of its end.
            Err(last_words(&created).unwrap_or(failure))
        }
    }
}

fn enter(step: StepKind) -> Result<(), Failure> {
    fault::enter(step).map_err(Failure::ours)
}

fn make_group(
    plan: &Plan,
    ledger: &mut dyn RuntimeLedger,
    listed: &mut bool,
) -> Result<Option<cgroups::Group>, Failure> {
    let Some(path) = &plan.cgroup else { return Ok(None) };
    enter(StepKind::Cgroup)?;
    let name = path.to_string_lossy();
    let failed = |e: cgroups::CgroupError| Failure::of("cannot make the cgroup of the container", &e);
    let group = cgroups::World::detect().map_err(failed)?.group(&name);
    if group.dirs().is_empty() {
        return Ok(None);
    }
    ledger.record(Resource::Cgroup { dirs: group.dirs().to_vec() })?;
    let group = group.make().map_err(failed)?;
    if !plan.device_rules.is_empty() {
        *listed = group.allow_devices(&plan.device_rules).map_err(failed)? == cgroups::Devices::V1List;
    }
    Ok(Some(group))
}

/// `exec.fifo` in the bundle, opened for both ends: opening it for one would wait for the other.
fn exec_fifo(bundle: &Path) -> Result<OwnedFd, SysError> {
    let path = bundle.join("exec.fifo");
    match rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(e) => return Err(SysError::of("mknodat", format!("AT_FDCWD, {path:?}, S_IFIFO|0600, 0"), e)),
    }
    open_fifo(&path, OFlags::RDWR, "O_RDWR")
}

fn open_fifo(path: &Path, how: OFlags, shown: &str) -> Result<OwnedFd, SysError> {
    let opened = rustix::fs::open(path, how | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty());
    let args = || format!("AT_FDCWD, {path:?}, {shown}|O_CLOEXEC|O_NOFOLLOW");
    opened.map_err(|e| SysError::of("openat", args(), e))
}

fn reports() -> Result<(OwnedFd, OwnedFd), SysError> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|e| SysError::of("socketpair", "AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0".to_owned(), e))
}

fn clone_child(
    plan: &Plan,
    group: Option<cgroups::Group>,
    stdio: Stdio,
    fifo: OwnedFd,
    reports: OwnedFd,
) -> Result<(Pid, OwnedFd), Failure> {
    enter(StepKind::Clone)?;
    let failed = |e: SysError| Failure::of("cannot make the namespaces of the container", &e);
    let parent = sys::pidfd_open(Pid::this()).map_err(failed)?;
    let opened = |e: cgroups::CgroupError| Failure::of("cannot open the cgroup of the container", &e);
    let born_in = group.as_ref().map_or(Ok(None), cgroups::Group::v2_fd).map_err(opened)?;
    let joiner = |v2_by_hand: bool| match &group {
        Some(group) => group.joiner(v2_by_hand).map_err(opened),
        None => Ok(cgroups::Joiner::default()),
    };
    // ANCHOR: clone
    let args = CloneArgs { flags: plan.namespaces, cgroup: born_in.as_ref().map(AsFd::as_fd) };
    let mut child = Child::new(plan, joiner(born_in.is_none())?, stdio, fifo, reports, parent);
    let cloned = match sys::clone3(&args) {
        // clone3 is missing or filtered (ENOSYS, EPERM), or knows no CLONE_INTO_CGROUP (before Linux 5.7:
        // E2BIG); or the group takes nobody that way. Then the child joins the v2 group by itself.
        Err(e)
            if args.cgroup.is_some()
                && matches!(
                    e.errno(),
                    Errno::ENOSYS | Errno::EPERM | Errno::E2BIG | Errno::EOPNOTSUPP | Errno::EBADF
                ) =>
        {
            child.join_with(joiner(true)?);
            sys::clone3(&CloneArgs { flags: plan.namespaces, cgroup: None })
        }
        other => other,
    };
    // ANCHOR_END: clone
    match cloned.map_err(failed)? {
        Cloned::Child => child.run(),
        Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
    }
}

/// Writes down who the child is, gives it its ids, and lets it go on.
fn release_child(plan: &Plan, created: &mut Created, ledger: &mut dyn RuntimeLedger) -> Result<(), Failure> {
    let pid = created.pid.as_raw();
    let (start_time, pid_namespace) = identity(pid)
        .map_err(|e| Failure::of("cannot look at the child", &e))?
        .ok_or_else(|| Failure::ours("the child ended before its set-up"))?;
    ledger.record(Resource::Init { pid, start_time, pid_namespace })?;
    created.mount_namespace = std::fs::File::open(format!("/proc/{pid}/ns/mnt")).ok().map(OwnedFd::from);
    if let (Some((uid, gid)), Some(how)) = (&plan.id_maps, plan.how) {
        enter(StepKind::IdMaps)?;
        let maps = Maps { uid: uid.clone(), gid: gid.clone(), how, why_single: None };
        write_maps(created.pid, &maps).map_err(|e| reason::no_maps(&e))?;
    }
    rustix::io::write(&created.reports, b"go")
        .map_err(|_| Failure::ours("the child ended before its set-up"))?;
    Ok(())
}

/// By ourselves where we may, or for one id; else by newuidmap and newgidmap.
fn how_to_write(uid: &IdMap, gid: &IdMap) -> std::io::Result<How> {
    Ok(match Abilities::read()?.may_map_any {
        true => How::Direct,
        false if uid.len() == 1 && gid.len() == 1 => How::Single,
        false => How::Helpers,
    })
}

fn await_ready(created: &mut Created, tell: &mut dyn FnMut(sys::Event)) -> Result<(), Failure> {
    loop {
        match read_report(&created.reports).map_err(|e| Failure::of("cannot read the child's report", &e))? {
            Some((Report::Event(event), _)) => tell(event),
            Some((Report::Console, console)) => created.console = console,
            Some((Report::Failed(failure), _)) => return Err(failure),
            Some((Report::Ready, _)) => return Ok(()),
            None => return Err(Failure::ours("the child ended during its set-up")),
        }
    }
}

/// The failure that a dead child reported, if it did.
fn last_words(created: &Created) -> Option<Failure> {
    loop {
        match read_report(&created.reports) {
            Ok(Some((Report::Failed(failure), _))) => return Some(failure),
            Ok(Some(_)) => {}
            _ => return None,
        }
    }
}

/// Lets the init that waits in `bundle` become its program.
///
/// # Errors
/// `ENXIO`: nobody waits there, it was started or is gone.
pub fn start(bundle: &Path) -> Result<(), SysError> {
    let path = bundle.join("exec.fifo");
    let fifo = open_fifo(&path, OFlags::WRONLY | OFlags::NONBLOCK, "O_WRONLY|O_NONBLOCK")?;
    let written = rustix::io::write(&fifo, b"x");
    written.map(drop).map_err(|e| SysError::of("write", format!("{path:?}, \"x\", 1"), e))
}
