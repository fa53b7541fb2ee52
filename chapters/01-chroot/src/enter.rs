//! Changing the root: the weak way and the strong one.

use std::os::fd::AsFd;
use std::path::Path;

use sys::{MntFlags, MsFlags, SysError};

use crate::Root;

/// Makes `path` the directory at which absolute paths begin, and goes there.
///
/// That is all it does: the old root stays mounted, and root can walk back to it
/// (`examples/breakout.rs`). Source: chroot(2).
///
/// # Errors
/// `EPERM` without CAP_SYS_CHROOT, `ENOENT`, `ENOTDIR`.
pub fn enter_chroot(path: &Path) -> Result<(), SysError> {
    sys::chroot(path)?;
    sys::chdir(Path::new("/"))
}

/// Makes `root` the root mount of this mount namespace and takes the old one away, with all that
/// is mounted below it. Afterwards no path leads to the old root, because it isn't mounted.
///
/// pivot_root(2) wants a second directory for the old root. `(".", ".")` saves it: the old root
/// is then stacked on top of the new one, at the same place, and unmounting the upper one of the
/// two uncovers the other (pivot_root(2), "pivot_root(\".\", \".\")").
///
/// # Errors
/// `EINVAL`: `root` is no mount (bind it on itself first), or its parent mount is shared.
/// `EPERM` without CAP_SYS_ADMIN. `EBUSY`: `root` is the current root already.
// ANCHOR: pivot_into
pub fn pivot_into(root: &Root) -> Result<(), SysError> {
    let old = Root::open(Path::new("/"))?;
    let here = Path::new(".");
    sys::fchdir(root.as_fd())?;
    sys::pivot_root(here, here)?;
    sys::fchdir(old.as_fd())?;
    // Were a mount of the old tree still shared, the unmounting would reach the host's.
    sys::mount(None, here, None, MsFlags::MS_SLAVE | MsFlags::MS_REC, None)?;
    sys::umount2(here, MntFlags::MNT_DETACH)?;
    sys::chdir(Path::new("/"))
}
// ANCHOR_END: pivot_into
