//! What was seen and tried: plain values, so that any machine can be judged on any other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// As strace shows it, with its errno; or what a helper said.
    pub call: String,
    /// `EPERM`; empty where no call of ours failed.
    pub errno: String,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It works.
    Works,
    /// It was refused.
    Refused(Refusal),
    /// It could not be tried, for this reason.
    NotTried(String),
}

/// The user who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The effective user id.
    pub uid: u32,
    /// The login name, or the number.
    pub name: String,
    /// Whether containers need no user namespace.
    pub rootful: bool,
    /// Subordinate user and group ids.
    pub subordinate: [u64; 2],
    /// Why newuidmap can't work (`missing`, `not-set-uid`, `nosuid`, `no-new-privs`), and its path or words.
    pub helper: Option<(String, String)>,
    /// Why there is one id only, where that is decided already.
    pub why_single: Option<String>,
}

/// Where the store is, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its path; empty where there is none.
    pub path: String,
    /// The directory nearest to it that exists.
    pub nearest: String,
    /// Owner and permission bits, where the store exists.
    pub owner: Option<(u32, u32)>,
    /// The file system, by its magic number of statfs(2).
    pub file_system: String,
    /// What is free there, in MiB.
    pub free_mib: Option<u64>,
    /// How many inodes are free; None where the file system counts none.
    pub free_inodes: Option<u64>,
    /// Whether a file can be made there; it was one without a name.
    pub write: Option<Refusal>,
}

/// The cgroups of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// `none`, `v1`, `v2` or `hybrid`.
    pub kind: String,
    /// Our place in the unified tree, or in v1's tree of `pids`.
    pub place: String,
    /// Whether this user may make groups below it.
    pub writable: bool,
    /// The least `pids.max` from there up to the root of the tree, and its directory.
    pub pids: Option<(String, u64)>,
}

/// Everything that a judgement may depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `uname -r`.
    pub kernel: String,
    /// `uname -m`.
    pub machine: String,
    /// The path of this program.
    pub program: String,
    /// `ID-VERSION_ID` of os-release(5).
    pub distribution: String,
    /// Who asks.
    pub asker: Asker,
    /// The first id that no line of /etc/subuid and /etc/subgid holds, nor any above it.
    pub free_ids: u64,
    /// Small files of the kernel by path: the text, or the errno. One that isn't there is left out.
    pub files: BTreeMap<String, Result<String, String>>,
    /// Files and directories that are there, of those that were looked for.
    pub there: Vec<String>,
    /// Variables of the environment that were looked for.
    pub env: BTreeMap<String, String>,
    /// What was tried, as `room/what`: the room is `user` (a user namespace) or `root`.
    pub tried: BTreeMap<String, Outcome>,
    /// By what it is seen that /proc is of another pid namespace.
    pub proc_of_others: Option<String>,
    /// Mounts that hide part of /proc.
    pub proc_covered: Vec<String>,
    /// Whether `/` is the root of a mount; None: can't be seen.
    pub root_is_mount: Option<bool>,
    /// Seccomp mode of /proc/self/status: 2 is a filter.
    pub seccomp: Option<u64>,
    /// RLIMIT_NPROC, RLIMIT_NOFILE; None is no limit.
    pub limits: [Option<u64>; 2],
    /// cgroups.
    pub groups: Groups,
    /// The store.
    pub store: Place,
    /// Whether the kernel has nf_tables; None: can't be seen without loading it.
    pub nftables: Option<bool>,
    /// By how many seconds this program is younger than the clock says it is now.
    pub clock_behind_s: u64,
    /// What could not be seen, and why.
    pub unseen: Vec<String>,
}

impl Facts {
    /// The text of one of [`Facts::files`].
    pub(super) fn file(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref().ok()
    }

    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.file(path)?.parse().ok()
    }

    pub(super) fn is_there(&self, path: &str) -> bool {
        self.there.iter().any(|there| there == path)
    }

    /// Whether this user is surely not root over the machine: of uid 0 only /proc could tell that.
    pub(super) fn is_plain(&self) -> bool {
        !self.asker.rootful && (self.asker.uid != 0 || self.is_there("/proc/self"))
    }

    /// The refusal of a try of this room, `user/mount`.
    pub(super) fn refused(&self, what: &str) -> Option<&Refusal> {
        match self.tried.get(what)? {
            Outcome::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The call of the first of these tries that was refused with one of these errnos, in the room in which
    /// this user's containers are made.
    pub(super) fn refused_in_room(&self, tries: &[&str], errnos: &[&str]) -> Option<String> {
        let room = if self.asker.rootful { "root" } else { "user" };
        let refused = tries.iter().filter_map(|what| self.refused(&format!("{room}/{what}")));
        refused.filter(|r| errnos.contains(&&*r.errno)).map(|r| r.call.clone()).next()
    }

    /// Whether the kernel is at least this one; also if its release can't be read.
    pub(super) fn kernel_is(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self.kernel.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(have), Some(minor_too)) => (have, minor_too) >= (major, minor),
            _ => true,
        }
    }
}

impl Refusal {
    /// Of a call of ours.
    pub(super) fn of(error: &sys::SysError) -> Self {
        Self { call: error.to_string(), errno: format!("{:?}", error.errno()) }
    }

    /// Of a text that ends like the message of a call.
    pub(super) fn said(text: &str) -> Self {
        let errno = text.rsplit(" : ").next().and_then(|end| end.split(' ').next());
        let errno = errno.filter(|word| word.len() > 2 && word.starts_with('E')).unwrap_or_default();
        Self { call: text.to_owned(), errno: errno.to_owned() }
    }
}
