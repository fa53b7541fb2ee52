//! setns(2): going into namespaces that are there already, in the order that works.

use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sys::{Pid, SysError};

use crate::Kind;

/// Open doors to namespaces of one process. They stay open when it ends, and keep the
/// namespaces alive (of a pid namespace whose process 1 has ended, only a husk: fork gives ENOMEM).
#[derive(Debug)]
pub struct Target(Vec<(Kind, File)>);

impl Target {
    /// Opens those of `kinds` in which `pid` is and we are not. All are opened before one is
    /// entered: in another mount namespace, /proc is another one or none.
    ///
    /// Namespaces that we share are left out, because going in again takes privilege over them
    /// (which a user namespace entered first takes away), and for the user namespace is EINVAL.
    /// Whoever holds a pidfd of `pid` asks it afterwards whether that process was still the one.
    ///
    /// # Errors
    /// `ENOENT`: the process is gone. `EACCES`: it is somebody else's.
    pub fn of(pid: Pid, kinds: &[Kind]) -> Result<Self, SysError> {
        let mut doors = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|k| kinds.contains(k) && k.is_known()) {
            let open = |e| opened(&kind.path(pid), e);
            let door = File::open(kind.path(pid)).map_err(open)?;
            let theirs = door.metadata().map_err(open)?;
            // A pid namespace is ours when our children are born in it (the file can't be read
            // between unshare(2) and the first child).
            let own = if kind == Kind::Pid { "pid_for_children" } else { kind.file() };
            let own = std::fs::metadata(format!("/proc/self/ns/{own}"));
            let number = |file: &Metadata| (file.dev(), file.ino());
            if !own.is_ok_and(|own| number(&own) == number(&theirs)) {
                doors.push((kind, door));
            }
        }
        Ok(Self(doors))
    }

    /// Goes in. A pid namespace is entered by the next child, not by us; the mount namespace brings
    /// its own root and working directory.
    ///
    /// One call a kind, since a pidfd can name several at once only from Linux 5.8 on (setns(2)).
    ///
    /// # Errors
    /// `EPERM`, `EINVAL` (a user namespace with threads; a mount namespace while another task shares the
    /// working directory), `EUSERS` (time, with threads). Those before it in [`Kind::ALL`] were entered.
    pub fn enter(&self) -> Result<(), SysError> {
        self.0.iter().try_for_each(|(kind, door)| sys::setns(door.as_fd(), kind.flag()))
    }
}

pub(crate) fn opened(path: &Path, error: std::io::Error) -> SysError {
    SysError::of("openat", format!("AT_FDCWD, {path:?}, O_RDONLY|O_CLOEXEC"), error)
}
