//! From the root that sets a container up to the user that runs in it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nix::unistd::{Gid, Uid};
use sys::{CapSets, SysError};

use crate::{CapSet, SecurityError};

/// The user that a program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id, as our user namespace counts.
    pub uid: Uid,
    /// Group id.
    pub gid: Gid,
    /// The supplementary groups, all of them.
    pub groups: Vec<Gid>,
}

/// The five sets of capabilities(7), as they are to be just before the exec
/// (OCI runtime-spec, config.md#linux-process).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapPlan {
    /// What an exec can give at most.
    pub bounding: CapSet,
    /// What the kernel checks.
    pub effective: CapSet,
    /// What may be made effective.
    pub permitted: CapSet,
    /// What an exec of a file with inheritable capabilities keeps.
    pub inheritable: CapSet,
    /// What every exec keeps, also for a user who isn't root.
    pub ambient: CapSet,
}

impl CapPlan {
    /// The plan as far as a process with the capabilities `own` can carry it out, and what is
    /// missing then. Nobody can give what he doesn't have: root of a machine may itself lack
    /// some, as in Docker in Docker. (Docker refuses such a word after `--cap-add` before it
    /// starts anything, and its default set is expected to be there; runc would fail with EPERM.)
    #[must_use]
    pub fn within(&self, own: CapSet) -> (Self, CapSet) {
        let limit = |set: CapSet| set.intersection(own);
        let all = [self.bounding, self.effective, self.permitted, self.inheritable, self.ambient];
        let missing = all.into_iter().fold(CapSet::EMPTY, CapSet::union).difference(own);
        let plan = Self {
            bounding: limit(self.bounding),
            effective: limit(self.effective),
            permitted: limit(self.permitted),
            inheritable: limit(self.inheritable),
            ambient: limit(self.ambient),
        };
        (plan, missing)
    }
}

/// What this process can give: permitted and in its bounding set. Inside a new user namespace
/// that is everything.
///
/// # Errors
/// [`SecurityError::Call`]: no /proc.
pub fn own_capabilities() -> Result<CapSet, SecurityError> {
    Ok(own(bounding()?)?)
}

fn own(bounding: CapSet) -> Result<CapSet, SysError> {
    Ok(CapSet::from_bits(sys::capget()?.permitted).intersection(bounding))
}

/// `CapBnd` of this thread; capget(2) doesn't tell it.
fn bounding() -> Result<CapSet, SecurityError> {
    let path = Path::new("/proc/thread-self/status");
    // The kernel makes the text anew for each read(2) that is too small for it.
    let mut status = String::with_capacity(4096);
    let read = File::open(path).and_then(|mut file| file.read_to_string(&mut status));
    read.map_err(|e| SysError::of("read", format!("{path:?}"), e))?;
    let mask = status.lines().find_map(|l| l.strip_prefix("CapBnd:"));
    let bits = mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    bits.map(CapSet::from_bits).ok_or_else(|| SecurityError::Unknown(path.to_owned()))
}

/// Takes out of the bounding set what isn't in `keep`, for good.
///
/// # Errors
/// `EPERM` without CAP_SETPCAP, if there was something to take out.
pub fn limit_bounding(keep: CapSet) -> Result<(), SecurityError> {
    Ok(drop_bounding(bounding()?.difference(keep))?)
}

fn drop_bounding(those: CapSet) -> Result<(), SysError> {
    those.numbers().try_for_each(sys::cap_bounding_drop)
}

/// Becomes `who` with exactly the capabilities of `plan`, and says which of them it lacks because
/// this process did not have them. The last step but seccomp and exec. One thread only: each of
/// these calls changes the calling thread alone.
///
/// The order matters, because each step needs a capability that a later one gives up:
/// the bounding set (CAP_SETPCAP), groups and gid (CAP_SETGID), uid (CAP_SETUID), the other sets.
/// A change from uid 0 to another one empties permitted; PR_SET_KEEPCAPS prevents that where
/// something is to be kept. PDEATHSIG and the dumpable flag are lost with the uid (prctl(2)).
///
/// # Errors
/// `EPERM`, `EINVAL` (an id without a place in the id map); [`SecurityError::Call`].
pub fn become_user(who: &Identity, plan: &CapPlan) -> Result<CapSet, SecurityError> {
    let bounding = bounding()?;
    let (plan, missing) = plan.within(own(bounding)?);
    let groups = who.groups.as_slice();
    let set_groups = !groups.is_empty() || !setgroups_denied();
    drop_bounding(bounding.difference(plan.bounding))?;
    let keep = !who.uid.is_root() && !plan.permitted.is_empty();
    if keep {
        sys::set_keepcaps(true)?;
    }
    if set_groups {
        sys::setgroups(groups)?;
    }
    sys::setresgid(who.gid)?;
    sys::setresuid(who.uid)?;
    if keep {
        sys::set_keepcaps(false)?;
    }
    set_capabilities(&plan)?;
    Ok(missing)
}

/// Gives this thread exactly the capabilities of `plan` without a change of user, and says which
/// of them it lacks, as [`become_user`] does.
///
/// # Errors
/// As [`become_user`].
pub fn apply_capabilities(plan: &CapPlan) -> Result<CapSet, SecurityError> {
    let bounding = bounding()?;
    let (plan, missing) = plan.within(own(bounding)?);
    drop_bounding(bounding.difference(plan.bounding))?;
    set_capabilities(&plan)?;
    Ok(missing)
}

/// The four sets beside the bounding set. Ambient last: it must be permitted and inheritable.
fn set_capabilities(plan: &CapPlan) -> Result<(), SysError> {
    sys::cap_ambient_clear()?;
    sys::capset(&CapSets {
        effective: plan.effective.bits(),
        permitted: plan.permitted.bits(),
        inheritable: plan.inheritable.bits(),
    })?;
    plan.ambient.numbers().try_for_each(sys::cap_ambient_raise)
}

/// In a user namespace with one id nobody may change groups (user_namespaces(7)). The groups of
/// the host stay then: the kernel wants no one to lose a group that forbids something.
fn setgroups_denied() -> bool {
    std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "deny")
}

/// From now on no exec gives privileges: neither set-uid bits nor file capabilities count
/// (Documentation/userspace-api/no_new_privs.rst).
///
/// # Errors
/// None in practice.
pub fn no_new_privs() -> Result<(), SysError> {
    sys::set_no_new_privs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DOCKER_DEFAULT, capability};

    #[test]
    fn a_plan_is_cut_to_what_the_process_has_and_tells_the_rest() {
        let raw = CapSet::from(capability("net_raw").unwrap());
        let admin = CapSet::from(capability("sys_admin").unwrap());
        let plan = CapPlan { bounding: raw.union(admin), ambient: admin, ..CapPlan::default() };
        let (cut, missing) = plan.within(DOCKER_DEFAULT);
        assert_eq!(cut, CapPlan { bounding: raw, ..CapPlan::default() });
        assert_eq!(missing, admin);
    }
}
