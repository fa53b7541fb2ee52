//! What can go wrong while a process gives up what it could do.

use std::path::PathBuf;

use sys::SysError;

/// Why a process could not be confined.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// No capability has this name. Docker's words.
    #[error("unknown capability: {name:?}")]
    UnknownCapability {
        /// In the form that was looked up, `CAP_FOO`.
        name: String,
    },
    /// No limit has this name. Docker's words.
    #[error("invalid ulimit type: {name}")]
    UnknownLimit {
        /// As it was given.
        name: String,
    },
    /// A file of /proc holds something else than proc(5) says.
    #[error("{} can't be understood", .0.display())]
    Unknown(PathBuf),
    /// What lies at /dev/null isn't the null device, so it can't hide anything.
    #[error("/dev/null is not the character device 1:3, so {} can't be masked with it", masked.display())]
    NotNull {
        /// What was to be hidden.
        masked: PathBuf,
    },
    /// A call failed.
    #[error("{0}")]
    Call(#[from] SysError),
}
