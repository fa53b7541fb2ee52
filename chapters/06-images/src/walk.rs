//! Walking over descriptors: opening and removing what nobody else knows of yet.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

/// As many links as the kernel follows in one path (path_resolution(7)).
const MOST_LINKS: u32 = 40;

/// Opens the directory `path` as if `root` were `/`: by hand, where openat2(2) is missing or filtered,
/// or where directories that `path` itself names are to be made.
///
/// Somebody who renames directories meanwhile could lead this astray. Nobody does: the tree below is
/// not yet known to anyone but us.
pub(crate) fn open_dir_by_hand(root: BorrowedFd<'_>, path: &Path, make: bool) -> Result<OwnedFd, Errno> {
    let open = |dir: BorrowedFd<'_>, name: &OsStr| {
        rustix::fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    };
    let top = OsStr::new(".");
    let mut here = open(root, top)?;
    let (mut depth, mut links) = (0, 0);
    let mut todo = parts(path.as_os_str(), make);
    while let Some((part, make)) = todo.pop() {
        if part == ".." {
            // Not above the root.
            if depth > 0 {
                (here, depth) = (open(here.as_fd(), &part)?, depth - 1);
            }
            continue;
        }
        let next = match open(here.as_fd(), &part) {
            Err(Errno::NOENT) if make => {
                rustix::fs::mkdirat(&here, &part, Mode::RWXU)?;
                // Whatever the umask is.
                rustix::fs::chmodat(&here, &part, Mode::from_raw_mode(0o755), AtFlags::empty())?;
                open(here.as_fd(), &part)?
            }
            other => other?,
        };
        match FileType::from_raw_mode(rustix::fs::fstat(&next)?.st_mode) {
            FileType::Directory => (here, depth) = (next, depth + 1),
            FileType::Symlink if links == MOST_LINKS => return Err(Errno::LOOP),
            FileType::Symlink => {
                links += 1;
                let text = rustix::fs::readlinkat(next.as_fd(), "", Vec::new())?.into_bytes();
                if text.starts_with(b"/") {
                    (here, depth) = (open(root, top)?, 0);
                }
                // What a link leads to is not made: it is another layer's, or nobody's.
                todo.extend(parts(OsStr::from_bytes(&text), false));
            }
            _ => return Err(Errno::NOTDIR),
        }
    }
    Ok(here)
}

/// The components, last first, without `.` and slashes; each with `make`.
fn parts(path: &OsStr, make: bool) -> Vec<(OsString, bool)> {
    let named = path.as_bytes().split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".");
    named.rev().map(|p| (OsStr::from_bytes(p).to_owned(), make)).collect()
}

/// Where the kernel finds an open directory: for calls that take no descriptor.
pub(crate) fn proc_path(dir: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()))
}

/// The names in an open directory, as they come.
pub(crate) fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    let dir = rustix::fs::openat(dir, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = Vec::with_capacity(8 << 10);
    let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

/// How many directories below each other are held open at once while a tree is removed.
const HELD: u32 = 16;

/// Removes `name` in `dir`, and all below it if it is a directory. No link is followed. A directory that
/// its owner closed (overlay's `work/work` has mode 000) is opened with chmod(2) first.
///
/// [`fs::remove_dir_all`](std::fs::remove_dir_all) holds one descriptor a level, and a tree may have more
/// levels than a process may have descriptors. So what is deep moves up until nothing is left below.
///
/// # Errors
/// That of the call that failed; what stays then may have moved to the top of the tree.
pub fn remove_tree(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    if removed(dir, name)? {
        return Ok(());
    }
    let top = open_up(dir, name)?;
    let mut number = 0_u64;
    while let left = names(top.as_fd())?
        && !left.is_empty()
    {
        for name in left {
            remove_below(top.as_fd(), &name, HELD, (top.as_fd(), &mut number))?;
        }
    }
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

fn remove_below(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    held: u32,
    (top, number): (BorrowedFd<'_>, &mut u64),
) -> io::Result<()> {
    if removed(dir, name)? {
        return Ok(());
    }
    if held == 0 {
        return Ok(move_up(dir, name, top, number)?);
    }
    let sub = open_up(dir, name)?;
    for below in names(sub.as_fd())? {
        remove_below(sub.as_fd(), &below, held - 1, (top, number))?;
    }
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

/// Moves a directory to the next free number in `top`.
fn move_up(sub: BorrowedFd<'_>, name: &OsStr, top: BorrowedFd<'_>, number: &mut u64) -> Result<(), Errno> {
    let mut opened = false;
    loop {
        match rustix::fs::renameat(sub, name, top, format!(".{number}")) {
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => *number += 1,
            // Its `..` changes: rename(2) wants to write to it.
            Err(Errno::ACCESS) if !opened => opened = open_up(sub, name).map(|_| true)?,
            other => return other,
        }
    }
}

/// Opens a directory, which its owner may then read, write and search.
fn open_up(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let how = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = match rustix::fs::openat(dir, name, how, Mode::empty()) {
        Err(Errno::ACCESS) => rustix::fs::openat(dir, name, how | OFlags::PATH, Mode::empty())?,
        other => other?,
    };
    if rustix::fs::fstat(&found)?.st_mode & 0o700 == 0o700 {
        return Ok(found);
    }
    rustix::fs::chmod(proc_path(found.as_fd()), Mode::RWXU)?;
    rustix::fs::openat(&found, ".", how, Mode::empty())
}

/// Whether `name` is gone: it was no directory, or an empty one.
fn removed(dir: BorrowedFd<'_>, name: &OsStr) -> Result<bool, Errno> {
    let as_directory = || match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        // rmdir(2) allows both.
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        other => other.map(|()| true),
    };
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        // unlink(2) of a directory: EISDIR on Linux, EPERM by POSIX.
        Err(Errno::ISDIR) => as_directory(),
        Err(Errno::PERM) => match as_directory() {
            Err(Errno::NOTDIR) => Err(Errno::PERM),
            other => other,
        },
        other => other.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    /// By hand and by the kernel, the same.
    #[test]
    fn the_walk_by_hand_is_that_of_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("usr/lib/deep")).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        for (name, text) in [
            ("lib", "usr/lib"),
            ("abs", "/usr/lib"),
            ("up", "../../../../usr"),
            ("loop", "loop"),
            ("gone", "nowhere"),
            ("usr/lib/back", "../../.."),
        ] {
            symlink(text, dir.path().join(name)).unwrap();
        }
        let root = std::fs::File::open(dir.path()).unwrap();
        let how = OFlags::PATH | OFlags::DIRECTORY;
        for path in [
            "",
            "lib",
            "lib/deep",
            "abs/deep/..",
            "up/lib",
            "..",
            "../../usr",
            "loop",
            "gone",
            "file",
            "file/x",
            "lib/back/usr",
            "./usr//lib/.",
            "nothing",
        ] {
            let by_hand = open_dir_by_hand(root.as_fd(), Path::new(path), false);
            let by_kernel = sys::open_in_root(root.as_fd(), Path::new(path), how, Mode::empty());
            let inode = |fd: OwnedFd| std::fs::File::from(fd).metadata().unwrap().ino();
            let (ours, kernels) = (
                by_hand.map(inode).map_err(|e| e.raw_os_error()),
                by_kernel.map(inode).map_err(|e| e.errno() as i32),
            );
            assert_eq!(ours, kernels, "{path:?}");
        }
    }
}
