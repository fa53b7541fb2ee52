//! A failed system call, as strace(1) would show it.

use crate::Errno;
use crate::hints::{Hint, hint};

/// A system call that failed: its name, its arguments as strace prints them, its errno.
///
/// `Display` is one line: `chroot("rootfs") : EPERM (Operation not permitted)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysError {
    call: &'static str,
    args: String,
    errno: Errno,
}

impl SysError {
    /// For a call that changes nothing (open, readlink) and so is made outside of this crate.
    #[must_use]
    pub fn new(call: &'static str, args: String, errno: Errno) -> Self {
        Self { call, args, errno }
    }

    /// The name of the call, as in section 2 of the manual.
    #[must_use]
    pub fn call(&self) -> &'static str {
        self.call
    }

    /// The arguments, as strace(1) prints them, without the parentheses.
    #[must_use]
    pub fn args(&self) -> &str {
        &self.args
    }

    /// Why the kernel refused (errno(3)).
    #[must_use]
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// What this errno means for this call, where the errno alone misleads.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        hint(self.call, self.errno, &self.args)
    }
}

impl std::fmt::Display for SysError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({}) : {:?} ({})", self.call, self.args, self.errno, self.errno.desc())
    }
}

impl std::error::Error for SysError {}
