//! Limits of one process (getrlimit(2)).

use nix::sys::resource::{RLIM_INFINITY, Resource};

use crate::SecurityError;

/// No limit.
pub const UNLIMITED: u64 = RLIM_INFINITY;

/// One limit. The unit depends on the resource: bytes, seconds, files, processes (getrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// What is limited.
    pub resource: Resource,
    /// What the kernel enforces.
    pub soft: u64,
    /// Up to where the process may raise it itself.
    pub hard: u64,
}

/// Every limit of Linux, by the name after `RLIMIT_`.
const NAMES: [(&str, Resource); 16] = [
    ("AS", Resource::RLIMIT_AS),
    ("CORE", Resource::RLIMIT_CORE),
    ("CPU", Resource::RLIMIT_CPU),
    ("DATA", Resource::RLIMIT_DATA),
    ("FSIZE", Resource::RLIMIT_FSIZE),
    ("LOCKS", Resource::RLIMIT_LOCKS),
    ("MEMLOCK", Resource::RLIMIT_MEMLOCK),
    ("MSGQUEUE", Resource::RLIMIT_MSGQUEUE),
    ("NICE", Resource::RLIMIT_NICE),
    ("NOFILE", Resource::RLIMIT_NOFILE),
    ("NPROC", Resource::RLIMIT_NPROC),
    ("RSS", Resource::RLIMIT_RSS),
    ("RTPRIO", Resource::RLIMIT_RTPRIO),
    ("RTTIME", Resource::RLIMIT_RTTIME),
    ("SIGPENDING", Resource::RLIMIT_SIGPENDING),
    ("STACK", Resource::RLIMIT_STACK),
];

/// The limit with this name, as OCI (`RLIMIT_NOFILE`) or Docker (`nofile`) writes it.
///
/// # Errors
/// [`SecurityError::UnknownLimit`].
pub fn resource(name: &str) -> Result<Resource, SecurityError> {
    let bare = name.strip_prefix("RLIMIT_").unwrap_or(name);
    let found = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(bare));
    found.map(|(_, r)| *r).ok_or_else(|| SecurityError::UnknownLimit { name: name.to_owned() })
}

/// Sets them, in this order, for this process and what it starts.
///
/// # Errors
/// `EPERM`: above our hard limit without CAP_SYS_RESOURCE in the first user namespace.
/// `EINVAL`: soft above hard.
pub fn set_rlimits(limits: &[Rlimit]) -> Result<(), SecurityError> {
    limits.iter().try_for_each(|l| Ok(sys::setrlimit(l.resource, l.soft, l.hard)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_known_by_the_names_of_oci_and_docker() {
        for name in ["RLIMIT_NOFILE", "nofile", "NOFILE"] {
            assert_eq!(resource(name).unwrap(), Resource::RLIMIT_NOFILE, "{name}");
        }
        let message = resource("files").unwrap_err().to_string();
        assert_eq!(message, "invalid ulimit type: files");
    }
}
