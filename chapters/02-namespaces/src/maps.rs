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

use std::path::PathBuf;
use std::process::Child;

use sys::{Pid, SysError};

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
    /// Pure: this is only as true as `can`. The kernel has the last word, in [`write_maps`].
    #[must_use]
    pub fn choose(user: &User, subids: &SubIds, can: &Abilities) -> Self {
        if can.may_map_any && user.uid == 0 {
            return Self::all_of(can);
        }
        let uid = map_of(user.uid, &subids.uids);
        let gid = map_of(user.gid, &subids.gids);
        let how = if can.may_map_any { How::Direct } else { How::Helpers };
        match why_single(user, subids, can) {
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

    fn all_of(can: &Abilities) -> Self {
        let itself = |r: &Range| Range { inside: r.inside, outside: r.inside, count: r.count };
        let [uid, gid] = [&can.uids, &can.gids].map(|map| IdMap(map.0.iter().map(itself).collect()));
        let alone = uid.len() == 1 || gid.len() == 1;
        let why = alone.then(|| "the user namespace that we are in has one id itself".to_owned());
        Self { uid, gid, how: How::Direct, why_single: why }
    }
}

fn why_single(user: &User, subids: &SubIds, can: &Abilities) -> Option<String> {
    let no_line = |file| {
        let owner = user.name.clone().unwrap_or_else(|| user.uid.to_string());
        Some(format!("{file} has no line for {owner}"))
    };
    match &can.helpers {
        _ if subids.uids.is_empty() => no_line("/etc/subuid"),
        _ if subids.gids.is_empty() => no_line("/etc/subgid"),
        Err(e) if !can.may_map_any => Some(e.to_string()),
        _ => None,
    }
}

/// Why a map wasn't written.
#[derive(Debug, thiserror::Error)]
pub enum IdMapError {
    /// The kernel refused: `EPERM` (a second time, an id that isn't ours, gid_map before setgroups),
    /// `EINVAL` (a map against the rules), `EACCES` (/proc/pid is somebody else's, see proc(5)).
    #[error("{0}")]
    Sys(#[from] SysError),
    /// A helper can't do its work.
    #[error("{0}")]
    NoHelper(#[from] NoHelper),
    /// A helper ran and said no: which one, how it ended, what it said.
    #[error("{program} ended with {1}: {2}", program = .0.display())]
    Refused(PathBuf, String, String),
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
    let start = |name, map: &IdMap| -> Result<(PathBuf, Child), IdMapError> {
        let program = helper(name)?;
        let numbers = map.0.iter().flat_map(|r| [r.inside, r.outside, r.count]);
        let args = std::iter::once(pid.to_string()).chain(numbers.map(|n| n.to_string()));
        let child = sys::start_helper(&program, &args.collect::<Vec<_>>())?;
        Ok((program, child))
    };
    let (uid, gid) = (start("newuidmap", &maps.uid), start("newgidmap", &maps.gid));
    // Each that was started is reaped.
    let (uid, gid) = (uid.and_then(ended), gid.and_then(ended));
    uid.and(gid)
}

fn ended((program, child): (PathBuf, Child)) -> Result<(), IdMapError> {
    let (status, stderr) = match child.wait_with_output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => (output.status.to_string(), String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(e) => ("no answer".to_owned(), e.to_string()),
    };
    Err(IdMapError::Refused(program, status, stderr))
}
