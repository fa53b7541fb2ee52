//! /dev of a container: six devices, a few links, a terminal.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode};
use sys::Errno;

use crate::root::Named;
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

/// The devices that every container has, each of mode [`DEVICE_MODE`].
/// Sources: OCI runtime-spec, config-linux.md, "Default Devices"; the numbers: the kernel's
/// admin-guide/devices.txt.
pub const DEVICES: [Device; 6] = [
    Device { name: "null", major: 1, minor: 3 },
    Device { name: "zero", major: 1, minor: 5 },
    Device { name: "full", major: 1, minor: 7 },
    Device { name: "random", major: 1, minor: 8 },
    Device { name: "urandom", major: 1, minor: 9 },
    Device { name: "tty", major: 5, minor: 0 },
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
    /// As bind mounts of the host's: where mknod(2) answers EPERM.
    Bind,
}

/// Makes the devices and the links of /dev. What was mounted on /dev before (a tmpfs) gets them.
///
/// # Errors
/// [`MountError`]; `EPERM` for [`Nodes::Make`] in a user namespace, `EEXIST`: the root has something
/// else there, which we neither use nor remove.
pub fn populate_dev(root: &Root, nodes: Nodes) -> Result<(), MountError> {
    let dev = Path::new("/dev");
    let dev = root.make_dir_all(dev, 0o755).map_err(|e| MountError::at(dev, e))?;
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

fn make_node(dev: BorrowedFd<'_>, device: &Device) -> Result<(), MountError> {
    let (name, mode) = (Path::new(device.name), Mode::from_raw_mode(DEVICE_MODE));
    let number = (device.major, device.minor);
    sys::mknodat(dev, name, FileType::CharacterDevice, mode, number)
        // The umask took bits away, and the process has only one umask.
        .and_then(|()| {
            rustix::fs::chmodat(dev, name, mode, AtFlags::empty())
                .named("fchmodat", format_args!("{name:?}, 0{DEVICE_MODE:o}"))
        })
        .map_err(|e| MountError::at(&Path::new("/dev").join(name), e))
}

/// As runc, we leave a name that is there already.
fn make_link(dev: BorrowedFd<'_>, name: &str, text: &str) -> Result<(), MountError> {
    match rustix::fs::symlinkat(text, dev, name).named("symlinkat", format_args!("{text:?}, {name:?}")) {
        Err(e) if e.errno() != Errno::EEXIST => Err(MountError::at(&Path::new("/dev").join(name), e)),
        _ => Ok(()),
    }
}
