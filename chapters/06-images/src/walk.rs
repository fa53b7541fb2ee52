//! Resolving a path inside a directory by hand, where openat2(2) is missing or filtered.
//!
//! Somebody who renames directories meanwhile could lead this astray. Nobody does: the tree below is
//! not yet known to anyone but us.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

/// As many links as the kernel follows in one path (path_resolution(7)).
const MOST_LINKS: u32 = 40;

/// Opens the directory `path` as if `root` were `/`.
pub(crate) fn open_dir_by_hand(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    // The way down from the root: `..` goes back, and not above the first.
    let mut way = vec![root.try_clone_to_owned().map_err(|_| Errno::MFILE)?];
    let mut todo = parts(path.as_os_str());
    let mut links = 0;
    while let (Some(part), Some(here)) = (todo.pop(), way.last()) {
        if part == ".." {
            if way.len() > 1 {
                way.pop();
            }
            continue;
        }
        let how = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = rustix::fs::openat(here, &part, how, Mode::empty())?;
        match FileType::from_raw_mode(rustix::fs::fstat(&next)?.st_mode) {
            FileType::Directory => way.push(next),
            FileType::Symlink => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP);
                }
                let text = rustix::fs::readlinkat(next.as_fd(), "", Vec::new())?.into_bytes();
                if text.starts_with(b"/") {
                    way.truncate(1);
                }
                todo.extend(parts(OsStr::from_bytes(&text)));
            }
            _ => return Err(Errno::NOTDIR),
        }
    }
    way.pop().ok_or(Errno::NOENT)
}

/// The components, last first, without `.` and slashes.
fn parts(path: &OsStr) -> Vec<OsString> {
    let named = path.as_bytes().split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".");
    named.rev().map(|p| OsString::from_vec(p.to_vec())).collect()
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
            let by_hand = open_dir_by_hand(root.as_fd(), Path::new(path));
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
