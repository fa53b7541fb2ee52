//! Credentials: ids, groups, capabilities, limits (credentials(7), capabilities(7)).

use crate::call::call;
use crate::{Errno, Gid, SysError, Uid};

/// Sets real, effective and saved user id. Source: setresuid(2).
///
/// # Errors
/// `EPERM` without CAP_SETUID, `EINVAL`: the id has no place in the id map.
pub fn setresuid(uid: Uid) -> Result<(), SysError> {
    call("setresuid", || format!("{uid}, {uid}, {uid}"), || nix::unistd::setresuid(uid, uid, uid))
}

/// Sets real, effective and saved group id. Source: setresgid(2).
///
/// # Errors
/// As [`setresuid`], with CAP_SETGID.
pub fn setresgid(gid: Gid) -> Result<(), SysError> {
    call("setresgid", || format!("{gid}, {gid}, {gid}"), || nix::unistd::setresgid(gid, gid, gid))
}

/// Sets the supplementary groups. Source: setgroups(2).
///
/// # Errors
/// `EPERM`: /proc/pid/setgroups says `deny` (user_namespaces(7)), or without CAP_SETGID.
pub fn setgroups(groups: &[Gid]) -> Result<(), SysError> {
    let shown = || {
        let ids: Vec<String> = groups.iter().map(Gid::to_string).collect();
        format!("{}, [{}]", groups.len(), ids.join(", "))
    };
    call("setgroups", shown, || nix::unistd::setgroups(groups))
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

/// `struct __user_cap_header_struct` and the two halves of version 3 of its data.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}
/// _LINUX_CAPABILITY_VERSION_3 of linux/capability.h.
const CAP_V3: u32 = 0x2008_0522;

/// The sets of this thread. Source: capget(2).
///
/// # Errors
/// None in practice.
pub fn capget() -> Result<CapSets, SysError> {
    let mut header = CapHeader { version: CAP_V3, pid: 0 };
    let mut data = [CapData::default(); 2];
    // SAFETY: version 3 writes exactly two CapData; both pointers live through the call.
    let rc = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    Errno::result(rc).map_err(|e| SysError::new("capget", "_LINUX_CAPABILITY_VERSION_3, 0".to_owned(), e))?;
    let both = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(CapSets {
        effective: both(data[0].effective, data[1].effective),
        permitted: both(data[0].permitted, data[1].permitted),
        inheritable: both(data[0].inheritable, data[1].inheritable),
    })
}

/// Sets the sets of this thread. Source: capset(2).
///
/// # Errors
/// `EPERM`: a permitted capability would be added, or an inheritable one that isn't in the bounding set.
pub fn capset(sets: &CapSets) -> Result<(), SysError> {
    let shown = || {
        format!(
            "{{effective={:#x}, permitted={:#x}, inheritable={:#x}}}",
            sets.effective, sets.permitted, sets.inheritable
        )
    };
    let half = |shift: u32| CapData {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    call("capset", shown, || {
        let header = CapHeader { version: CAP_V3, pid: 0 };
        let data = [half(0), half(32)];
        // SAFETY: version 3 reads exactly two CapData; both pointers live through the call.
        Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
    })
}

fn prctl(option: libc::c_int, name: &'static str, a: u64, b: u64) -> Result<(), SysError> {
    call(
        "prctl",
        || format!("{name}, {a}, {b}"),
        || {
            // SAFETY: the options used in this file take integers only.
            Errno::result(unsafe { libc::prctl(option, a, b, 0u64, 0u64) }).map(drop)
        },
    )
}

/// Takes one capability (its number) out of the bounding set for good. Source: prctl(2), PR_CAPBSET_DROP.
///
/// # Errors
/// `EPERM` without CAP_SETPCAP, `EINVAL`: the kernel doesn't know it.
pub fn cap_bounding_drop(capability: u8) -> Result<(), SysError> {
    prctl(libc::PR_CAPBSET_DROP, "PR_CAPBSET_DROP", u64::from(capability), 0)
}

/// Empties the ambient set. Source: prctl(2), PR_CAP_AMBIENT_CLEAR_ALL.
///
/// # Errors
/// None in practice.
pub fn cap_ambient_clear() -> Result<(), SysError> {
    prctl(libc::PR_CAP_AMBIENT, "PR_CAP_AMBIENT", libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)
}

/// Adds one capability to the ambient set. Source: prctl(2), PR_CAP_AMBIENT_RAISE.
///
/// # Errors
/// `EPERM`: it isn't both permitted and inheritable.
pub fn cap_ambient_raise(capability: u8) -> Result<(), SysError> {
    prctl(libc::PR_CAP_AMBIENT, "PR_CAP_AMBIENT", libc::PR_CAP_AMBIENT_RAISE as u64, u64::from(capability))
}

/// Whether a change away from uid 0 keeps the permitted set. Source: prctl(2), PR_SET_KEEPCAPS.
///
/// # Errors
/// `EPERM`: SECBIT_KEEP_CAPS_LOCKED.
pub fn set_keepcaps(keep: bool) -> Result<(), SysError> {
    prctl(libc::PR_SET_KEEPCAPS, "PR_SET_KEEPCAPS", u64::from(keep), 0)
}

/// From now on execve(2) can't give privileges (set-uid, file capabilities). Source: prctl(2).
///
/// # Errors
/// None in practice.
pub fn set_no_new_privs() -> Result<(), SysError> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS", 1, 0)
}

/// Sets a resource limit by its number (`libc::RLIMIT_*`). Source: setrlimit(2).
///
/// # Errors
/// `EPERM`: above our hard limit without CAP_SYS_RESOURCE. `EINVAL`: soft above hard.
pub fn setrlimit(which: nix::sys::resource::Resource, soft: u64, hard: u64) -> Result<(), SysError> {
    let shown = || format!("{which:?}, {{rlim_cur={soft}, rlim_max={hard}}}");
    call("setrlimit", shown, || nix::sys::resource::setrlimit(which, soft, hard))
}
