//! /dev of a container: six devices, a few links, a terminal.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode};
use sys::{Errno, SysError};

use crate::root::failed;
use crate::{Mount, MountError, Root, mount_in};

/// A character device and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Its name below /dev.
    pub name: &'static str,
    /// Which driver.
    pub major: u32,
    /// Which device of the driver.
    pub minor: u32,
}

const fn device(name: &'static str, major: u32, minor: u32) -> Device {
    Device { name, major, minor }
}

/// The devices that every container has, each of mode [`DEVICE_MODE`].
/// Sources: OCI runtime-spec, config-linux.md, "Default Devices"; the numbers: the kernel's
/// admin-guide/devices.txt.
pub const DEVICES: [Device; 6] = [
    device("null", 1, 3),
    device("zero", 1, 5),
    device("full", 1, 7),
    device("random", 1, 8),
    device("urandom", 1, 9),
    device("tty", 5, 0),
];

/// Everybody may read and write them.
pub const DEVICE_MODE: u32 = 0o666;

/// The links beside them, as runc makes them for Docker. The last one leads to the devpts of the
/// container itself, whose ptmx makes terminals there (kernel: filesystems/devpts.rst).
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// How the six devices get into a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// By mknod(2), which needs CAP_MKNOD in the first user namespace.
    Make,
    /// As bind mounts of the host's: in a user namespace mknod(2) answers EPERM.
    Bind,
}

/// Why /dev is not complete.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// A call failed.
    #[error("{path}: {cause}")]
    Call {
        /// The path inside the root.
        path: PathBuf,
        /// The call.
        cause: SysError,
    },
    /// A bind mount failed.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The root has something else there, which we neither use nor remove.
    #[error("{path}: exists, but is not what belongs there")]
    Taken {
        /// The path inside the root.
        path: PathBuf,
    },
}

/// Makes the devices and the links of /dev. What was mounted on /dev before (a tmpfs) gets them.
///
/// # Errors
/// [`DevError`]; `EPERM` for [`Nodes::Make`] in a user namespace.
pub fn populate_dev(root: &Root, nodes: Nodes) -> Result<(), DevError> {
    let dev = root
        .make_dir_all(Path::new("/dev"), 0o755)
        .map_err(|cause| DevError::Call { path: "/dev".into(), cause })?;
    for device in &DEVICES {
        let path = Path::new("/dev").join(device.name);
        match nodes {
            Nodes::Make => make_node(dev.as_fd(), device)?,
            Nodes::Bind => bind_device(root, &path, &path)?,
        }
    }
    for (name, text) in LINKS {
        make_link(dev.as_fd(), name, text)?;
    }
    // runc makes it only where the kernel has a /proc/kcore (CONFIG_PROC_KCORE).
    if Path::new("/proc/kcore").exists() {
        make_link(dev.as_fd(), "core", "/proc/kcore")?;
    }
    Ok(())
}

/// Binds one device (or any file) of the host to a path inside the root.
///
/// # Errors
/// [`MountError`].
pub fn bind_device(root: &Root, host_path: &Path, destination: &Path) -> Result<(), MountError> {
    let mount = Mount { flags: sys::MsFlags::MS_BIND, ..Mount::bind(host_path, destination) };
    mount_in(root, &mount)
}

/// Puts a terminal on /dev/console. `slave` is a path as we see it now: after [`crate::pivot_into`]
/// with `Root::open("/")`, a terminal of the container's own devpts.
///
/// # Errors
/// [`MountError`].
pub fn bind_console(root: &Root, slave: &Path) -> Result<(), MountError> {
    bind_device(root, slave, Path::new("/dev/console"))
}

fn make_node(dev: BorrowedFd<'_>, device: &Device) -> Result<(), DevError> {
    let path = || Path::new("/dev").join(device.name);
    let call = |cause| DevError::Call { path: path(), cause };
    let (name, mode) = (Path::new(device.name), Mode::from_raw_mode(DEVICE_MODE));
    let number = (device.major, device.minor);
    match sys::mknodat(dev, name, FileType::CharacterDevice, mode, number) {
        // The umask took bits away, and the process has only one umask.
        Ok(()) => rustix::fs::chmodat(dev, name, mode, AtFlags::empty())
            .map_err(|e| call(failed("fchmodat", format!("{name:?}, {DEVICE_MODE:#o}"), e))),
        Err(e) if e.errno() == Errno::EEXIST => {
            let there = rustix::fs::statat(dev, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|e| call(failed("newfstatat", format!("{name:?}"), e)))?;
            let same = FileType::from_raw_mode(there.st_mode) == FileType::CharacterDevice
                && there.st_rdev == rustix::fs::makedev(device.major, device.minor);
            if same { Ok(()) } else { Err(DevError::Taken { path: path() }) }
        }
        Err(e) => Err(call(e)),
    }
}

/// As runc, we leave a name that is there already.
fn make_link(dev: BorrowedFd<'_>, name: &str, text: &str) -> Result<(), DevError> {
    match rustix::fs::symlinkat(text, dev, name) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(e) => {
            let cause = failed("symlinkat", format!("{text:?}, {name:?}"), e);
            Err(DevError::Call { path: Path::new("/dev").join(name), cause })
        }
    }
}
