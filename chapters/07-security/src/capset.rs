//! Names and sets of capabilities (capabilities(7), linux/capability.h).

use std::path::PathBuf;
use std::str::FromStr;

use caps::Capability;

use crate::SecurityError;

/// The highest number that this chapter has a name for.
const LAST_NAMED: u8 = Capability::CAP_CHECKPOINT_RESTORE as u8;

/// A set of capabilities: one bit each, by the kernel's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct CapSet(u64);

/// What root of a container may do in Docker: fourteen of about forty.
///
/// Source: moby, daemon/pkg/oci/caps/defaults.go (DefaultCapabilities).
pub const DOCKER_DEFAULT: CapSet = CapSet::of(&[
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FSETID,
    Capability::CAP_FOWNER,
    Capability::CAP_MKNOD,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETPCAP,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_KILL,
    Capability::CAP_AUDIT_WRITE,
]);

impl CapSet {
    /// None at all.
    pub const EMPTY: Self = Self(0);

    /// These.
    #[must_use]
    pub const fn of(list: &[Capability]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < list.len() {
            bits |= 1 << list[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// The set with this bit mask, as /proc/pid/status shows it.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bit mask.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Every capability from 0 to `last` (see [`last_cap`]).
    #[must_use]
    pub const fn up_to(last: u8) -> Self {
        Self(if last >= 63 { u64::MAX } else { (1 << (last + 1)) - 1 })
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn contains(self, one: Capability) -> bool {
        self.0 & 1 << one as u8 != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that `other` lacks.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The numbers, ascending; also those that have no name here.
    pub fn numbers(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |n| self.0 & 1 << n != 0)
    }

    /// The names (`CAP_CHOWN`) in the kernel's order. A number without a name is left out.
    #[must_use]
    pub fn names(self) -> Vec<String> {
        named().into_iter().filter(|c| self.contains(*c)).map(|c| c.to_string()).collect()
    }

    /// The set of these names, in any of the forms of [`parse_capability`].
    ///
    /// # Errors
    /// [`SecurityError::UnknownCapability`].
    pub fn from_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, SecurityError> {
        names.into_iter().try_fold(Self::EMPTY, |set, name| Ok(set.union(parse_capability(name.as_ref())?)))
    }
}

impl From<Capability> for CapSet {
    fn from(one: Capability) -> Self {
        Self::of(&[one])
    }
}

impl FromIterator<Capability> for CapSet {
    fn from_iter<I: IntoIterator<Item = Capability>>(list: I) -> Self {
        list.into_iter().fold(Self::EMPTY, |set, one| set.union(one.into()))
    }
}

/// All that have a name, in the kernel's order.
fn named() -> Vec<Capability> {
    let mut all: Vec<Capability> = caps::all().into_iter().collect();
    all.sort_by_key(Capability::index);
    all
}

/// The capability with this name; case and a leading `CAP_` don't matter, as in Docker.
///
/// # Errors
/// [`SecurityError::UnknownCapability`].
pub fn capability(name: &str) -> Result<Capability, SecurityError> {
    let name = caps::to_canonical(name);
    Capability::from_str(&name).map_err(|_| SecurityError::UnknownCapability { name })
}

/// What one word after `--cap-add` or `--cap-drop` stands for: one capability, or `ALL` of those
/// that have a name. (Which of these the host can give is another question: [`crate::CapPlan::within`].)
///
/// # Errors
/// [`SecurityError::UnknownCapability`].
pub fn parse_capability(word: &str) -> Result<CapSet, SecurityError> {
    if word.eq_ignore_ascii_case("ALL") {
        return Ok(CapSet::up_to(LAST_NAMED));
    }
    capability(word).map(CapSet::from)
}

/// The highest capability that the running kernel knows (/proc/sys/kernel/cap_last_cap).
///
/// # Errors
/// [`SecurityError::Call`]: no /proc.
pub fn last_cap() -> Result<u8, SecurityError> {
    let path = PathBuf::from("/proc/sys/kernel/cap_last_cap");
    let text =
        std::fs::read_to_string(&path).map_err(|e| sys::SysError::of("read", format!("{path:?}"), e))?;
    text.trim().parse().map_err(|_| SecurityError::Unknown(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_default_has_the_mask_that_docker_shows() {
        // CapBnd of `docker run --rm alpine grep Cap /proc/self/status`.
        assert_eq!(DOCKER_DEFAULT.bits(), 0xa804_25fb);
        assert_eq!(DOCKER_DEFAULT.numbers().count(), 14);
    }

    #[test]
    fn names_are_read_as_docker_reads_them() {
        for name in ["CAP_NET_RAW", "net_raw", "Net_Raw", "cap_net_raw"] {
            assert_eq!(capability(name).unwrap(), Capability::CAP_NET_RAW, "{name}");
        }
        assert_eq!(parse_capability("all").unwrap().bits(), 0x1ff_ffff_ffff);
        for (name, shown) in [("nope", "CAP_NOPE"), ("", "CAP_"), ("CAP_ALL", "CAP_ALL")] {
            let message = parse_capability(name).unwrap_err().to_string();
            assert_eq!(message, format!("unknown capability: {shown:?}"));
        }
    }

    #[test]
    fn names_come_in_the_kernels_order() {
        let set = CapSet::from_names(["sys_admin", "CHOWN", "kill"]).unwrap();
        assert_eq!(set.names(), ["CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN"]);
        assert_eq!(set.numbers().collect::<Vec<_>>(), [0, 5, 21]);
        assert_eq!(CapSet::from_names(DOCKER_DEFAULT.names()).unwrap(), DOCKER_DEFAULT);
    }

    #[test]
    fn up_to_counts_the_last_one_too() {
        for (last, bits) in [(0, 1), (40, 0x1ff_ffff_ffff), (62, u64::MAX >> 1), (63, u64::MAX)] {
            assert_eq!(CapSet::up_to(last).bits(), bits, "{last}");
        }
    }
}
