//! Mounts below a root that isn't ours yet.
//!
//! The place of a mount is named by the image (`/dev` may be a link), so it is resolved inside
//! the root and passed to mount(2) as `/proc/self/fd/N`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use rustix::fs::{FileType, OFlags};
use sys::{Errno, MsFlags, SysError};

use crate::Root;
use crate::root::{fd_path, kind};

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

/// Why a mount is not there.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The host has no such file.
    #[error("bind source {source_path} for {destination}: {cause}")]
    Source {
        /// The path on the host.
        source_path: PathBuf,
        /// The path inside the root.
        destination: PathBuf,
        /// Why: mostly ENOENT.
        cause: SysError,
    },
    /// proc or sysfs on a link or a file: an image could send them where it likes.
    #[error("{fstype} must be mounted on a directory, and {destination} is none")]
    NotADirectory {
        /// `proc` or `sysfs`.
        fstype: String,
        /// The path inside the root.
        destination: PathBuf,
    },
    /// A call failed.
    #[error("mount on {destination}: {cause}")]
    Call {
        /// The path inside the root.
        destination: PathBuf,
        /// The call.
        cause: SysError,
    },
}

/// Flags of one mount that a user namespace may have locked (mount_namespaces(7), "Restrictions").
const LOCKED: [(FsFlags, MsFlags); 4] = [
    (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
    (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
    (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
    (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
];

impl Mount {
    /// A bind of a file or of a directory with all that is mounted below it.
    #[must_use]
    pub fn bind(source: &Path, destination: &Path) -> Self {
        Self {
            source: Some(source.to_owned()),
            destination: destination.to_owned(),
            fstype: None,
            // In a user namespace mounts come as one locked tree: without MS_REC the answer is EINVAL.
            flags: MsFlags::MS_BIND | MsFlags::MS_REC,
            data: None,
            propagation: MsFlags::empty(),
        }
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

    fn is_bind(&self) -> bool {
        self.flags.contains(MsFlags::MS_BIND)
    }

    fn call(&self, cause: SysError) -> MountError {
        MountError::Call { destination: self.destination.clone(), cause }
    }
}

/// Mounts one thing inside a root of the mount namespace in which we are.
///
/// # Errors
/// [`MountError`]; `EPERM` also when the flags would weaken what a user namespace has locked.
pub fn mount_in(root: &Root, mount: &Mount) -> Result<(), MountError> {
    let place = place(root, mount)?;
    let target = fd_path(place.as_fd());
    if mount.is_bind() {
        let how = mount.flags & (MsFlags::MS_BIND | MsFlags::MS_REC);
        sys::mount(mount.source.as_deref(), &target, None, how, None).map_err(|e| mount.call(e))?;
        remount(root, mount)?;
    } else {
        let fstype = mount.fstype.as_deref();
        let source = mount.source.as_deref().or(fstype.map(Path::new));
        sys::mount(source, &target, fstype, mount.flags, mount.data.as_deref()).map_err(|e| mount.call(e))?;
    }
    if !mount.propagation.is_empty() {
        let top = fd_path_of(root, mount)?;
        sys::mount(None, &fd_path(top.as_fd()), None, mount.propagation, None).map_err(|e| mount.call(e))?;
    }
    Ok(())
}

/// Finds or makes what the mount will lie on.
fn place(root: &Root, mount: &Mount) -> Result<OwnedFd, MountError> {
    let destination = &mount.destination;
    if let Some(fstype @ ("proc" | "sysfs")) = mount.fstype.as_deref()
        && let Ok(there) = root.open_in(destination, OFlags::PATH | OFlags::NOFOLLOW)
        && kind(there.as_fd()).map_err(|e| mount.call(e))? != FileType::Directory
    {
        // runc refuses these too: masked paths below would be those of another directory.
        let fstype = fstype.to_owned();
        return Err(MountError::NotADirectory { fstype, destination: destination.clone() });
    }
    let made = match &mount.source {
        Some(source) if mount.is_bind() && !is_dir(mount, source)? => root.make_file(destination),
        _ => root.make_dir_all(destination, 0o755),
    };
    made.map_err(|e| mount.call(e))
}

fn is_dir(mount: &Mount, source: &Path) -> Result<bool, MountError> {
    std::fs::metadata(source).map(|m| m.is_dir()).map_err(|e| MountError::Source {
        source_path: source.to_owned(),
        destination: mount.destination.clone(),
        cause: SysError::new(
            "stat",
            format!("{source:?}"),
            e.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
        ),
    })
}

/// The descriptor with which we mounted stays below the new mount, so it is opened once more.
fn fd_path_of(root: &Root, mount: &Mount) -> Result<OwnedFd, MountError> {
    root.open_in(&mount.destination, OFlags::PATH).map_err(|e| mount.call(e))
}

/// mount(2): with MS_BIND all flags but MS_REC are ignored, so a second call sets them. It sets
/// them anew: one that the source had and that isn't named would be taken away. Where a user
/// namespace has locked it the answer is EPERM, and we ask again with the locked ones added.
fn remount(root: &Root, mount: &Mount) -> Result<(), MountError> {
    let wanted = mount.flags - (MsFlags::MS_BIND | MsFlags::MS_REC);
    if wanted.is_empty() {
        return Ok(());
    }
    let top = fd_path_of(root, mount)?;
    let target = fd_path(top.as_fd());
    let how = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | wanted;
    match sys::mount(None, &target, None, how, None) {
        Err(e) if e.errno() == Errno::EPERM => {
            let had = statvfs(&target).map_or(FsFlags::empty(), |s| s.flags());
            let locked = LOCKED.iter().filter(|(st, _)| had.contains(*st)).map(|(_, ms)| *ms);
            let kept = how | locked.collect::<MsFlags>();
            if kept == how {
                return Err(mount.call(e));
            }
            sys::mount(None, &target, None, kept, None).map_err(|e| mount.call(e))
        }
        other => other.map_err(|e| mount.call(e)),
    }
}
