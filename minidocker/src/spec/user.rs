//! `-u user[:group]`, looked up in the image's own passwd and group.
//!
//! The rules are those of Docker (`github.com/moby/sys/user`, `GetExecUser`; moby
//! `daemon/oci_linux.go`, `getUser`): a number is always an id, also where a name looks like
//! one; an unknown number is taken as it is, with group 0; an unknown name is an error.

use std::fmt::Write;

use oci_spec::runtime::User;

use super::{Facts, IdRange, SpecError};

/// Ids and home of the program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerUser {
    /// Inside the container.
    pub uid: u32,
    /// Inside the container.
    pub gid: u32,
    /// Supplementary groups, the primary one first (CVE-2022-36109: without it a program could
    /// get around a file's negative group permissions).
    pub groups: Vec<u32>,
    /// From passwd; `/` for an id without a line.
    pub home: String,
}

impl ContainerUser {
    pub(super) fn oci(&self) -> User {
        let mut user = User::default();
        user.set_uid(self.uid).set_gid(self.gid).set_additional_gids(Some(self.groups.clone()));
        user
    }
}

/// A line of passwd(5).
struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Finds ids, groups and home for `spec` (`user[:group]`, empty: root).
///
/// # Errors
/// [`SpecError::NoUser`], [`SpecError::NoGroup`], [`SpecError::IdRange`].
pub fn find(spec: &str, facts: &Facts) -> Result<ContainerUser, SpecError> {
    let (name, group) = spec.split_once(':').unwrap_or((spec, ""));
    let wanted = number(name);
    let found = passwd(facts).find(|line| match (&wanted, name) {
        (_, "") => line.uid == 0,
        (Some(uid), _) => i64::from(line.uid) == *uid,
        (None, name) => line.name == name,
    });
    let mut user = match (&found, wanted) {
        (Some(line), _) => {
            ContainerUser { uid: line.uid, gid: line.gid, home: line.home.to_owned(), ..Default::default() }
        }
        (None, Some(uid)) => ContainerUser { uid: in_range(uid)?, ..Default::default() },
        (None, None) if name.is_empty() => ContainerUser::default(),
        (None, None) => return Err(SpecError::NoUser(name.to_owned())),
    };
    if user.home.is_empty() {
        "/".clone_into(&mut user.home);
    }
    if group.is_empty() {
        let member = found.as_ref().map_or("", |line| line.name);
        user.groups = groups_of(member, facts);
    } else {
        user.gid = find_group(group, facts)?;
    }
    user.groups.insert(0, user.gid);
    Ok(user)
}

fn find_group(group: &str, facts: &Facts) -> Result<u32, SpecError> {
    let wanted = number(group);
    let found = groups(facts).find(|(name, gid, _)| match wanted {
        Some(wanted) => i64::from(*gid) == wanted,
        None => *name == group,
    });
    match (found, wanted) {
        (Some((_, gid, _)), _) => Ok(gid),
        (None, Some(gid)) => in_range(gid),
        (None, None) => Err(SpecError::NoGroup(group.to_owned())),
    }
}

fn groups_of(member: &str, facts: &Facts) -> Vec<u32> {
    let of = |list: &str| !member.is_empty() && list.split(',').any(|name| name == member);
    groups(facts).filter(|(_, _, list)| of(list)).map(|(_, gid, _)| gid).collect()
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn in_range(id: i64) -> Result<u32, SpecError> {
    i32::try_from(id).ok().and_then(|id| u32::try_from(id).ok()).ok_or(SpecError::IdRange)
}

fn passwd(facts: &Facts) -> impl Iterator<Item = Passwd<'_>> {
    lines(facts.passwd.as_deref()).filter_map(|line| {
        let mut field = line.split(':');
        let name = field.next()?;
        let uid = field.nth(1)?.parse().ok()?;
        let gid = field.next()?.parse().ok()?;
        Some(Passwd { name, uid, gid, home: field.nth(1).unwrap_or("") })
    })
}

/// Name, gid and members of each line of group(5).
fn groups(facts: &Facts) -> impl Iterator<Item = (&str, u32, &str)> {
    lines(facts.group.as_deref()).filter_map(|line| {
        let mut field = line.split(':');
        let name = field.next()?;
        Some((name, field.nth(1)?.parse().ok()?, field.next().unwrap_or("")))
    })
}

fn lines(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or("").lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Holds the ids against the container's id maps. Supplementary groups without a place there are
/// left out (setgroups(2) refuses the whole list for one); with a single gid there are none at
/// all, because such a map may only be written after setgroups was given up (user_namespaces(7)).
pub(super) fn mapped(mut user: ContainerUser, facts: &Facts) -> Result<ContainerUser, SpecError> {
    if !facts.rootless {
        return Ok(user);
    }
    check("uid", user.uid, &facts.uid_map, facts)?;
    check("gid", user.gid, &facts.gid_map, facts)?;
    if facts.gid_map.iter().map(|range| range.count).sum::<u32>() <= 1 {
        user.groups.clear();
    }
    user.groups.retain(|gid| has(&facts.gid_map, *gid));
    Ok(user)
}

pub(super) fn has(map: &[IdRange], id: u32) -> bool {
    map.iter().any(|range| id.checked_sub(range.inside).is_some_and(|offset| offset < range.count))
}

fn check(kind: &'static str, id: u32, map: &[IdRange], facts: &Facts) -> Result<(), SpecError> {
    if has(map, id) {
        return Ok(());
    }
    let mut text = String::new();
    for range in map {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a String can't fail.
        let _ = match range.count {
            1 => write!(text, "{comma}{}", range.inside),
            n => write!(text, "{comma}{}-{}", range.inside, range.inside.saturating_add(n - 1)),
        };
    }
    Err(SpecError::Unmapped { kind, id, map: text, why_single: facts.why_single.clone() })
}
