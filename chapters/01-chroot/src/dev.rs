//! /dev of a container: six devices, a few links, a terminal.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use sys::{Errno, SysError};

use crate::root::Named;
use crate::{Mount, MountError, Root, mount_in};

/// A node, in the words of the OCI runtime-spec (config-linux.md, "Devices").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Where, inside the root.
    pub path: PathBuf,
    /// Character or block device, or fifo.
    pub kind: FileType,
    /// Which driver (major), which device of that driver (minor): admin-guide/devices.txt.
    pub number: (u32, u32),
    /// Who may read and write it.
    pub mode: u32,
    /// User and group, as ids of our user namespace.
    pub owner: (u32, u32),
}

/// Name, major and minor.
const DEFAULT: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// The devices that every container has, for everybody to read and write.
/// Source: OCI runtime-spec, config-linux.md, "Default Devices".
#[must_use]
pub fn default_devices() -> Vec<Device> {
    let device = |&(name, major, minor): &(&str, _, _)| {
        let (path, kind) = (Path::new("/dev").join(name), FileType::CharacterDevice);
        Device { path, kind, number: (major, minor), mode: 0o666, owner: (0, 0) }
    };
    DEFAULT.iter().map(device).collect()
}

/// The links beside them, as runc makes them for Docker. The last one leads to the devpts of the
/// container itself, whose ptmx makes terminals there (kernel: filesystems/devpts.rst).
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// How devices get into a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// By mknod(2), which needs CAP_MKNOD in the first user namespace.
    Make,
    /// As bind mounts of the host's: where mknod(2) answers EPERM.
    Bind,
}

/// Makes the default devices and the links of /dev. What was mounted there before (a tmpfs) gets them.
///
/// # Errors
/// As [`make_devices`].
pub fn populate_dev(root: &Root, nodes: Nodes) -> Result<(), MountError> {
    make_devices(root, &default_devices(), nodes)?;
    link_dev(root)
}

/// Makes devices, and the directories above them where they are missing.
///
/// # Errors
/// [`MountError`]; `EPERM` for [`Nodes::Make`] in a user namespace, `EEXIST`: the root has something
/// else there, which we neither use nor remove.
pub fn make_devices(root: &Root, devices: &[Device], nodes: Nodes) -> Result<(), MountError> {
    devices.iter().try_for_each(|device| match nodes {
        Nodes::Make => make_node(root, device).map_err(|e| MountError::at(&device.path, e)),
        Nodes::Bind => bind_device(root, &device.path, &device.path),
    })
}

/// Makes the links of /dev.
///
/// # Errors
/// [`MountError`].
pub fn link_dev(root: &Root) -> Result<(), MountError> {
    let dev = root.make_dir_all(Path::new("/dev"), 0o755).map_err(|e| MountError::at("/dev".as_ref(), e))?;
    // runc makes it only where the kernel has a /proc/kcore (CONFIG_PROC_KCORE).
    let core = Path::new("/proc/kcore").exists().then_some(("core", "/proc/kcore"));
    LINKS.into_iter().chain(core).try_for_each(|(name, text)| make_link(dev.as_fd(), name, text))
}

/// Binds one device (or any file) of the host to a path inside the root.
fn bind_device(root: &Root, host_path: &Path, destination: &Path) -> Result<(), MountError> {
    mount_in(root, &Mount { flags: sys::MsFlags::MS_BIND, ..Mount::bind(host_path, destination) })
}

/// Puts a terminal on /dev/console. `slave` is a path as we see it now: after [`crate::pivot_into`]
/// with `Root::open("/")`, a terminal of the container's own devpts.
///
/// # Errors
/// [`MountError`].
pub fn bind_console(root: &Root, slave: &Path) -> Result<(), MountError> {
    bind_device(root, slave, Path::new("/dev/console"))
}

fn make_node(root: &Root, device: &Device) -> Result<(), SysError> {
    let Device { path, kind, number, mode, owner } = device;
    let name = Path::new(path.file_name().unwrap_or_default());
    let dir = root.make_dir_all(path.parent().unwrap_or(path), 0o755)?;
    sys::mknodat(dir.as_fd(), name, *kind, Mode::from_raw_mode(*mode), *number)?;
    let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
    rustix::fs::chownat(&dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .named("fchownat", format_args!("{name:?}, {uid}, {gid}, AT_SYMLINK_NOFOLLOW"))?;
    // The umask took bits away, and the process has only one umask.
    rustix::fs::chmodat(&dir, name, Mode::from_raw_mode(*mode), AtFlags::empty())
        .named("fchmodat", format_args!("{name:?}, 0{mode:o}"))
}

/// As runc, we leave a name that is there already.
fn make_link(dev: BorrowedFd<'_>, name: &str, text: &str) -> Result<(), MountError> {
    match rustix::fs::symlinkat(text, dev, name).named("symlinkat", format_args!("{text:?}, {name:?}")) {
        Err(e) if e.errno() != Errno::EEXIST => Err(MountError::at(&Path::new("/dev").join(name), e)),
        _ => Ok(()),
    }
}
