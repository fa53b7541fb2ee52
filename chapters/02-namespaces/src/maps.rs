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
    pub fn choose(user: &User, subids: &SubIds, can: &Abilities) -> Self {
        if can.may_map_any && user.uid == 0 {
            return Self::all_of(can);
        }
        let (uid, gid) = (map_of(user.uid, &subids.uids), map_of(user.gid, &subids.gids));
        let how = if can.may_map_any { How::Direct } else { How::Helpers };
        match why_single(user, subids, can) {
            None => Self { uid, gid, how, why_single: None },
            Some(why) => Self::single(user, why),
        }
    }

    /// One id each: `user` is 0 and nobody else is there. `why` goes into error messages.
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
        let why = || "the user namespace that we are in has one id itself".to_owned();
        let why_single = (uid.len() == 1 || gid.len() == 1).then(why);
        Self { uid, gid, how: How::Direct, why_single }
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
    match maps.how {
        How::Helpers => return by_helpers(pid, maps),
        How::Single => sys::write_file(&file("setgroups"), "deny")?,
        How::Direct => {}
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
    uid.and_then(ended).and(gid.and_then(ended))
}

fn ended((program, child): (PathBuf, Child)) -> Result<(), IdMapError> {
    let (status, stderr) = match child.wait_with_output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) if output.stderr.is_empty() => (output.status.to_string(), "it said nothing".to_owned()),
        Ok(output) => (output.status.to_string(), String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(e) => ("no answer".to_owned(), e.to_string()),
    };
    Err(IdMapError::Refused(program, status, stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_NEW_PRIVS: Result<(), NoHelper> = Err(NoHelper::NoNewPrivs);

    fn choose(uid: u32, lines: [&str; 2], may_map_any: bool, helpers: Result<(), NoHelper>) -> Maps {
        let user = User { uid, gid: uid + 1, name: Some("alice".to_owned()) };
        let here: IdMap = "0 0 4294967295".parse().unwrap();
        let can = Abilities { uids: here.clone(), gids: here, may_map_any, helpers };
        Maps::choose(&user, &SubIds::parse(lines[0], lines[1], &user), &can)
    }

    const BOTH: [&str; 2] = ["alice:100000:65536\n", "alice:200000:10\n"];

    #[test]
    fn a_user_is_0_and_its_subordinate_ids_follow() {
        for (may_map_any, how) in [(false, How::Helpers), (true, How::Direct)] {
            let maps = choose(1000, BOTH, may_map_any, Ok(()));
            assert_eq!(maps.uid.to_string(), "0 1000 1\n1 100000 65536\n");
            assert_eq!(maps.gid.to_string(), "0 1001 1\n1 200000 10\n");
            assert_eq!((maps.how, maps.why_single), (how, None));
        }
    }

    #[test]
    fn whoever_may_map_any_id_needs_no_helper() {
        assert_eq!(choose(1000, BOTH, true, NO_NEW_PRIVS).how, How::Direct);
    }

    #[test]
    fn one_id_is_mapped_for_a_reason() {
        let why = |lines, helpers| {
            let maps = choose(1000, lines, false, helpers);
            assert_eq!(
                (maps.uid.to_string(), maps.gid.to_string()),
                ("0 1000 1\n".into(), "0 1001 1\n".into())
            );
            assert_eq!(maps.how, How::Single);
            maps.why_single.unwrap()
        };
        assert_eq!(why(["", ""], Ok(())), "/etc/subuid has no line for alice");
        assert_eq!(why(["bob:1:1", BOTH[1]], Ok(())), "/etc/subuid has no line for alice");
        assert_eq!(why([BOTH[0], "garbage"], Ok(())), "/etc/subgid has no line for alice");
        assert_eq!(why([BOTH[0], "alice:0:1"], Ok(())), "/etc/subgid has no line for alice");
        assert!(why(BOTH, NO_NEW_PRIVS).starts_with("this process has no_new_privs"));
        assert!(why(BOTH, Err(NoHelper::Missing("newgidmap"))).starts_with("newgidmap is not installed"));
    }

    #[test]
    fn root_keeps_every_id_that_it_has() {
        let maps = choose(0, BOTH, true, Ok(()));
        assert!(maps.uid.is_full() && maps.gid.is_full());
        assert_eq!((maps.how, maps.why_single), (How::Direct, None));
    }

    #[test]
    fn root_of_a_user_namespace_hands_on_what_is_there() {
        let user = User { uid: 0, gid: 0, name: Some("root".to_owned()) };
        let can = |map: &str| {
            let here: IdMap = map.parse().unwrap();
            Abilities { uids: here.clone(), gids: here, may_map_any: true, helpers: Ok(()) }
        };
        let maps = Maps::choose(&user, &SubIds::default(), &can("0 1000 1\n1 100000 65536\n"));
        assert_eq!((maps.uid.to_string(), maps.why_single), ("0 0 1\n1 1 65536\n".to_owned(), None));
        let maps = Maps::choose(&user, &SubIds::default(), &can("0 1000 1\n"));
        assert_eq!(maps.uid.to_string(), "0 0 1\n");
        assert_eq!(maps.why_single.unwrap(), "the user namespace that we are in has one id itself");
    }

    #[test]
    fn root_without_its_capabilities_is_an_ordinary_user() {
        let maps = choose(0, BOTH, false, Ok(()));
        assert_eq!(maps.uid.to_string(), "0 0 1\n1 100000 65536\n");
        assert_eq!(maps.how, How::Helpers);
    }
}
