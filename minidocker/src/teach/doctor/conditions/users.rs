//! Users: user namespaces, and the ids in them.

use super::{Condition, Facts, Need, reads};

const APPARMOR: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
const DEBIAN: &str = "/proc/sys/kernel/unprivileged_userns_clone";

#[rustfmt::skip] // a row: what it stops, which failed calls it explains, by what it is recognised
pub(super) const ALL: &[Condition] = &[
    Condition { id: "apparmor-userns", needs: &[Need::User], calls: "clone3:EPERM clone3:EACCES clone:EPERM clone:EACCES unshare:EPERM unshare:EACCES mount:EPERM mount:EACCES write:EPERM write:EACCES setgroups:EPERM setresgid:EPERM setresuid:EPERM sethostname:EPERM ioctl:EPERM pivot_root:EPERM pivot_root:EACCES",
        holds: |f| {
            f.number(APPARMOR).filter(|n| *n > 0)?;
            let tries = ["clone", "id-maps", "root", "private-mounts", "hostname", "loopback", "tmpfs"];
            let refusal = tries.iter().find_map(|what| f.refused(&format!("user/{what}")));
            refusal.filter(|r| ["EPERM", "EACCES"].contains(&&*r.errno)).map(|r| r.call.clone())
        } },
    Condition { id: "userns-off", needs: &[Need::User], calls: "clone3:EPERM clone:EPERM unshare:EPERM",
        holds: |f| reads(f, DEBIAN, |n| n == 0) },
    Condition { id: "namespaces-at-limit", needs: &[Need::User], calls: "clone3:ENOSPC clone:ENOSPC unshare:ENOSPC",
        holds: |f| {
            let kinds = ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup"];
            kinds.iter().find_map(|kind| reads(f, &format!("/proc/sys/user/max_{kind}_namespaces"), |n| n == 0))
        } },
    Condition { id: "in-chroot", needs: &[Need::User], calls: "clone3:EPERM clone:EPERM unshare:EPERM pivot_root:EINVAL",
        holds: |f| { (f.root_is_mount == Some(false)).then(|| "/ is not the root of a mount in /proc/self/mountinfo".to_owned()) } },
    Condition { id: "userns-refused", needs: &[Need::User], calls: "",
        holds: |f| {
            let known = f.seccomp == Some(2) || f.proc_of_others.is_some() || f.root_is_mount != Some(true);
            let known = known || [APPARMOR, DEBIAN].iter().any(|path| f.file(path).is_some());
            let refusal = f.refused("user/clone").or_else(|| f.refused("user/id-maps"))?;
            (!known && ["EPERM", "EACCES"].contains(&&*refusal.errno)).then(|| refusal.call.clone())
        } },
    Condition { id: "no-subuid", needs: &[Need::Ids], calls: "setresuid:EINVAL setgroups:EPERM",
        holds: |f| lacks(f, 0, "/etc/subuid") },
    Condition { id: "no-subgid", needs: &[Need::Ids], calls: "setresgid:EINVAL setgroups:EPERM",
        holds: |f| lacks(f, 1, "/etc/subgid") },
    Condition { id: "no-newuidmap", needs: &[Need::Ids], calls: "setresuid:EINVAL setresgid:EINVAL setgroups:EPERM",
        holds: |f| helper(f, "missing", " is in none of the directories of PATH") },
    Condition { id: "newuidmap-not-setuid", needs: &[Need::Ids], calls: "setresuid:EINVAL setresgid:EINVAL setgroups:EPERM",
        holds: |f| helper(f, "not-set-uid", " has neither the set-uid bit nor file capabilities") },
    Condition { id: "newuidmap-nosuid", needs: &[Need::Ids], calls: "setresuid:EINVAL setresgid:EINVAL setgroups:EPERM",
        holds: |f| helper(f, "nosuid", " is on a mount with nosuid") },
    Condition { id: "no-new-privs", needs: &[Need::Ids], calls: "setresuid:EINVAL setresgid:EINVAL setgroups:EPERM",
        holds: |f| helper(f, "no-new-privs", "") },
    Condition { id: "newuidmap-refuses", needs: &[Need::Ids], calls: "setresuid:EINVAL setresgid:EINVAL",
        holds: |f| { f.refused("user/ids").filter(|_| f.refused("user/clone").is_none()).map(|r| r.call.clone()) } },
    Condition { id: "one-id-here", needs: &[Need::Ids], calls: "setresuid:EINVAL setresgid:EINVAL setgroups:EPERM",
        holds: |f| f.asker.why_single.clone().filter(|why| why.contains("has one id itself")) },
];

fn lacks(f: &Facts, which: usize, file: &str) -> Option<String> {
    let inside = f.asker.why_single.as_ref().is_some_and(|why| why.contains("has one id itself"));
    (f.is_plain() && !inside && f.asker.subordinate[which] == 0)
        .then(|| format!("{file} has no line for {}", f.asker.name))
}

/// A helper matters only to who has ids to map.
fn helper(f: &Facts, kind: &str, words: &str) -> Option<String> {
    let (found, what) = f.asker.helper.as_ref()?;
    (f.is_plain() && f.asker.subordinate != [0, 0] && found == kind).then(|| format!("{what}{words}"))
}
