//! Abilities, tried for real, in namespaces of a child that ends with the attempt.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use namespaces::SpawnError;
use namespaces::idmap::{How, IdMapError, Maps, User};
use sys::{CloneFlags, Cloned, MntFlags, MsFlags, SysError};

use super::facts::{Facts, Outcome, Refusal};

type Tried = BTreeMap<String, Outcome>;

/// Tries everything, and notes what came of it.
pub(super) fn all(facts: &mut Facts) {
    let single = Maps::single(&User::me(), String::new());
    room("user", &mut facts.tried, CloneFlags::CLONE_NEWUSER, Some(&single));
    if facts.asker.rootful {
        room("root", &mut facts.tried, CloneFlags::empty(), None);
    }
    // Without /proc there is no map to be read, which is told already.
    if let Ok(maps) = Maps::for_this_process() {
        if maps.how == How::Helpers {
            let tried = cloned(CloneFlags::CLONE_NEWUSER, Some(&maps), Tried::new);
            let outcome = tried.map_or_else(|(_, outcome)| outcome, |_| Outcome::Works);
            facts.tried.insert("user/ids".to_owned(), outcome);
        }
        facts.asker.why_single = maps.why_single;
    }
    facts.tried.insert("mount_setattr".to_owned(), mount_setattr());
}

/// The namespaces of a container, and what it does in them before it leaves the host's root.
fn room(name: &str, tried: &mut Tried, user: CloneFlags, maps: Option<&Maps>) {
    let flags = user
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWNET;
    let found = match cloned(flags, maps, || inside(maps.is_some())) {
        Ok(found) => found,
        Err((what, outcome)) => Tried::from([(what.to_owned(), outcome)]),
    };
    tried.extend(found.into_iter().map(|(what, outcome)| (format!("{name}/{what}"), outcome)));
}

/// Runs `work` in a child in new namespaces and brings its findings back; else what was refused on the way.
fn cloned(
    flags: CloneFlags,
    maps: Option<&Maps>,
    work: impl FnOnce() -> Tried,
) -> Result<Tried, (&'static str, Outcome)> {
    let failed = |e: std::io::Error| ("clone", outcome(Err(SysError::of("pipe2", "O_CLOEXEC".into(), e))));
    let (mut result, pipe) = std::io::pipe().map_err(failed)?;
    match namespaces::clone(flags, maps, None).map_err(refused)? {
        Cloned::Child => {
            drop(result);
            let told = serde_json::to_writer(pipe, &work());
            sys::exit_now(i32::from(told.is_err()))
        }
        Cloned::Parent { pid, .. } => {
            drop(pipe);
            let mut text = Vec::new();
            let read = result.read_to_end(&mut text);
            let end = sys::waitpid(pid);
            let lost = || ("clone", Outcome::NotTried(format!("the child gave no answer: {end:?}")));
            read.ok().and_then(|_| serde_json::from_slice(&text).ok()).ok_or_else(lost)
        }
    }
}

/// At which of the steps to the namespaces it ended.
fn refused(error: SpawnError) -> (&'static str, Outcome) {
    match error {
        SpawnError::Sys(e) => ("clone", Outcome::Refused(Refusal::of(&e))),
        SpawnError::Maps(IdMapError::Sys(e)) => ("id-maps", Outcome::Refused(Refusal::of(&e))),
        SpawnError::Maps(e) => ("id-maps", Outcome::Refused(Refusal::said(&e.to_string()))),
        SpawnError::Inside(text) => ("root", Outcome::Refused(Refusal::said(&text))),
    }
}

/// That a user namespace can be made proves little: Ubuntu lets it be made and refuses what is done in it.
fn inside(in_user_namespace: bool) -> Tried {
    let (proc, sys, none) = (Path::new("/proc"), Path::new("/sys"), MsFlags::empty());
    let private = sys::mount(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None);
    let may_mount = private.is_ok();
    let mut tried = Tried::from([("private-mounts".to_owned(), outcome(private))]);
    let mut note = |what: &str, done: Result<(), SysError>| tried.insert(what.to_owned(), outcome(done));
    note("hostname", sys::sethostname("doctor"));
    note("loopback", namespaces::loopback_up());
    note("cgroup-namespace", sys::unshare(CloneFlags::CLONE_NEWCGROUP));
    // Without private mounts, ours would appear on the host.
    if !may_mount {
        return tried;
    }
    note("proc", sys::mount(Some("proc".as_ref()), proc, Some("proc"), none, None));
    note("sysfs", sys::mount(Some("sysfs".as_ref()), sys, Some("sysfs"), none, None));
    // Nothing of the host's is written to: what follows happens on an empty file system of our own.
    let tmpfs = sys::mount(Some("tmpfs".as_ref()), proc, Some("tmpfs"), none, Some("size=1m"));
    let has_place = tmpfs.is_ok();
    note("tmpfs", tmpfs);
    if has_place {
        note("pivot-root", pivot(proc));
        let overlay = overlayfs::supported(Path::new("/"), in_user_namespace);
        let because = overlay.map_or_else(|e| of_cause(&e), |()| Outcome::Works);
        tried.insert("overlay".to_owned(), because);
    }
    tried
}

/// The tmpfs becomes `/`, and the old root is gone.
fn pivot(new_root: &Path) -> Result<(), SysError> {
    sys::chdir(new_root)?;
    // pivot_root(2), NOTES: with "." twice no directory is needed for the old root.
    sys::pivot_root(Path::new("."), Path::new("."))?;
    sys::umount2(Path::new("."), MntFlags::MNT_DETACH)?;
    sys::chdir(Path::new("/"))
}

pub(super) fn outcome(done: Result<(), SysError>) -> Outcome {
    done.map_or_else(|e| Outcome::Refused(Refusal::of(&e)), |()| Outcome::Works)
}

/// The system call at the root of an error, or its words.
fn of_cause(error: &(dyn Error + 'static)) -> Outcome {
    let call =
        std::iter::successors(Some(error), |e| (*e).source()).find_map(|e| e.downcast_ref::<SysError>());
    Outcome::Refused(call.map_or_else(|| Refusal::said(&error.to_string()), Refusal::of))
}

/// Asked of a pipe, which is no mount: nothing changes, and a kernel that has the call says EINVAL.
fn mount_setattr() -> Outcome {
    let Ok((pipe, _)) = std::io::pipe() else { return Outcome::NotTried("no descriptor is left".to_owned()) };
    match sys::mount_setattr(pipe.as_fd(), sys::MountAttrFlags::MOUNT_ATTR_RDONLY) {
        Err(e) if matches!(e.errno(), sys::Errno::ENOSYS) => Outcome::Refused(Refusal::of(&e)),
        _ => Outcome::Works,
    }
}
