//! Walking over descriptors: opening and removing what nobody else knows of yet.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
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
    fs::read_dir(proc_path(dir))?.map(|entry| Ok(entry?.file_name())).collect()
}

/// How many directories below each other are held open at once while a tree is removed.
const HELD: u32 = 16;

/// Removes `name` in `dir`, and all below it if it is a directory. No link is followed. A directory that
/// its owner closed (overlay's `work/work` has mode 000) is opened with chmod(2) first.
///
/// [`fs::remove_dir_all`] holds one descriptor a level, and a tree may have more levels than a process may
/// have descriptors. So what is deep moves up until nothing is left below.
///
/// # Errors
/// That of the call that failed; what stays then may have moved to the top of the tree.
pub fn remove_tree(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    if removed(dir, name)? {
        return Ok(());
    }
    let (top, number) = (open_up(dir, name)?, Cell::new(0));
    loop {
        for name in names(top.as_fd())? {
            remove_below(top.as_fd(), &name, HELD, (top.as_fd(), &number))?;
        }
        if removed(dir, name)? {
            return Ok(());
        }
    }
}

/// Where deep directories go, and the next number that may be free there.
type Top<'a> = (BorrowedFd<'a>, &'a Cell<u64>);

fn remove_below(dir: BorrowedFd<'_>, name: &OsStr, held: u32, top: Top<'_>) -> io::Result<()> {
    match removed(dir, name)? {
        true => return Ok(()),
        false if held == 0 => return move_up(dir, name, top),
        false => {}
    }
    let sub = open_up(dir, name)?;
    for below in names(sub.as_fd())? {
        remove_below(sub.as_fd(), &below, held - 1, top)?;
    }
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

fn move_up(dir: BorrowedFd<'_>, name: &OsStr, (top, number): Top<'_>) -> io::Result<()> {
    // Its `..` changes: rename(2) wants to write to it.
    drop(open_up(dir, name)?);
    loop {
        match rustix::fs::renameat(dir, name, top, format!(".{}", number.get())) {
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => number.set(number.get() + 1),
            other => return Ok(other?),
        }
    }
}

/// Opens a directory, which its owner may then read, write and search.
fn open_up(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let how = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = rustix::fs::openat(dir, name, how | OFlags::PATH, Mode::empty())?;
    if rustix::fs::fstat(&found)?.st_mode & 0o700 != 0o700 {
        rustix::fs::chmod(proc_path(found.as_fd()), Mode::RWXU)?;
    }
    rustix::fs::openat(&found, ".", how, Mode::empty())
}

/// Whether `name` is gone: it was no directory, or an empty one.
fn removed(dir: BorrowedFd<'_>, name: &OsStr) -> Result<bool, Errno> {
    let remove = |how| rustix::fs::unlinkat(dir, name, how).map(|()| true);
    match remove(AtFlags::empty()) {
        // unlink(2) of a directory: EISDIR on Linux, EPERM by POSIX.
        Err(Errno::ISDIR | Errno::PERM) => match remove(AtFlags::REMOVEDIR) {
            // rmdir(2) allows both.
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(Errno::NOTDIR) => Err(Errno::PERM),
            other => other,
        },
        other => other,
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
            // EAGAIN: somebody on this machine has renamed or mounted something meanwhile.
            let mut tries = std::iter::repeat_with(|| {
                sys::open_in_root(root.as_fd(), Path::new(path), how, Mode::empty())
            });
            let by_kernel = tries.find(|r| !matches!(r, Err(e) if e.errno() == sys::Errno::EAGAIN)).unwrap();
            let inode = |fd: OwnedFd| std::fs::File::from(fd).metadata().unwrap().ino();
            let (ours, kernels) = (
                by_hand.map(inode).map_err(|e| e.raw_os_error()),
                by_kernel.map(inode).map_err(|e| e.errno() as i32),
            );
            assert_eq!(ours, kernels, "{path:?}");
        }
    }
}
