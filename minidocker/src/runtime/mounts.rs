//! One mount of the container, with what the OCI Spec doesn't say and runc does.
//!
//! runc: `libcontainer/rootfs_linux.go` (`mountToRootfs`, `checkProcMount`).

use std::borrow::Cow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, PROC_SUPER_MAGIC};

use chroot::{Mount, MountError, Root};
use sys::MsFlags;

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
pub(super) fn mount(root: &Root, mount: &Mount, bundle: &Path, sources: &[Source]) -> Result<(), Failure> {
    let destination = &mount.destination;
    let is_tmpfs = mount.fstype.as_deref() == Some("tmpfs");
    // What is already there; nothing is no error, it will be made. For those that every container has, the
    // init layer covers what an image may have put there.
    let is_every_containers = ["/dev", "/sys"].iter().any(|dir| destination.starts_with(dir))
        || mount.source.as_ref().is_some_and(|source| source.starts_with(bundle));
    let there = match !is_every_containers && (is_tmpfs || mount.flags.contains(MsFlags::MS_BIND)) {
        true => root.open_in(destination, OFlags::PATH).ok(),
        false => None,
    };
    if there.as_ref().is_some_and(is_proc) && !destination.starts_with("/proc") {
        // By a link of the image: it would put a file of its own in the place of one that we trust.
        let message = format!("{} cannot be mounted because it is inside /proc", destination.display());
        return Err(Failure::ours(message).advise("a link of the image leads there", "name another place"));
    }
    if keeps_propagation(mount)
        && let Some(source) = sources.iter().find(|source| Some(&source.path) == mount.source.as_ref())
    {
        return attach(root, source, mount).map_err(|e| {
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
    let is_dir = source.path.is_dir();
    let place = if is_dir { root.make_dir_all(to, 0o755) } else { root.make_file(to) }?;
    sys::move_mount(source.tree.as_fd(), place.as_fd())?;
    let top = root.open_in(to, OFlags::PATH)?;
    let top = format!("/proc/self/fd/{}", top.as_raw_fd());
    sys::mount(None, top.as_ref(), None, mount.propagation, None)
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
