//! Which maps a user may have, and writing them: the rules of user_namespaces(7).
//!
//! | who writes | which ids | setgroups |
//! |---|---|---|
//! | a process with CAP_SETUID and CAP_SETGID in the parent user namespace | any that the parent has | stays |
//! | newuidmap, newgidmap | the user's own and its subordinate ones | stays |
//! | anybody | its own uid and gid, one each | must be `deny` first |
//!
//! `deny` because of files like `-rw----r-- root staff`: who is in `staff` may not read them.
//! A user who could drop its groups in a namespace of its own would get around that.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Output;

use sys::{Errno, Pid, SysError};

use crate::child::{SpawnError, try_maps};
use crate::helpers::{NoHelper, helper};
use crate::idmap::{IdMap, Range};
use crate::subids::{SubIds, map_of};

/// The user whose ids are mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The effective user id, as this user namespace numbers it.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
    /// The login name, by which /etc/subuid and /etc/subgid name their owners.
    pub name: Option<String>,
}

impl User {
    /// The user of this process.
    #[must_use]
    pub fn me() -> Self {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|u| u.name);
        Self { uid: uid.as_raw(), gid: gid.as_raw(), name }
    }
}

/// How maps get to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Written by us: we are privileged over the parent user namespace.
    Direct,
    /// Written by newuidmap(1) and newgidmap(1).
    Helpers,
    /// One id each, written by us, after `deny` to setgroups.
    Single,
}

/// What the choice depends on besides the subordinate ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    /// The uids of the user namespace that we are in.
    pub uids: IdMap,
    /// Its gids.
    pub gids: IdMap,
    /// CAP_SETUID and CAP_SETGID are effective (and CAP_SETFCAP for root, who gives id 0 away:
    /// Linux 5.12 asks for it in user_namespaces(7)).
    pub may_map_any: bool,
    /// Whether the helpers could work.
    pub helpers: Result<(), NoHelper>,
}

impl Abilities {
    /// Those of this process.
    ///
    /// # Errors
    /// Those of reading /proc/self/uid_map and gid_map.
    pub fn read() -> std::io::Result<Self> {
        // Numbers of linux/capability.h.
        const CAP_SETGID: u64 = 1 << 6;
        const CAP_SETUID: u64 = 1 << 7;
        const CAP_SETFCAP: u64 = 1 << 31;
        let root = nix::unistd::geteuid().is_root();
        let wanted = CAP_SETGID | CAP_SETUID | if root { CAP_SETFCAP } else { 0 };
        Ok(Self {
            uids: IdMap::of("self")?,
            gids: IdMap::of_groups("self")?,
            may_map_any: sys::capget().is_ok_and(|sets| sets.effective & wanted == wanted),
            helpers: helper("newuidmap").and_then(|_| helper("newgidmap")).map(drop),
        })
    }
}

/// The maps of a user namespace, and how to write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maps {
    /// Of user ids.
    pub uid: IdMap,
    /// Of group ids.
    pub gid: IdMap,
    /// Who writes them.
    pub how: How,
    /// Why one id is all there is; None where there are more. Finishes "only one id is mapped: ".
    pub why_single: Option<String>,
}

impl Maps {
    /// The most that `user` may have.
    ///
    /// Root with its capabilities gets every id it has, each as itself. Everybody else becomes
    /// id 0, with the subordinate ids from 1 on (podman's order), or is alone in the map.
    /// Pure: this is only as true as `can`; [`Maps::tried`] asks the kernel.
    #[must_use]
    pub fn choose(user: &User, subids: &SubIds, can: &Abilities) -> Self {
        if can.may_map_any && user.uid == 0 {
            return Self::all_of(can);
        }
        let uid = map_of(user.uid, &subids.uids, &can.uids);
        let gid = map_of(user.gid, &subids.gids, &can.gids);
        let how = if can.may_map_any { How::Direct } else { How::Helpers };
        match why_single(user, subids, can, &uid, &gid) {
            None => Self { uid, gid, how, why_single: None },
            Some(why) => Self::single(user, why),
        }
    }

    /// One id each: `user` is 0 and nobody else is there. `why` goes into error messages.
    #[must_use]
    pub fn single(user: &User, why: String) -> Self {
        let (uid, gid) = (IdMap::single(0, user.uid), IdMap::single(0, user.gid));
        Self { uid, gid, how: How::Single, why_single: Some(why) }
    }

    /// [`Maps::choose`] for this process, by what files and capabilities tell. Tries nothing:
    /// [`write_maps`] does, once, in the child that needs them.
    ///
    /// # Errors
    /// Those of [`Abilities::read`].
    pub fn for_this_process() -> std::io::Result<Self> {
        let user = User::me();
        Ok(Self::choose(&user, &SubIds::read(&user), &Abilities::read()?))
    }

