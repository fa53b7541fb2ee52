//! Chapter 7: what a process in a container is allowed to do.
//!
//! Namespaces hide the host; root in a container would still be root. So it gets only some of
//! root's abilities (capabilities(7)), never more by a set-uid program if the user says so
//! (no_new_privs), no sight of files of /proc and /sys that tell of the whole machine (masked
//! paths), and no write to its switches (read-only paths).
//!
//! What stands here so far is what every `run` needs, with Docker's lists. The filter of system
//! calls (seccomp(2)) comes later.
//!
//! The bare idea: what can't be in the bounding set can't be had by any exec.
//!
//! ```
//! use security::{CapSet, DOCKER_DEFAULT, capability};
//!
//! let own = security::own_capabilities()?;
//! let keep = DOCKER_DEFAULT.difference(CapSet::from(capability("net_raw")?));
//! if own.contains(capability("CAP_SETPCAP")?) {
//!     security::limit_bounding(keep)?; // this thread and its children, for good
//! }
//! let status = std::fs::read_to_string("/proc/thread-self/status")?;
//! let line = status.lines().find(|l| l.starts_with("CapBnd:")).ok_or("no CapBnd")?;
//! let bounding = u64::from_str_radix(line[7..].trim(), 16)?;
//! assert!(!own.contains(capability("setpcap")?) || bounding & !keep.bits() == 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod become_user;
mod capset;
mod error;
mod lacking;
mod paths;
mod rlimits;

pub use become_user::{
    CapPlan, Identity, apply_capabilities, become_user, limit_bounding, no_new_privs, own_capabilities,
};
pub use caps::Capability;
pub use capset::{CapSet, DOCKER_DEFAULT, capability, last_cap, parse_capability};
pub use error::SecurityError;
pub use lacking::{advice, unfit_proc};
pub use paths::{MASKED_PATHS, READONLY_PATHS, mask_path, masked_paths, readonly_path, readonly_root};
pub use rlimits::{Rlimit, UNLIMITED, resource, set_rlimits};
