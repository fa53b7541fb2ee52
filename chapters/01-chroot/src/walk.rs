//! The way through a root by hand, one component at a time: for kernels before 5.6, which have
//! no openat2(2), and for making what is missing, which openat2(2) can't.
//!
//! Each component is opened with O_NOFOLLOW, so the kernel never follows a link for us. We read
//! a link and walk its text, beginning at the root if it is absolute. `..` takes us back to the
//! descriptor from which we came, so that a directory that is moved meanwhile can't lead us out.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use sys::{Errno, SysError};

use crate::root::{failed, kind, shown};

/// What happens where nothing is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Missing {
    /// ENOENT.
    Fail,
    /// A directory is made, with this mode.
    Dir(Mode),
    /// The last component becomes an empty file, those before it directories.
    File,
}

/// As many links as the kernel follows in one path (path_resolution(7)).
const MOST_LINKS: usize = 40;

const STEP: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens `path` inside `root` with O_PATH.
pub(crate) fn walk(
    root: BorrowedFd<'_>,
    path: &Path,
    missing: Missing,
    follow_last: bool,
) -> Result<OwnedFd, SysError> {
    let args = || format!("{}, {}", root.as_raw_fd(), shown(path.as_os_str()));
    let mut todo = components(path.as_os_str());
    let mut way: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == "." || name == ".." {
            if way.last().map_or(Ok(FileType::Directory), |top| kind(top.as_fd()))? != FileType::Directory {
                return Err(SysError::new("openat", args(), Errno::ENOTDIR));
            }
            if name == ".." {
                way.pop();
            }
            continue;
        }
        let here = way.last().map_or(root, AsFd::as_fd);
        let found = step(here, &name, missing, todo.is_empty())?;
        if kind(found.as_fd())? != FileType::Symlink || (todo.is_empty() && !follow_last) {
            way.push(found);
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(SysError::new("openat", args(), Errno::ELOOP));
        }
        let text = rustix::fs::readlinkat(&found, "", Vec::new())
            .map_err(|e| failed("readlinkat", format!("{}, \"\"", found.as_raw_fd()), e))?;
        if text.as_bytes().starts_with(b"/") {
            way.clear();
        }
        todo.extend(components(OsStr::from_bytes(text.as_bytes())));
    }
    way.pop().map_or_else(|| again(root), Ok)
}

/// The components, last first. A slash at the end asks for a directory, as `/.` does.
fn components(path: &OsStr) -> Vec<OsString> {
    let end = path.as_bytes().ends_with(b"/").then_some(&b"."[..]);
    let parts = path.as_bytes().split(|b| *b == b'/').rev().filter(|p| !p.is_empty());
    end.into_iter().chain(parts).map(|p| OsStr::from_bytes(p).to_owned()).collect()
}

/// Opens one component, and makes it first if it is missing and wanted.
fn step(here: BorrowedFd<'_>, name: &OsStr, missing: Missing, last: bool) -> Result<OwnedFd, SysError> {
    let open = || rustix::fs::openat(here, name, STEP, Mode::empty());
    let args = || format!("{}, {}", here.as_raw_fd(), shown(name));
    let not_there = match (open(), missing) {
        (Err(e), Missing::Dir(_) | Missing::File) if e == rustix::io::Errno::NOENT => e,
        (other, _) => return other.map_err(|e| failed("openat", args(), e)),
    };
    let (call, made) = match missing {
        Missing::File if last => ("openat", make_file(here, name)),
        Missing::Dir(mode) => ("mkdirat", rustix::fs::mkdirat(here, name, mode)),
        Missing::File => ("mkdirat", rustix::fs::mkdirat(here, name, Mode::from_raw_mode(0o755))),
        Missing::Fail => ("openat", Err(not_there)),
    };
    match made {
        // Somebody was faster: then we take what is there now.
        Err(e) if e != rustix::io::Errno::EXIST => Err(failed(call, args(), e)),
        _ => open().map_err(|e| failed("openat", args(), e)),
    }
}

fn make_file(here: BorrowedFd<'_>, name: &OsStr) -> Result<(), rustix::io::Errno> {
    let how = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(here, name, how, Mode::from_raw_mode(0o644)).map(drop)
}

fn again(root: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
    rustix::fs::openat(root, ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| failed("openat", format!("{}, \".\"", root.as_raw_fd()), e))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::Root;

    /// What is found, or the errno: as two numbers that can be compared.
    fn told(found: Result<OwnedFd, SysError>) -> Result<(u64, u64), Errno> {
        let stat = found.map_err(|e| e.errno()).map(|fd| rustix::fs::fstat(fd).unwrap())?;
        Ok((stat.st_dev, stat.st_ino))
    }

    #[test]
    fn by_hand_it_is_the_same_way_as_the_kernels() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/file"), "").unwrap();
        for (name, text) in [
            ("abs", "/a/b"),
            ("up", "../../../a"),
            ("a/rel", "b/../file"),
            ("loop", "loop"),
            ("dangling", "/nowhere"),
            ("a/b/top", "/"),
            ("filedir", "a/file/.."),
        ] {
            symlink(text, at(name)).unwrap();
        }
        let root = Root::open(dir.path()).unwrap();
        for path in [
            "/",
            "",
            ".",
            "..",
            "a",
            "/a/b",
            "a/b/..",
            "a//b/./",
            "abs",
            "abs/../file",
            "up/b",
            "a/rel",
            "loop",
            "dangling",
            "a/file/",
            "a/file/.",
            "abs/",
            "filedir/",
            "a/./b",
            "a/b/top/a",
            "a/file/x",
            "none",
            "none/..",
            "../a/file",
            "filedir",
        ] {
            let path = Path::new(path);
            let kernel = root.open_in(path, OFlags::PATH);
            let own = walk(root.as_fd(), path, Missing::Fail, true);
            assert_eq!(told(own), told(kernel), "{path:?}");
            let kernel = root.open_in(path, OFlags::PATH | OFlags::NOFOLLOW);
            let own = walk(root.as_fd(), path, Missing::Fail, false);
            assert_eq!(told(own), told(kernel), "{path:?} not followed");
        }
    }
}
