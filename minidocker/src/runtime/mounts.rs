//! One mount of the container, with what the OCI Spec doesn't say and runc does.
//!
//! runc: `libcontainer/rootfs_linux.go` (`mountToRootfs`, `checkProcMount`).

use std::borrow::Cow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use rustix::fs::{FileType, OFlags, PROC_SUPER_MAGIC};

use chroot::{Mount, MountError, Root};
use sys::{Errno, MountAttrFlags, MsFlags, SysError};

use super::Failure;
use super::reason::not_mounted;

/// What is mounted at a path of the host, as it was before our mounts became private.
pub(super) struct Source {
    path: PathBuf,
    tree: OwnedFd,
}

/// Whether a mount is to stay in step with the host's, `-v /a:/b:rslave` or `rshared`.
pub(super) fn keeps_propagation(mount: &Mount) -> bool {
    mount.flags.contains(MsFlags::MS_BIND)
        && mount.propagation.intersects(MsFlags::MS_SHARED | MsFlags::MS_SLAVE)
}

/// Copies of the mounts at these paths, which are still peers or slaves of the host's.
pub(super) fn open_sources(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let open = |path: &PathBuf| Ok(Source { path: path.clone(), tree: sys::open_tree(path)? });
    let opened: Result<_, sys::SysError> = paths.iter().map(open).collect();
    opened.map_err(|e| Failure::of("cannot open the source of a mount", &e))
}

/// Mounts one thing below the rootfs of the container whose directory is `bundle`.
pub(super) fn mount(
    root: &Root,
    mount: &Mount,
    bundle: &Path,
    sources: &mut Vec<Source>,
) -> Result<(), Failure> {
    let destination = &mount.destination;
    let is_tmpfs = mount.fstype.as_deref() == Some("tmpfs");
    // What is already there; nothing is no error, it will be made. For those that every container has, the
    // init layer covers what an image may have put there.
    let is_bind = mount.flags.contains(MsFlags::MS_BIND);
    let is_every_containers = !is_bind && ["/dev", "/sys"].iter().any(|dir| destination.starts_with(dir))
        || mount.source.as_ref().is_some_and(|source| source.starts_with(bundle));
    let there = match !is_every_containers && (is_tmpfs || is_bind) {
        true => root.open_in(destination, OFlags::PATH).ok(),
        false => None,
    };
    if there.as_ref().is_some_and(is_proc) && !destination.starts_with("/proc") {
        // By a link, of the image or /dev/fd: it would put a file in the place of one that we trust.
        let message = format!("{} cannot be mounted because it is inside /proc", destination.display());
        return Err(Failure::ours(message).advise("a symbolic link leads there", "name another place"));
    }
    if keeps_propagation(mount)
        && let Some(at) = sources.iter().position(|source| Some(&source.path) == mount.source.as_ref())
    {
        // Taken out: a tree can be attached once, and the next mount of this path has another copy.
        return attach(root, &sources.remove(at), mount).map_err(|e| {
            not_mounted(mount, &MountError::Call { destination: destination.clone(), source: e })
        });
    }
    let mount = match &there {
        Some(there) if is_tmpfs => with_mode_of(there, mount),
        _ => Cow::Borrowed(mount),
    };
    chroot::mount_in(root, &mount).map_err(|e| not_mounted(&mount, &e))
}

fn attach(root: &Root, source: &Source, mount: &Mount) -> Result<(), sys::SysError> {
    let to = &mount.destination;
    let kind = rustix::fs::fstat(&source.tree).map(|stat| FileType::from_raw_mode(stat.st_mode));
    let is_dir = kind.is_ok_and(|kind| kind == FileType::Directory);
    let place = if is_dir { root.make_dir_all(to, 0o755) } else { root.make_file(to) }?;
    sys::move_mount(source.tree.as_fd(), place.as_fd())?;
    let top = root.open_in(to, OFlags::PATH)?;
    let place = place_of(&top);
    let asked = mount.flags - (MsFlags::MS_BIND | MsFlags::MS_REC);
    if !asked.is_empty() {
        remount_with(&place, asked)?;
    }
    sys::mount(None, &place, None, mount.propagation, None)
}

/// mount(2) takes a path; this one leads to exactly what is open.
fn place_of(open: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()))
}

/// Adds flags to one mount. A remount sets all of them anew (mount(2)), so those that it has are named too.
fn remount_with(place: &Path, flags: MsFlags) -> Result<(), SysError> {
    let has = statvfs(place).map_err(|e| SysError::of("statfs", format!("{place:?}"), e))?.flags();
    let table = [
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    let kept = table.into_iter().filter(|(flag, _)| has.contains(*flag)).map(|(_, kept)| kept);
    let how = kept.fold(MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags, |all, flag| all | flag);
    sys::mount(None, place, None, how, None)
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
    top.and_then(|top| sys::mount_setattr(top.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY))
        .map_err(|e| Failure::of(format!("cannot make {} read-only", destination.display()), &e))
}

/// No device node of the mount at `destination`, nor of those below it, can be opened: an image or a
/// volume may bring a node of the host's disk, and no cgroup's device list stands before it here. A device
/// that every container has may be bound by itself (`-v /dev/null:/etc/file`).
pub(super) fn forbid_devices(root: &Root, destination: &Path) -> Result<(), Failure> {
    let forbid = || {
        let top = root.open_in(destination, OFlags::PATH)?;
        if is_default_device(&top) {
            return Ok(());
        }
        match sys::mount_setattr(top.as_fd(), MountAttrFlags::MOUNT_ATTR_NODEV) {
            // Before Linux 5.12, or filtered: mount by mount.
            Err(e) if matches!(e.errno(), Errno::ENOSYS | Errno::EPERM) => forbid_one_by_one(&top),
            other => other,
        }
    };
    forbid().map_err(|e: SysError| {
        Failure::of(format!("cannot forbid the devices below {}", destination.display()), &e)
    })
}

fn is_default_device(top: &OwnedFd) -> bool {
    rustix::fs::fstat(top).is_ok_and(|file| {
        let number = (rustix::fs::major(file.st_rdev), rustix::fs::minor(file.st_rdev));
        FileType::from_raw_mode(file.st_mode) == FileType::CharacterDevice
            && chroot::default_devices().iter().any(|device| device.number == number)
    })
}

fn forbid_one_by_one(top: &OwnedFd) -> Result<(), SysError> {
    let place = place_of(top);
    let failed = |call, path: &Path, e| SysError::of(call, format!("{path:?}"), e);
    let top = std::fs::read_link(&place).map_err(|e| failed("readlink", &place, e))?;
    let table = Path::new("/proc/self/mountinfo");
    let table = std::fs::read(table).map_err(|e| failed("read", table, e))?;
    cgroups::mountinfo::parse(&table)
        .iter()
        .filter(|mount| mount.point.starts_with(&top))
        .try_for_each(|mount| remount_with(&mount.point, MsFlags::MS_NODEV))
}
