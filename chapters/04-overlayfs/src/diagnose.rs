//! Why the kernel said EINVAL (or ELOOP): it tells only its log, so we look at what it looked at.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags, statfs, statx};
use sys::Errno;

use crate::mount::LONGEST_DATA;
use crate::{Overlay, OverlayError, Part};

/// File systems that can't hold an upperdir, by the magic number of statfs(2) (linux/magic.h).
const UNFIT: [(u32, &str); 6] = [
    (OVERLAY, "overlay"),
    (0x6969, "NFS"),
    (0x4d44, "FAT"),
    (0xf15f, "eCryptfs"),
    (0x5346_544e, "NTFS"),
    (0x6573_5546, "FUSE"),
];

/// File systems that can't be a layer at all.
const UNFIT_BELOW: [(u32, &str); 2] = [(0x4d44, "FAT"), (0x2011_bab0, "exFAT")];

const OVERLAY: u32 = 0x794c_7630;

impl Overlay {
    /// Turns what the kernel answered into the reason, or leaves it as it is.
    pub(crate) fn diagnose(&self, target: &Path, bytes: usize, error: OverlayError) -> OverlayError {
        let OverlayError::Call(call) = error else { return error };
        let found = self.bad_directory(target).or_else(|| self.overlap()).or_else(|| self.other_mount());
        if let Some(found) = found {
            return found;
        }
        if call.errno() == Errno::EINVAL {
            if let Some(fstype) = one_of(&UNFIT, &self.upper) {
                return OverlayError::UpperFileSystem { upper: self.upper.clone(), fstype, source: call };
            }
            if let Some((path, fstype)) = self.lower_on(&UNFIT_BELOW) {
                return OverlayError::LowerFileSystem { path, fstype, source: call };
            }
            if self.userxattr
                && let Some((path, mount)) = self.mount_below()
            {
                return OverlayError::MountBelow { path, mount, source: call };
            }
            if let Some((path, _)) = self.lower_on(&[(OVERLAY, "overlay")]) {
                return OverlayError::TooDeep { path, source: call };
            }
        }
        if bytes > LONGEST_DATA && matches!(call.errno(), Errno::EINVAL | Errno::ENOSYS) {
            return OverlayError::TooLong { lowers: self.lower.len(), bytes, source: call };
        }
        OverlayError::Call(call)
    }

    /// Each directory with its task.
    fn parts(&self) -> impl Iterator<Item = (Part, &Path)> {
        let lowers = self.lower.iter().map(|l| (Part::Lowerdir, l.as_path()));
        lowers.chain([(Part::Upperdir, self.upper.as_path()), (Part::Workdir, self.work.as_path())])
    }

    fn bad_directory(&self, target: &Path) -> Option<OverlayError> {
        self.parts().chain([(Part::Merged, target)]).find_map(|(part, path)| match path.metadata() {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                Some(OverlayError::Missing { part, path: path.to_owned() })
            }
            Ok(data) if !data.is_dir() => Some(OverlayError::NotADirectory { part, path: path.to_owned() }),
            _ => None,
        })
    }

    /// Layers must not contain one another; only upper and work may lie inside a lower.
    fn overlap(&self) -> Option<OverlayError> {
        let real: Vec<(Part, PathBuf)> =
            self.parts().filter_map(|(part, path)| Some((part, path.canonicalize().ok()?))).collect();
        let pairs = real.iter().enumerate().flat_map(|(n, outer)| {
            real.iter().enumerate().filter(move |(m, _)| *m != n).map(move |(_, inner)| (outer, inner))
        });
        let mut bad = pairs.into_iter().filter(|((outer, at), (inner, inside))| {
            inside.starts_with(at) && (*outer != Part::Lowerdir || *inner == Part::Lowerdir)
        });
        bad.next().map(|(outer, inner)| OverlayError::Overlap {
            first: outer.0,
            second: inner.0,
            path: inner.1.clone(),
        })
    }

    /// The first lower on one of these, and its name.
    fn lower_on(&self, list: &[(u32, &'static str)]) -> Option<(PathBuf, &'static str)> {
        self.lower.iter().find_map(|lower| Some((lower.clone(), one_of(list, lower)?)))
    }

    /// A lower, and a mount strictly below it.
    fn mount_below(&self) -> Option<(PathBuf, PathBuf)> {
        let table = std::fs::read("/proc/self/mountinfo").ok()?;
        let points: Vec<PathBuf> = String::from_utf8_lossy(&table).lines().filter_map(mount_point).collect();
        self.lower.iter().find_map(|lower| {
            let real = lower.canonicalize().ok()?;
            let below = points.iter().filter(|point| point.starts_with(&real) && **point != real);
            Some((lower.clone(), below.min_by_key(|point| point.as_os_str().len())?.clone()))
        })
    }

    fn other_mount(&self) -> Option<OverlayError> {
        (mount_of(&self.upper)? != mount_of(&self.work)?)
            .then(|| OverlayError::OtherMount { upper: self.upper.clone(), work: self.work.clone() })
    }
}

/// The fifth field of a line of mountinfo, without its escapes (proc_pid_mountinfo(5)).
fn mount_point(line: &str) -> Option<PathBuf> {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    let field = line.split(' ').nth(4)?.to_owned();
    Some(escapes.iter().fold(field, |path, (code, byte)| path.replace(code, byte)).into())
}

/// The device, and the mount through which the path leads (statx(2), Linux 5.8).
fn mount_of(path: &Path) -> Option<(u32, u32, u64)> {
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
    Some((found.stx_dev_major, found.stx_dev_minor, found.stx_mnt_id))
}

/// The file system of `path`, if it is in the list.
fn one_of(list: &[(u32, &'static str)], path: &Path) -> Option<&'static str> {
    // The field's type differs between architectures; the numbers have 32 bits.
    let magic = statfs(path).ok()?.f_type as u32;
    list.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}
