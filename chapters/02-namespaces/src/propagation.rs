//! A new mount namespace is a copy of the mount table, and not yet a private one.
//!
//! The kernel's default for a mount is private, but systemd makes `/` shared at boot, and a copy
//! of a shared mount joins the same peer group: what is mounted inside appears outside too, and
//! pivot_root(2) answers EINVAL. So the first mount call in a new mount namespace changes that.
//! (In a mount namespace of another user namespace, the kernel makes all of the copy slave by
//! itself.) Source: mount_namespaces(7), "Shared subtrees".

use std::path::Path;

use sys::{MsFlags, SysError};

/// Nothing goes in or out: for a container that wants no news of the host's mounts.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN over the mount namespace; `EINVAL`: `/` is no mount (a chroot).
pub fn make_private() -> Result<(), SysError> {
    sys::mount(None, Path::new("/"), None, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None)
}
