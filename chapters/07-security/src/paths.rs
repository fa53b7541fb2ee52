//! Files of /proc and /sys that a container must not read, or must not write.
//!
//! These file systems show the whole machine to everyone who may mount them. Where the kernel has
//! no namespace for a file, all that helps is another mount on top of it.
//!
//! All of this runs after pivot_root(2): `/` is the container's, so no symbolic link leads out.
//! runc does the same by path, and since CVE-2025-31133 it makes sure that the /dev/null that it
//! binds is the null device, because an image could have put something else there. So do we.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, StatVfsMountFlags};
use sys::{Errno, MsFlags, SysError};

use crate::SecurityError;

/// What Docker hides in each container that isn't privileged; [`masked_paths`] adds those
/// that depend on the machine.
///
/// Source: moby 28, oci/defaults.go (defaultLinuxMaskedPaths; since 29 daemon/pkg/oci/defaults.go).
pub const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts", // GHSA-6fw5-f8r9-fgfm: how busy other programs are
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap", // GHSA-jq35-85cj-fj4p: keys of other programs, from power draw
    "/sys/firmware",
];

/// What Docker makes read-only in each container that isn't privileged. Source: as [`MASKED_PATHS`].
pub const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// [`MASKED_PATHS`], and `/sys/devices/system/cpu/cpu<n>/thermal_throttle` of each CPU of this
/// machine that has one (GHSA-6fw5-f8r9-fgfm).
///
/// # Errors
/// The list of CPUs can't be read to its end: what it lacks would stay readable.
pub fn masked_paths() -> Result<Vec<PathBuf>, SecurityError> {
    let mut paths: Vec<PathBuf> = MASKED_PATHS.iter().map(PathBuf::from).collect();
    paths.append(&mut throttles(Path::new("/sys/devices/system/cpu"))?);
    Ok(paths)
}