    /// As [`Maps::for_this_process`], tried out in a child: where the helpers are there but don't do it
    /// (inside a container, under a filter), one id is what is left, and why. 2 ms.
    ///
    /// # Errors
    /// Those of a child with one id, so also where user namespaces are forbidden.
    pub fn tried() -> Result<Self, SpawnError> {
        let maps = Self::for_this_process().map_err(SpawnError::Proc)?;
        match try_maps(&maps) {
            Ok(()) => Ok(maps),
            Err(SpawnError::Maps(e)) if maps.how != How::Single => {
                let single = Self::single(&User::me(), e.to_string());
                try_maps(&single).map(|()| single)
            }
            Err(e) => Err(e),
        }
    }

    fn all_of(can: &Abilities) -> Self {
        let itself = |r: &Range| Range { inside: r.inside, outside: r.inside, count: r.count };
        let [uid, gid] = [&can.uids, &can.gids].map(|map| IdMap(map.0.iter().map(itself).collect()));
        let alone = uid.len() == 1 || gid.len() == 1;
        let why = alone.then(|| "the user namespace that we are in has one id itself".to_owned());
        Self { uid, gid, how: How::Direct, why_single: why }
    }
}

fn why_single(user: &User, subids: &SubIds, can: &Abilities, uid: &IdMap, gid: &IdMap) -> Option<String> {
    let owner = user.name.clone().unwrap_or_else(|| user.uid.to_string());
    for (ranges, map, file) in [(&subids.uids, uid, "/etc/subuid"), (&subids.gids, gid, "/etc/subgid")] {
        if ranges.is_empty() {
            return Some(format!("{file} has no line for {owner}"));
        }
        if map.len() == 1 {
            return Some(format!("the ids that {file} gives to {owner} are not in this user namespace"));
        }
    }
    match &can.helpers {
        Err(e) if !can.may_map_any => Some(e.to_string()),
        _ => None,
    }
}

/// Why a map wasn't written.
#[derive(Debug, thiserror::Error)]
pub enum IdMapError {
    /// The kernel refused: `EPERM` (a second time, an id that isn't ours, gid_map before setgroups),
    /// `EINVAL` (a map against the rules), `EACCES` (/proc/pid is somebody else's, see proc(5)).
    #[error(transparent)]
    Sys(#[from] SysError),
    /// A helper can't do its work.
    #[error(transparent)]
    NoHelper(#[from] NoHelper),
    /// A helper ran and said no.
    #[error("{program} ended with {status}: {stderr}", program = .program.display())]
    Refused {
        /// The helper.
        program: PathBuf,
        /// How it ended, as std::process words it.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// A helper could not be waited for.
    #[error("wait for {program}", program = .0.display())]
    Wait(PathBuf, #[source] std::io::Error),
}

impl IdMapError {
    /// The errno, where a system call of ours was refused.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Sys(e) => Some(e.errno()),
            _ => None,
        }
    }
}

/// Writes the maps of the user namespace of `pid`, from its parent namespace. Each file takes
/// one write in its life.
///
/// # Errors
/// See [`IdMapError`]. Source: user_namespaces(7), "Defining user and group ID mappings: writing
/// to uid_map and gid_map".
pub fn write_maps(pid: Pid, maps: &Maps) -> Result<(), IdMapError> {
    let file = |name: &str| PathBuf::from(format!("/proc/{pid}/{name}"));
    if maps.how == How::Helpers {
        return by_helpers(pid, maps);
    }
    if maps.how == How::Single {
        sys::write_file(&file("setgroups"), "deny")?;
    }
    sys::write_file(&file("uid_map"), &maps.uid.to_string())?;
    Ok(sys::write_file(&file("gid_map"), &maps.gid.to_string())?)
}

/// Both at once: 1.2 ms, and 2.2 to 3.6 one after the other.
fn by_helpers(pid: Pid, maps: &Maps) -> Result<(), IdMapError> {
    let start = |name: &'static str, map: &IdMap| -> Result<_, IdMapError> {
        let program = helper(name)?;
        let child = sys::start_helper(&program, &arguments(pid, map))?;
        Ok((program, child))
    };
    let uid = start("newuidmap", &maps.uid)?;
    let gid = start("newgidmap", &maps.gid);
    // The first is reaped also where the second did not start.
    let uid = ended(&uid.0, uid.1.wait_with_output());
    let (program, child) = gid?;
    uid.and(ended(&program, child.wait_with_output()))
}

fn arguments(pid: Pid, map: &IdMap) -> Vec<String> {
    let numbers = map.0.iter().flat_map(|r| [r.inside, r.outside, r.count]);
    std::iter::once(pid.to_string()).chain(numbers.map(|n| n.to_string())).collect()
}

fn ended(program: &Path, output: std::io::Result<Output>) -> Result<(), IdMapError> {
    let output = output.map_err(|e| IdMapError::Wait(program.to_owned(), e))?;
    if output.status.success() {
        return Ok(());
    }
    Err(IdMapError::Refused {
        program: program.to_owned(),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "written directly",
            Self::Helpers => "written by newuidmap and newgidmap",
            Self::Single => "one id",
        })
    }
}
