//! Mounts below a root that isn't ours yet.
//!
//! The place of a mount is named by the image (`/dev` may be a link), so it is resolved inside
//! the root and passed to mount(2) as `/proc/self/fd/N`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use rustix::fs::{FileType, OFlags};
use sys::{Errno, MsFlags, SysError};

use crate::Root;
use crate::root::{Named, fd_path, kind};

/// One mount, in the words of mount(2) and of the OCI runtime-spec (config.md, "Mounts").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// A path of the host for a bind mount; for others what stands in the first column of
    /// /proc/mounts, the file system's name if `None`.
    pub source: Option<PathBuf>,
    /// Where, inside the root. Made when missing: a directory, or a file for the bind of a file.
    pub destination: PathBuf,
    /// The file system; `None` for a bind mount.
    pub fstype: Option<String>,
    /// MS_BIND (|MS_REC) for a bind mount, and MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, ...
    pub flags: MsFlags,
    /// What the file system itself reads, such as `size=64m,mode=1777`.
    pub data: Option<String>,
    /// MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE (|MS_REC), set last; empty for none.
    pub propagation: MsFlags,
}

/// Why a mount or a device is not there.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The host has no such file.
    #[error("bind source {} for {}", source_path.display(), destination.display())]
    Source {
        /// The path on the host.
        source_path: PathBuf,
        /// The path inside the root.
        destination: PathBuf,
        /// Why: mostly ENOENT.
        source: SysError,
    },
    /// proc or sysfs on a link or a file: an image could send them where it likes.
    #[error("{fstype} must be mounted on a directory, and {} is none", destination.display())]
    NotADirectory {
        /// `proc` or `sysfs`.
        fstype: String,
        /// The path inside the root.
        destination: PathBuf,
    },
    /// A call failed.
    #[error("{}", destination.display())]
    Call {
        /// The path inside the root.
        destination: PathBuf,
        /// The call.
        source: SysError,
    },
}

/// Flags of one mount that a user namespace may have locked (mount_namespaces(7), "Restrictions").
/// statvfs(3) tells them by the same bits (linux/statfs.h, linux/mount.h).
const LOCKED: MsFlags =
    MsFlags::MS_RDONLY.union(MsFlags::MS_NOSUID).union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

impl Mount {
    /// A bind of a file or of a directory with all that is mounted below it.
    #[must_use]
    pub fn bind(source: &Path, destination: &Path) -> Self {
        // In a user namespace mounts come as one locked tree: without MS_REC the answer is EINVAL.
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        Self { source: Some(source.to_owned()), fstype: None, ..Self::new("", destination, flags, None) }
    }

    /// A new instance of a file system.
    #[must_use]
    pub fn new(fstype: &str, destination: &Path, flags: MsFlags, data: Option<&str>) -> Self {
        Self {
            source: None,
            destination: destination.to_owned(),
            fstype: Some(fstype.to_owned()),
            flags,
            data: data.map(str::to_owned),
            propagation: MsFlags::empty(),
        }
    }
}

impl MountError {
    pub(crate) fn at(destination: &Path, source: SysError) -> Self {
        Self::Call { destination: destination.to_owned(), source }
    }
}

/// Mounts one thing inside a root of the mount namespace in which we are.
///
/// # Errors
/// [`MountError`]; `EPERM` also when the flags would weaken what a user namespace has locked.
pub fn mount_in(root: &Root, mount: &Mount) -> Result<(), MountError> {
    let failed = |e| MountError::at(&mount.destination, e);
    let place = place(root, mount)?;
    let target = fd_path(place.as_fd());
    let is_bind = mount.flags.contains(MsFlags::MS_BIND);
    let first = if is_bind { MsFlags::MS_BIND | MsFlags::MS_REC } else { MsFlags::all() };
    let later = mount.flags - first;
    let source = mount.source.as_deref().or(mount.fstype.as_deref().map(Path::new));
    sys::mount(source, &target, mount.fstype.as_deref(), mount.flags & first, mount.data.as_deref())
        .map_err(failed)?;
    if (later | mount.propagation).is_empty() {
        return Ok(());
    }
    // The descriptor with which we mounted stays below the new mount, so it is opened once more.
    let top = root.open_in(&mount.destination, OFlags::PATH).map_err(failed)?;
    let top = fd_path(top.as_fd());
    if !later.is_empty() {
        remount(&top, later).map_err(failed)?;
    }
    if !mount.propagation.is_empty() {
        sys::mount(None, &top, None, mount.propagation, None).map_err(failed)?;
    }
    Ok(())
}

/// Finds or makes what the mount will lie on.
fn place(root: &Root, mount: &Mount) -> Result<OwnedFd, MountError> {
    let destination = &mount.destination;
    let failed = |e| MountError::at(destination, e);
    if let Some(fstype @ ("proc" | "sysfs")) = mount.fstype.as_deref()
        && let Ok(there) = root.open_in(destination, OFlags::PATH | OFlags::NOFOLLOW)
        && kind(there.as_fd()).map_err(failed)? != FileType::Directory
    {
        // runc refuses these too: masked paths below would be those of another directory.
        let fstype = fstype.to_owned();
        return Err(MountError::NotADirectory { fstype, destination: destination.clone() });
    }
    let made = match &mount.source {
        Some(source) if mount.flags.contains(MsFlags::MS_BIND) && !is_dir(mount, source)? => {
            root.make_file(destination)
        }
        _ => root.make_dir_all(destination, 0o755),
    };
    made.map_err(failed)
}

fn is_dir(mount: &Mount, source: &Path) -> Result<bool, MountError> {
    let meta = std::fs::metadata(source).named("stat", format_args!("{source:?}"));
    let destination = mount.destination.clone();
    let missing = |e| MountError::Source { source_path: source.to_owned(), destination, source: e };
    Ok(meta.map_err(missing)?.is_dir())
}

/// mount(2): with MS_BIND all flags but MS_REC are ignored, so a second call sets them. It sets
/// them anew: one that the source had and that isn't named would be taken away. Where a user
/// namespace has locked it the answer is EPERM, and we ask again with the locked ones added.
fn remount(target: &Path, flags: MsFlags) -> Result<(), SysError> {
    let how = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags;
    match sys::mount(None, target, None, how, None) {
        Err(e) if e.errno() == Errno::EPERM => {
            let had = statvfs(target).map_or(0, |s| s.flags().bits());
            let kept = how | (MsFlags::from_bits_truncate(had) & LOCKED);
            if kept == how { Err(e) } else { sys::mount(None, target, None, kept, None) }
        }
        other => other,
    }
}
