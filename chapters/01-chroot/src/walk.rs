//! The way through a root by hand, one component at a time: for kernels before 5.6, which have
//! no openat2(2), for making what is missing, and for seeing which links lie on the way.
//!
//! Each component is opened with O_NOFOLLOW, so the kernel never follows a link for us. We read
//! a link and walk its text, beginning at the root if it is absolute. `..` takes us back to the
//! descriptor from which we came, so that a directory that is moved meanwhile can't lead us out.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use sys::SysError;

use crate::root::kind;

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

/// Where a path leads, and over what.
#[derive(Debug)]
pub(crate) struct Found {
    /// The end of the way, opened with O_PATH.
    pub(crate) fd: OwnedFd,
    /// Its path inside the root, with no link in it.
    pub(crate) real: PathBuf,
    /// The links on the way, each with its text, in the order in which they were met.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
    /// The directories that were left again by `..`: the way leads through them too.
    pub(crate) detours: Vec<PathBuf>,
}

/// As many links as the kernel follows in one path (path_resolution(7)).
const MOST_LINKS: usize = 40;

const STEP: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens `path` inside `root`.
pub(crate) fn walk(root: &OwnedFd, path: &Path, missing: Missing, follow: bool) -> Result<Found, SysError> {
    let fail = |call, e: Errno| SysError::of(call, format!("{}, {path:?}", root.as_raw_fd()), e);
    let mut todo = components(path.as_os_str());
    let mut way = vec![rustix::fs::openat(root, ".", STEP, Mode::empty()).map_err(|e| fail("openat", e))?];
    let (mut real, mut links, mut detours) = (PathBuf::from("/"), Vec::new(), Vec::new());
    while let Some(name) = todo.pop() {
        let here = &way[way.len() - 1];
        if name == "." || name == ".." {
            if kind(here.as_fd())? != FileType::Directory {
                return Err(fail("openat", Errno::NOTDIR));
            }
            if name == ".." && way.len() > 1 {
                detours.push(real.clone());
                real.pop();
                way.pop();
            }
            continue;
        }
        let found = step(here, &name, missing, todo.is_empty()).map_err(|(call, e)| fail(call, e))?;
        real.push(&name);
        if kind(found.as_fd())? != FileType::Symlink || (todo.is_empty() && !follow) {
            way.push(found);
            continue;
        }
        if links.len() == MOST_LINKS {
            return Err(fail("openat", Errno::LOOP));
        }
        let text = rustix::fs::readlinkat(&found, "", Vec::new()).map_err(|e| fail("readlinkat", e))?;
        let text = PathBuf::from(OsStr::from_bytes(text.as_bytes()));
        todo.extend(components(text.as_os_str()));
        links.push((real.clone(), text.clone()));
        real.pop();
        if text.is_absolute() {
            real = PathBuf::from("/");
            way.truncate(1);
        }
    }
    way.pop().map(|fd| Found { fd, real, links, detours }).ok_or_else(|| fail("openat", Errno::NOENT))
}

/// The components, last first. A slash at the end asks for a directory, as `/.` does.
fn components(path: &OsStr) -> Vec<OsString> {
    let end = path.as_bytes().ends_with(b"/").then_some(&b"."[..]);
    let parts = path.as_bytes().split(|b| *b == b'/').rev().filter(|p| !p.is_empty());
    end.into_iter().chain(parts).map(|p| OsStr::from_bytes(p).to_owned()).collect()
}

/// A call and its errno.
type Failure = (&'static str, Errno);

/// Opens one component, and makes it first if it is missing and wanted. Says which call failed.
fn step(here: &OwnedFd, name: &OsStr, missing: Missing, last: bool) -> Result<OwnedFd, Failure> {
    let open = || rustix::fs::openat(here, name, STEP, Mode::empty()).map_err(|e| ("openat", e));
    let dir = |mode| rustix::fs::mkdirat(here, name, mode).map_err(|e| ("mkdirat", e));
    let made = match (open(), missing) {
        (Err((_, Errno::NOENT)), Missing::Dir(mode)) => dir(mode),
        (Err((_, Errno::NOENT)), Missing::File) if !last => dir(Mode::from_raw_mode(0o755)),
        (Err((_, Errno::NOENT)), Missing::File) => {
            let mode = Mode::from_raw_mode(0o644);
            rustix::fs::mknodat(here, name, FileType::RegularFile, mode, 0).map_err(|e| ("mknodat", e))
        }
        (other, _) => return other,
    };
    match made {
        // Somebody was faster: then we take what is there now.
        Ok(()) | Err((_, Errno::EXIST)) => open(),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::Root;

    /// What is found, or the errno: something that can be compared.
    fn told(found: Result<OwnedFd, SysError>) -> Result<(u64, u64), sys::Errno> {
        let stat = found.map_err(|e| e.errno()).map(|fd| rustix::fs::fstat(fd).unwrap())?;
        Ok((stat.st_dev, stat.st_ino))
    }

    const PATHS: &str = "/ . .. a /a/b a/b/.. a//b/./ abs abs/../file up/b a/rel loop dangling a/b/top/a \
        a/file/x a/file/ a/file/. abs/ filedir filedir/ a/./b none none/.. ../a/file";

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
        for path in PATHS.split_whitespace().chain([""]).map(Path::new) {
            for (follow, how) in [(true, OFlags::PATH), (false, OFlags::PATH | OFlags::NOFOLLOW)] {
                let own = walk(&root.dir, path, Missing::Fail, follow);
                assert_eq!(told(own.map(|f| f.fd)), told(root.open_in(path, how)), "{path:?} {follow}");
            }
        }
    }

    #[test]
    fn what_lies_on_the_way_is_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("usr/lib/x")).unwrap();
        std::fs::write(dir.path().join("usr/lib/a.so.1"), "").unwrap();
        symlink("usr/lib", dir.path().join("lib")).unwrap();
        symlink("/lib/a.so.1", dir.path().join("usr/lib/a.so")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let found = walk(&root.dir, Path::new("/lib/x/../a.so"), Missing::Fail, true).unwrap();
        assert_eq!(found.real, Path::new("/usr/lib/a.so.1"));
        let links = [("/lib", "usr/lib"), ("/usr/lib/a.so", "/lib/a.so.1"), ("/lib", "usr/lib")];
        assert_eq!(found.links, links.map(|(path, text)| (path.into(), text.into())));
        assert_eq!(found.detours, [Path::new("/usr/lib/x")]);
    }
}
