//! `id [-u|-g|-G] [-n] [-r] [USER]`: who we are, in the words of coreutils and busybox.

use anyhow::{Context, Result, bail};
use rustix::process::{getegid, geteuid, getgid, getgroups, getuid};

use crate::users::{self, Entry};

/// What is to be told of whom.
struct Ids {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

pub(crate) fn main(arguments: &[String]) -> Result<u8> {
    let (mut what, mut names, mut real, mut user) = (None, false, false, None);
    for argument in arguments {
        match argument.strip_prefix('-') {
            Some(letters) if !letters.is_empty() => {
                for letter in letters.chars() {
                    match letter {
                        'u' | 'g' | 'G' if what.is_none_or(|w| w == letter) => what = Some(letter),
                        'u' | 'g' | 'G' => bail!("only one of -u, -g and -G"),
                        'n' => names = true,
                        'r' => real = true,
                        _ => bail!("no option -{letter}: id [-u|-g|-G] [-n] [-r] [USER]"),
                    }
                }
            }
            _ if user.is_none() => user = Some(argument),
            _ => bail!("one user at a time"),
        }
    }
    if what.is_none() && (names || real) {
        bail!("-n and -r go with -u, -g or -G");
    }
    let (users, groups) = (users::users(), users::groups());
    let ids = user.map_or_else(|| ours(real), |user| of(user, &users, &groups))?;
    crate::print(&format!("{}\n", shown(&ids, what, names, &users, &groups)))?;
    Ok(0)
}

fn ours(real: bool) -> Result<Ids> {
    let (uid, gid) = if real { (getuid(), getgid()) } else { (geteuid(), getegid()) };
    let mut groups: Vec<u32> = getgroups().context("getgroups")?.iter().map(|g| g.as_raw()).collect();
    groups.retain(|group| *group != gid.as_raw());
    groups.insert(0, gid.as_raw());
    Ok(Ids { uid: uid.as_raw(), gid: gid.as_raw(), groups })
}

fn of(user: &str, users: &[Entry], groups: &[Entry]) -> Result<Ids> {
    let found = users.iter().find(|entry| entry.name == user || entry.id.to_string() == user);
    let found = found.with_context(|| format!("{user}: no such user in /etc/passwd"))?;
    let gid = found.group().with_context(|| format!("{user}: no group in /etc/passwd"))?;
    let others = groups.iter().filter(|group| group.has(&found.name) && group.id != gid).map(|g| g.id);
    Ok(Ids { uid: found.id, gid, groups: [gid].into_iter().chain(others).collect() })
}

fn shown(ids: &Ids, what: Option<char>, names: bool, users: &[Entry], groups: &[Entry]) -> String {
    let one = |id: u32, among: &[Entry]| match users::name(id, among) {
        Some(name) if names => name.to_owned(),
        _ => id.to_string(),
    };
    let both = |id: u32, among: &[Entry]| {
        users::name(id, among).map_or(id.to_string(), |name| format!("{id}({name})"))
    };
    let all = |each: &dyn Fn(u32, &[Entry]) -> String, by: &str| {
        ids.groups.iter().map(|id| each(*id, groups)).collect::<Vec<_>>().join(by)
    };
    match what {
        Some('u') => one(ids.uid, users),
        Some('g') => one(ids.gid, groups),
        Some(_) => all(&one, " "),
        None => {
            let (uid, gid) = (both(ids.uid, users), both(ids.gid, groups));
            format!("uid={uid} gid={gid} groups={}", all(&both, ","))
        }
    }
}
