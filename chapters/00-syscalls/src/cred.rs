//! Credentials: ids, groups, capabilities, limits (credentials(7), capabilities(7)).

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::call::{call, errno};
use crate::shown::{By, Plain};
use crate::{Errno, Gid, Result, SysError, Uid};

/// Sets real, effective and saved user id. Source: setresuid(2).
///
/// # Errors
/// `EPERM` without CAP_SETUID, `EINVAL`: the id has no place in the id map.
pub fn setresuid(uid: Uid) -> Result {
    call("setresuid", &[&uid, &uid, &uid], || nix::unistd::setresuid(uid, uid, uid))
}

/// Sets real, effective and saved group id. Source: setresgid(2).
///
/// # Errors
/// As [`setresuid`], with CAP_SETGID.
pub fn setresgid(gid: Gid) -> Result {
    call("setresgid", &[&gid, &gid, &gid], || nix::unistd::setresgid(gid, gid, gid))
}

/// Sets the supplementary groups. Source: setgroups(2).
///
/// # Errors
/// `EPERM`: /proc/pid/setgroups says `deny` (user_namespaces(7)), or without CAP_SETGID.
pub fn setgroups(groups: &[Gid]) -> Result {
    call("setgroups", &[&groups.len(), &groups], || nix::unistd::setgroups(groups))
}

/// The three sets that capset(2) takes, one bit a capability (linux/capability.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapSets {
    /// What the kernel checks.
    pub effective: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// What survives an execve(2) of a file that inherits it.
    pub inheritable: u64,
}

/// The sets of this thread. Source: capget(2).
///
/// # Errors
/// None in practice.
pub fn capget() -> Result<CapSets> {
    let failed = |e| SysError::new("capget", "_LINUX_CAPABILITY_VERSION_3, 0".to_owned(), errno(e));
    let CapabilitySets { effective, permitted, inheritable } = capabilities(None).map_err(failed)?;
    Ok(CapSets { effective: effective.bits(), permitted: permitted.bits(), inheritable: inheritable.bits() })
}

/// Sets the sets of this thread. Source: capset(2).
///
/// # Errors
/// `EPERM`: a permitted capability would be added, or an inheritable one that isn't in the bounding set.
pub fn capset(sets: &CapSets) -> Result {
    let CapSets { effective, permitted, inheritable } = *sets;
    let shown = By(|| format!("{sets:#x?}").split_whitespace().collect::<Vec<_>>().join(" "));
    let [effective, permitted, inheritable] =
        [effective, permitted, inheritable].map(CapabilitySet::from_bits_retain);
    call("capset", &[&shown], || set_capabilities(None, CapabilitySets { effective, permitted, inheritable }))
}

fn prctl(option: libc::c_int, name: &'static str, a: u64, b: u64) -> Result {
    call("prctl", &[&Plain(name), &Plain(a), &Plain(b)], || {
        // SAFETY: the options used in this file take integers only.
        Errno::result(unsafe { libc::prctl(option, a, b, 0u64, 0u64) }).map(drop)
    })
}

/// Takes one capability (its number) out of the bounding set for good. Source: prctl(2), PR_CAPBSET_DROP.
///
/// # Errors
/// `EPERM` without CAP_SETPCAP, `EINVAL`: the kernel doesn't know it.
pub fn cap_bounding_drop(capability: u8) -> Result {
    prctl(libc::PR_CAPBSET_DROP, "PR_CAPBSET_DROP", u64::from(capability), 0)
}

/// Empties the ambient set. Source: prctl(2), PR_CAP_AMBIENT_CLEAR_ALL.
///
/// # Errors
/// None in practice.
pub fn cap_ambient_clear() -> Result {
    prctl(libc::PR_CAP_AMBIENT, "PR_CAP_AMBIENT", libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)
}

/// Adds one capability to the ambient set. Source: prctl(2), PR_CAP_AMBIENT_RAISE.
///
/// # Errors
/// `EPERM`: it isn't both permitted and inheritable.
pub fn cap_ambient_raise(capability: u8) -> Result {
    prctl(libc::PR_CAP_AMBIENT, "PR_CAP_AMBIENT", libc::PR_CAP_AMBIENT_RAISE as u64, u64::from(capability))
}

/// Whether a change away from uid 0 keeps the permitted set. Source: prctl(2), PR_SET_KEEPCAPS.
///
/// # Errors
/// `EPERM`: SECBIT_KEEP_CAPS_LOCKED.
pub fn set_keepcaps(keep: bool) -> Result {
    prctl(libc::PR_SET_KEEPCAPS, "PR_SET_KEEPCAPS", u64::from(keep), 0)
}

/// From now on execve(2) can't give privileges (set-uid, file capabilities). Source: prctl(2).
///
/// # Errors
/// None in practice.
pub fn set_no_new_privs() -> Result {
    prctl(libc::PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS", 1, 0)
}

/// Whether others of our user may look into this process: trace it, read its memory, follow its links
/// in /proc. An exec makes it so again. Source: prctl(2), PR_SET_DUMPABLE.
///
/// # Errors
/// None in practice.
pub fn set_dumpable(dumpable: bool) -> Result {
    prctl(libc::PR_SET_DUMPABLE, "PR_SET_DUMPABLE", u64::from(dumpable), 0)
}

/// Sets a resource limit by its number (`libc::RLIMIT_*`). Source: setrlimit(2).
///
/// # Errors
/// `EPERM`: above our hard limit without CAP_SYS_RESOURCE. `EINVAL`: soft above hard.
pub fn setrlimit(which: nix::sys::resource::Resource, soft: u64, hard: u64) -> Result {
    let shown = By(|| format!("{which:?}, {{rlim_cur={soft}, rlim_max={hard}}}"));
    call("setrlimit", &[&shown], || nix::sys::resource::setrlimit(which, soft, hard))
}
