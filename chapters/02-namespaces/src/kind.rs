//! The eight kinds of namespace, and which one a process is in.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use sys::{CloneFlags, Pid};

/// A kind of namespace. Source: namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// User and group ids, capabilities, keyrings; owns the namespaces made inside. Linux 3.8.
    /// The only kind that needs no privilege, and the one that gives it for the others.
    /// Source: user_namespaces(7).
    User,
    /// The mount table: what is found at which path. Linux 2.4.19, the first one, hence the
    /// plain name CLONE_NEWNS. Source: mount_namespaces(7).
    Mnt,
    /// Process ids. Made own for children only: nobody's own pid changes. Linux 2.6.24.
    /// Source: pid_namespaces(7).
    Pid,
    /// Host name and NIS domain name, the fields that uname(2) fills. Linux 2.6.19.
    /// Source: uts_namespaces(7).
    Uts,
    /// System V shared memory, semaphores and queues, POSIX message queues. Linux 2.6.19.
    /// Source: ipc_namespaces(7).
    Ipc,
    /// Interfaces, addresses, routes, ports, nftables, abstract sockets. Linux 2.6.29.
    /// Source: network_namespaces(7).
    Net,
    /// Which cgroup is shown as `/`. Limits nothing by itself. Linux 4.6.
    /// Source: cgroup_namespaces(7).
    Cgroup,
    /// Offsets of CLOCK_MONOTONIC and CLOCK_BOOTTIME, so the uptime; not the date. Linux 5.6.
    /// Source: time_namespaces(7).
    Time,
}

impl Kind {
    /// All kinds, in the order in which they are entered: the user namespace first, because only
    /// its capabilities allow the others; the mount namespace last, because with it goes /proc.
    pub const ALL: [Self; 8] =
        [Self::User, Self::Cgroup, Self::Ipc, Self::Uts, Self::Net, Self::Pid, Self::Time, Self::Mnt];

    const fn facts(self) -> (CloneFlags, &'static str) {
        match self {
            Self::User => (CloneFlags::CLONE_NEWUSER, "user"),
            Self::Mnt => (CloneFlags::CLONE_NEWNS, "mnt"),
            Self::Pid => (CloneFlags::CLONE_NEWPID, "pid"),
            Self::Uts => (CloneFlags::CLONE_NEWUTS, "uts"),
            Self::Ipc => (CloneFlags::CLONE_NEWIPC, "ipc"),
            Self::Net => (CloneFlags::CLONE_NEWNET, "net"),
            Self::Cgroup => (CloneFlags::CLONE_NEWCGROUP, "cgroup"),
            Self::Time => (CloneFlags::CLONE_NEWTIME, "time"),
        }
    }

    /// The flag for clone3(2), unshare(2) and setns(2).
    pub fn flag(self) -> CloneFlags {
        self.facts().0
    }

    /// Its file in /proc/pid/ns, which is also its name in messages. Beside `pid` and `time` lie
    /// `pid_for_children` and `time_for_children`: unshare(2) of these two changes where the next child
    /// is born, and not where the process itself is.
    pub fn file(self) -> &'static str {
        self.facts().1
    }

    /// The path of the file of `pid`, in the procfs that is mounted at /proc.
    pub fn path(self, pid: Pid) -> PathBuf {
        PathBuf::from(format!("/proc/{pid}/ns/{}", self.file()))
    }

    /// Which namespace a process is in, as the number that `ls -l /proc/pid/ns` shows in brackets.
    /// Two processes with the same number share it, while one of them lives.
    ///
    /// # Errors
    /// `ENOENT`: no such process, or a kernel without this kind. `EACCES`: somebody else's process
    /// (ptrace(2), PTRACE_MODE_READ_FSCREDS).
    pub fn inode(self, pid: Pid) -> std::io::Result<u64> {
        std::fs::metadata(self.path(pid)).map(|m| m.ino())
    }

    /// As [`Kind::inode`], of the calling process.
    ///
    /// # Errors
    /// `ENOENT`: a kernel without this kind, or no procfs at /proc.
    pub fn own_inode(self) -> std::io::Result<u64> {
        std::fs::metadata(format!("/proc/self/ns/{}", self.file())).map(|m| m.ino())
    }

    /// The flags of several kinds.
    pub fn flags(kinds: &[Self]) -> CloneFlags {
        kinds.iter().fold(CloneFlags::empty(), |all, kind| all | kind.flag())
    }

    /// Whether this kernel was built with it.
    pub fn is_known(self) -> bool {
        self.own_inode().is_ok()
    }
}

/// A word that names no kind of namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kind of namespace: use user, mnt, pid, uts, ipc, net, cgroup or time")]
pub struct UnknownKind(String);

impl std::str::FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|k| k.file() == word).ok_or_else(|| UnknownKind(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_from_its_name() {
        for kind in Kind::ALL {
            assert_eq!(kind.file().parse(), Ok(kind));
        }
        assert!("mount".parse::<Kind>().is_err());
    }

    #[test]
    fn every_kind_has_a_flag_of_its_own() {
        let all = Kind::flags(&Kind::ALL);
        assert_eq!(all.bits().count_ones(), 8);
    }

    #[test]
    fn the_number_is_the_one_in_the_link() {
        let link = std::fs::read_link("/proc/self/ns/uts").unwrap();
        let number = Kind::Uts.own_inode().unwrap();
        assert_eq!(link.to_str().unwrap(), format!("uts:[{number}]"));
        let me = Pid::from_raw(std::process::id() as i32);
        assert_eq!(Kind::Uts.inode(me).unwrap(), number);
    }
}
