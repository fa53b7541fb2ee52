//! The row `devices`: a disk of the host, found in /dev or made by its number, and opened for reading.
//!
//! Nothing but disks is ever opened: to open a watchdog starts it, a tape winds back.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, major, minor};
use sys::Errno;

use super::Finding;
use super::child::private_dir;
use super::host::Host;
use super::kernel::{CAP_MKNOD, is_bounding};
use super::namespaces::borrowed;

/// Majors of character devices that a container has: memory (null, zero, ...), terminals and their other
/// ends (kernel, admin-guide/devices.txt). Of the first, /dev/mem, port and kmsg aren't harmless.
const HARMLESS: [u32; 3] = [1, 5, 136];
const HARMFUL_OF_MEMORY: [u32; 3] = [1, 4, 11];
/// Drives that move when they are opened: floppy and compact disks.
const MOVING: [u32; 2] = [2, 11];
/// A loop device: nearly each machine has it.
const LOOP0: (u32, u32) = (7, 0);

type Number = (u32, u32);

pub(super) fn devices(host: &Host) -> Finding {
    let mut disks = disks(&fs::read_to_string("/proc/partitions").unwrap_or_default());
    disks.push(LOOP0);
    let nodes = nodes(Path::new("/dev"));
    let mut forbidden_by_list = false;
    for (path, _) in nodes.iter().filter(|(_, number)| disks.contains(number)) {
        match open(path) {
            Ok(()) => {
                return Finding::new(false, format!("open(\"{}\", O_RDONLY): allowed", path.display()));
            }
            // The device list of the cgroup answers so, where a mode answers EACCES.
            Err(errno) => forbidden_by_list |= errno == Errno::EPERM,
        }
    }
    if let Some((path, _)) = nodes.first() {
        let why = if forbidden_by_list { "open: EPERM" } else { "closed by their modes alone" };
        let seen = format!("{} nodes, {} ...: {why}", nodes.len(), path.display());
        return Finding::new(forbidden_by_list, seen);
    }
    let tried: Vec<Made> = disks.into_iter().map(make_and_open).collect();
    let room = borrowed(host);
    match tried
        .iter()
        .find(|made| made.opened == Some(Ok(())))
        .or(tried.iter().find(|made| made.opened.is_some()))
    {
        Some(Made { number: (major, minor), opened, .. }) => {
            let answer =
                opened.and_then(Result::err).map_or("allowed".to_owned(), |errno| format!("{errno:?}"));
            let seen = format!("{room}mknod(b {major}:{minor}): allowed, open: {answer}");
            Finding::new(*opened != Some(Ok(())), seen)
        }
        // A user namespace of our own, or a set without CAP_MKNOD; otherwise only root is missing.
        None => {
            let answers =
                tried.iter().map(|m| format!("mknod(b {}:{}): {:?}", m.number.0, m.number.1, m.answer));
            let kept = host.own("user").map(|own| own || is_bounding(CAP_MKNOD) == Some(false));
            Finding::new(kept, format!("{room}{}", answers.collect::<Vec<_>>().join(", ")))
        }
    }
}

/// How making a node went, and opening it.
struct Made {
    number: Number,
    answer: Errno,
    opened: Option<Result<(), Errno>>,
}

/// What isn't ready (ENXIO, EBUSY, ...) was reached all the same: leave is asked for before.
fn open(path: &Path) -> Result<(), Errno> {
    let answer = File::open(path).map_or_else(|e| e.raw_os_error().unwrap_or(0), |_| 0);
    match Errno::from_raw(answer) {
        errno @ (Errno::EPERM | Errno::EACCES | Errno::ENOENT) => Err(errno),
        _ => Ok(()),
    }
}

fn make_and_open(number: Number) -> Made {
    let dir = match private_dir() {
        Ok(dir) => dir,
        Err(e) => return Made { number, answer: e.errno(), opened: None },
    };
    let node = dir.join("disk");
    let made = sys::mknodat(CWD, &node, FileType::BlockDevice, Mode::RUSR | Mode::WUSR, number);
    let opened = made.is_ok().then(|| open(&node));
    let _ = fs::remove_file(&node);
    let _ = sys::rmdir(&dir);
    Made { number, answer: made.err().map_or(Errno::UnknownErrno, |e| e.errno()), opened }
}

/// The lines of proc_partitions: `major minor #blocks name`.
fn disks(partitions: &str) -> Vec<Number> {
    let number = |line: &str| {
        let mut fields = line.split_whitespace();
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    partitions.lines().filter_map(number).filter(|(major, _)| !MOVING.contains(major)).collect()
}

/// The nodes of the host's devices in a directory, by name.
fn nodes(dir: &Path) -> Vec<(PathBuf, Number)> {
    let entries: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().collect();
    let of_host = |entry: &fs::DirEntry| {
        let meta = entry.metadata().ok()?;
        let (major, minor) = (major(meta.rdev()), minor(meta.rdev()));
        let harmless = HARMLESS.contains(&major) && !(major == 1 && HARMFUL_OF_MEMORY.contains(&minor));
        let is_device = meta.file_type().is_block_device() || meta.file_type().is_char_device() && !harmless;
        is_device.then(|| (entry.path(), (major, minor)))
    };
    let mut nodes: Vec<_> = entries.iter().filter_map(of_host).collect();
    nodes.sort();
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_disks_that_are_there_and_do_not_move_are_opened() {
        let table =
            "major minor  #blocks  name\n\n 254        0  268435456 vda\n  11        0    1048575 sr0\n";
        assert_eq!(disks(table), [(254, 0)]);
    }

    #[test]
    fn null_and_the_terminals_are_no_devices_of_the_host() {
        let found = nodes(Path::new("/dev"));
        assert!(!found.iter().any(|(path, _)| path.ends_with("null") || path.ends_with("tty")), "{found:?}");
        assert_eq!(nodes(Path::new("/no/such/dir")), []);
    }
}
