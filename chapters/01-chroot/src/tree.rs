//! A tree of files read as if it were `/`: the host's own, or a faked one in a temporary directory.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// A tree, by its root's path.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: PathBuf,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The links on the way, each with its text, in the order in which they were met.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
    /// The directories that were left again by `..`: the way leads through them too.
    pub(crate) detours: Vec<PathBuf>,
    /// The end of the way, with no link in it.
    pub(crate) real: PathBuf,
}

/// As many links as the kernel follows in one path (path_resolution(7)).
const MOST_LINKS: usize = 40;

impl Tree {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Follows an absolute path of the tree to a file or directory that exists. A link with an
    /// absolute text leads to a place in the tree.
    pub(crate) fn resolve(&self, path: &Path) -> Result<Found, Error> {
        let mut found = Found { links: Vec::new(), detours: Vec::new(), real: PathBuf::from("/") };
        let mut todo = parts(path);
        while let Some(part) = todo.pop() {
            if part == Path::new("..") {
                found.detours.push(found.real.clone());
                found.real.pop();
                continue;
            }
            let next = found.real.join(&part);
            let here = self.on_host(&next);
            if !here.symlink_metadata()?.is_symlink() {
                found.real = next;
                continue;
            }
            if found.links.len() == MOST_LINKS {
                return Err(Error::from_raw_os_error(sys::Errno::ELOOP as i32));
            }
            let text = here.read_link()?;
            if text.is_absolute() {
                found.real = PathBuf::from("/");
            }
            todo.extend(parts(&text));
            found.links.push((next, text));
        }
        Ok(found)
    }

    /// Opens a regular file at a path without links.
    pub(crate) fn open(&self, real: &Path) -> Result<File, Error> {
        let how = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let file = OpenOptions::new().read(true).custom_flags(how as i32).open(self.on_host(real))?;
        if !file.metadata()?.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(file)
    }

    /// Where the host has a path of the tree.
    pub(crate) fn on_host(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// The components, last first, without `.` and the leading slash.
fn parts(path: &Path) -> Vec<PathBuf> {
    let bytes = path.as_os_str().as_bytes().split(|b| *b == b'/').rev();
    bytes
        .filter(|p| !p.is_empty() && *p != b".")
        .map(|p| PathBuf::from(std::ffi::OsStr::from_bytes(p)))
        .collect()
}