fn throttles(cpus: &Path) -> Result<Vec<PathBuf>, SecurityError> {
    let failed = |e| SysError::of("getdents64", format!("{cpus:?}"), e);
    let entries = match std::fs::read_dir(cpus) {
        Ok(entries) => entries,
        // Without a /sys there is nothing to mask in it.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(e).into()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let cpu = entry.map_err(failed)?;
        // cpu0, cpu1; cpufreq and cpuidle are none.
        if !cpu.file_name().as_bytes().last().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        let throttle = cpu.path().join("thermal_throttle");
        // One that can't be looked at is masked too.
        if throttle.try_exists().unwrap_or(true) {
            found.push(throttle);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Hides what is at `path`: a directory under an empty read-only tmpfs, anything else under
/// /dev/null. A path that isn't there needs no mask. Says whether there was something to hide.
///
/// # Errors
/// [`SecurityError::NotNull`]; those of mount(2).
pub fn mask_path(path: &Path) -> Result<bool, SecurityError> {
    let Some(target) = open(path)? else { return Ok(false) };
    let place = proc_path(target.as_fd());
    if kind(target.as_fd(), path)? == FileType::Directory {
        // One inode is the root directory itself, so nothing can be made even if it is remounted.
        let options = Some("nr_blocks=1,nr_inodes=1");
        sys::mount(Some("tmpfs".as_ref()), &place, Some("tmpfs"), MsFlags::MS_RDONLY, options)?;
        return Ok(true);
    }
    let null = null_device()?.ok_or_else(|| SecurityError::NotNull { masked: path.to_owned() })?;
    sys::mount(Some(&proc_path(null.as_fd())), &place, None, MsFlags::MS_BIND, None)?;
    Ok(true)
}

/// Makes what is at `path`, and what is mounted below it, a mount of its own, and that mount
/// read-only. (Mounts below it keep their flags, as in runc; in a fresh /proc there are none.)
/// A path that isn't there is left out. Says whether it was there.
///
/// # Errors
/// Those of mount(2).
pub fn readonly_path(path: &Path) -> Result<bool, SecurityError> {
    let Some(below) = open(path)? else { return Ok(false) };
    let place = proc_path(below.as_fd());
    sys::mount(Some(&place), &place, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)?;
    // The descriptor is open on what lies below the new mount; a second walk arrives on it.
    let Some(top) = open(path)? else { return Ok(false) };
    remount_readonly(top.as_fd(), path)?;
    Ok(true)
}

/// Makes the mount at `/` read-only: it is one already, and those below it keep their flags.
///
/// # Errors
/// Those of mount(2).
pub fn readonly_root() -> Result<(), SecurityError> {
    let path = Path::new("/");
    open(path)?.map_or(Ok(()), |root| remount_readonly(root.as_fd(), path))
}

fn remount_readonly(top: BorrowedFd<'_>, path: &Path) -> Result<(), SecurityError> {
    let flags = locked_flags(top, path)?;
    let remount = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | flags;
    Ok(sys::mount(None, &proc_path(top), None, remount, None)?)
}

/// Opens a path of the container, or says that it isn't there.
fn open(path: &Path) -> Result<Option<OwnedFd>, SecurityError> {
    let fail = |e: rustix::io::Errno| called("openat", path, e);
    let how = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", how | OFlags::DIRECTORY, Mode::empty()).map_err(fail)?;
    let opened = match sys::open_in_root(root.as_fd(), path, how, Mode::empty()) {
        // Before Linux 5.6, or filtered: no magic link is on these paths unless it is the last part.
        Err(e) if matches!(e.errno(), Errno::ENOSYS | Errno::EPERM) => {
            let plain = rustix::fs::open(path, how | OFlags::NOFOLLOW, Mode::empty());
            return match plain {
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
                other => other.map(Some).map_err(fail),
            };
        }
        other => other,
    };
    match opened {
        Err(e) if matches!(e.errno(), Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        other => Ok(Some(other?)),
    }
}

fn called(call: &'static str, path: &Path, e: rustix::io::Errno) -> SecurityError {
    SysError::of(call, format!("{path:?}"), e).into()
}

/// mount(2) takes a path; this one leads to exactly what is open.
fn proc_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn kind(fd: BorrowedFd<'_>, path: &Path) -> Result<FileType, SecurityError> {
    let stat = rustix::fs::fstat(fd).map_err(|e| called("fstat", path, e))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// None: something else is there. Linux: admin-guide/devices.txt, character device 1:3.
fn null_device() -> Result<Option<OwnedFd>, SecurityError> {
    let path = Path::new("/dev/null");
    let Some(fd) = open(path)? else { return Ok(None) };
    let stat = rustix::fs::fstat(&fd).map_err(|e| called("fstat", path, e))?;
    let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == rustix::fs::makedev(1, 3);
    Ok(is_null.then_some(fd))
}

/// The flags that the mount has already: a remount replaces them all, and in a user namespace
/// those that came from outside are locked, so that leaving one out gives EPERM (mount_namespaces(7)).
fn locked_flags(fd: BorrowedFd<'_>, path: &Path) -> Result<MsFlags, SecurityError> {
    let has = rustix::fs::fstatvfs(fd).map_err(|e| called("fstatfs", path, e))?.f_flag;
    let table = [
        (StatVfsMountFlags::NOSUID, MsFlags::MS_NOSUID),
        (StatVfsMountFlags::NODEV, MsFlags::MS_NODEV),
        (StatVfsMountFlags::NOEXEC, MsFlags::MS_NOEXEC),
        (StatVfsMountFlags::NOATIME, MsFlags::MS_NOATIME),
        (StatVfsMountFlags::NODIRATIME, MsFlags::MS_NODIRATIME),
        (StatVfsMountFlags::RELATIME, MsFlags::MS_RELATIME),
    ];
    Ok(table
        .into_iter()
        .filter(|(flag, _)| has.contains(*flag))
        .fold(MsFlags::empty(), |all, (_, f)| all | f))
}
