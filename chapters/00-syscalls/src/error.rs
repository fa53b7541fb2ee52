//! A failed system call, as strace(1) would show it.

use crate::Errno;
use crate::hints::{Hint, hint};

/// What a wrapper answers.
pub type Result<T = ()> = std::result::Result<T, SysError>;

/// A system call that failed: its name, its arguments as strace prints them, its errno.
///
/// `Display` is one line: `chroot("rootfs") : EPERM (Operation not permitted)`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}({args}) : {errno:?} ({})", errno.desc())]
pub struct SysError {
    call: &'static str,
    args: String,
    errno: Errno,
}

impl SysError {
    /// For a call that changes nothing (open, readlink) and so is made outside of this crate.
    pub fn new(call: &'static str, args: String, errno: Errno) -> Self {
        Self { call, args, errno }
    }

    /// The same, with the errno of an error of the standard library, of nix or of rustix.
    pub fn of(call: &'static str, args: String, error: impl Into<std::io::Error>) -> Self {
        Self::new(call, args, crate::call::errno(error))
    }

    /// The name of the call, as in section 2 of the manual.
    pub fn call(&self) -> &'static str {
        self.call
    }

    /// The arguments, as strace(1) prints them, without the parentheses.
    pub fn args(&self) -> &str {
        &self.args
    }

    /// Why the kernel refused (errno(3)).
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// What this errno means for this call, where the errno alone misleads.
    pub fn hint(&self) -> Option<Hint> {
        hint(self.call, self.errno, &self.args)
    }
}
