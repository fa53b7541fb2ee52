//! One mount of the container, with what the OCI Spec doesn't say and runc does.
//!
//! runc: `libcontainer/rootfs_linux.go` (`mountToRootfs`, `checkProcMount`).

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{OFlags, PROC_SUPER_MAGIC};

use chroot::{Mount, Root};
use sys::MsFlags;

use super::Failure;

/// Mounts one thing below the rootfs.
pub(super) fn mount(root: &Root, mount: &Mount) -> Result<(), Failure> {
    let destination = &mount.destination;
    let words = |why: &dyn std::fmt::Display| {
        format!("error mounting {:?} to rootfs at {destination:?}: {why}", source_of(mount))
    };
    let is_tmpfs = mount.fstype.as_deref() == Some("tmpfs");
    // What is already there; nothing is no error, it will be made.
    let there = match is_tmpfs || mount.flags.contains(MsFlags::MS_BIND) {
        true => root.open_in(destination, OFlags::PATH).ok(),
        false => None,
    };
    if there.as_ref().is_some_and(is_proc) && !destination.starts_with("/proc") {
        // By a link of the image: it would put a file of its own in the place of one that we trust.
        return Err(Failure::ours(words(&format!("{destination:?} leads into /proc"))));
    }
    let mount = match &there {
        Some(there) if is_tmpfs => with_mode_of(there, mount),
        _ => Cow::Borrowed(mount),
    };
    chroot::mount_in(root, &mount).map_err(|e| Failure::of(words(&e), &e))
}

fn source_of(mount: &Mount) -> String {
    let source = mount.source.as_ref().map(|s| s.display().to_string());
    source.or_else(|| mount.fstype.clone()).unwrap_or_default()
}

fn is_proc(there: &OwnedFd) -> bool {
    rustix::fs::fstatfs(there).is_ok_and(|fs| fs.f_type == PROC_SUPER_MAGIC)
}

/// A tmpfs has the mode of the directory that it covers, unless it is told another.
fn with_mode_of<'m>(there: &OwnedFd, mount: &'m Mount) -> Cow<'m, Mount> {
    let data = mount.data.as_deref().unwrap_or_default();
    let told = data.split(',').any(|option| option.starts_with("mode="));
    let (false, Ok(covered)) = (told, rustix::fs::fstat(there)) else { return Cow::Borrowed(mount) };
    let mode = format!("mode={:04o}", covered.st_mode & 0o7777);
    let data = if data.is_empty() { mode } else { format!("{mode},{data}") };
    Cow::Owned(Mount { data: Some(data), ..mount.clone() })
}

/// Makes the mount at `destination`, and all below it, read-only.
pub(super) fn readonly_tree(root: &Root, destination: &Path) -> Result<(), Failure> {
    let top = root.open_in(destination, OFlags::PATH);
    top.and_then(|top| sys::mount_setattr_readonly(top.as_fd()))
        .map_err(|e| Failure::of(format!("cannot make {} read-only", destination.display()), &e))
}
