//! Making files below one directory, whatever the names and links in it say.
//!
//! The kernel resolves each parent inside the directory (openat2(2), RESOLVE_IN_ROOT): a symbolic
//! link of the layer, absolute or not, leads nowhere else. The last part of a name is never followed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
};
use rustix::io::Errno;

use crate::remove::remove_tree;
use crate::tarfile::Xattrs;
use crate::unpack::OWNER_XATTR;
use crate::walk::open_dir_by_hand;
use crate::{Owners, UnpackError, UnpackOptions};

const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What a file has besides contents.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meta {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) xattrs: Xattrs,
}

/// A directory that gets its metadata last: a child changes its times, and its mode may bar us.
struct Later {
    inode: u64,
    meta: Meta,
}

/// The directory that is filled.
pub(crate) struct Place {
    root: OwnedFd,
    owners: Owners,
    opaque_xattr: &'static str,
    /// What new files belong to without a chown.
    own: (u32, u32),
    /// The parent of the last file: tars are sorted, so it is mostly that of the next one.
    parent: Option<(PathBuf, Rc<OwnedFd>)>,
    directories: BTreeMap<PathBuf, Later>,
    /// The entry that is being made, for errors.
    name: String,
    skipped: Vec<String>,
}

impl Place {
    pub(crate) fn open(into: &Path, options: &UnpackOptions) -> Result<Self, UnpackError> {
        let root = rustix::fs::openat(CWD, into, PATH_ONLY, Mode::empty())
            .map_err(|e| UnpackError::Store { what: "open", path: into.to_owned(), source: e.into() })?;
        Ok(Self {
            root,
            owners: options.owners,
            opaque_xattr: if options.userxattr { "user.overlay.opaque" } else { "trusted.overlay.opaque" },
            own: (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()),
            parent: None,
            directories: BTreeMap::new(),
            name: String::new(),
            skipped: Vec::new(),
        })
    }

    /// Names the entry to which the next calls belong.
    pub(crate) fn at(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    pub(crate) fn skip(&mut self, why: &str) {
        self.skipped.push(format!("{}: {why}", self.name));
    }

    fn error(&self, call: &'static str) -> impl Fn(Errno) -> UnpackError + use<> {
        let name = self.name.clone();
        move |e| UnpackError::Make { name: name.clone(), call, source: e.into() }
    }

    /// An empty file, in the place of whatever had that name. Once it is filled: [`Self::finish_file`].
    pub(crate) fn new_file(&mut self, path: &Path) -> Result<File, UnpackError> {
        let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        self.put(path, "openat", |dir, name| rustix::fs::openat(dir, name, how, mode)).map(File::from)
    }

    pub(crate) fn finish_file(&mut self, path: &Path, meta: &Meta) -> Result<(), UnpackError> {
        self.finish_in_parent(path, FileType::RegularFile, meta)
    }

    /// A directory: one that is there already stays, with what is in it.
    pub(crate) fn directory(&mut self, path: &Path, meta: Meta) -> Result<(), UnpackError> {
        if path.as_os_str().is_empty() {
            return self.later(path, meta);
        }
        let (dir, name) = self.parent_of(path)?;
        let there = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW);
        let (exists, hidden) = match &there {
            Ok(stat) => (FileType::from_raw_mode(stat.st_mode) == FileType::Directory, is_whiteout(stat)),
            Err(_) => (false, false),
        };
        if !exists {
            self.put(path, "mkdirat", |dir, name| {
                rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o700))
            })?;
        }
        self.later(path, meta)?;
        // The lower directory is gone, and this one took its name: nothing of it may shine through.
        if hidden { self.opaque(path) } else { Ok(()) }
    }

    pub(crate) fn symlink(&mut self, path: &Path, target: &OsStr, meta: &Meta) -> Result<(), UnpackError> {
        self.put(path, "symlinkat", |dir, name| rustix::fs::symlinkat(target, dir, name))?;
        self.finish_in_parent(path, FileType::Symlink, meta)
    }

    /// A second name for a file of this layer.
    pub(crate) fn hard_link(&mut self, path: &Path, target: &Path) -> Result<(), UnpackError> {
        let Some(target_name) = target.file_name() else {
            return Err(self.refused("its hard link is to the root of the layer"));
        };
        let target_dir = target.parent().unwrap_or(Path::new(""));
        let from = self
            .open_dir(target_dir)
            .map_err(|_| self.refused("its hard link is to no file of this layer"))?;
        let (dir, name) = self.parent_of(path)?;
        let inode = |dir: &OwnedFd, name: &OsStr| {
            rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|s| (s.st_dev, s.st_ino))
        };
        match (inode(&from, target_name), inode(&dir, name)) {
            (Err(_), _) => return Err(self.refused("its hard link is to no file of this layer")),
            (Ok(a), Ok(b)) if a == b => return Ok(()),
            _ => {}
        }
        self.put(path, "linkat", |dir, name| {
            rustix::fs::linkat(&from, target_name, dir, name, AtFlags::empty())
        })
    }

    /// A fifo or a device.
    pub(crate) fn node(
        &mut self,
        path: &Path,
        kind: FileType,
        device: (u32, u32),
        meta: &Meta,
    ) -> Result<(), UnpackError> {
        self.put(path, "mknodat", |dir, name| mknod(dir, name, kind, device))?;
        self.finish_in_parent(path, kind, meta)
    }

    /// Hides `path` of the layers below: a device 0:0 (overlayfs.rst, "whiteouts and opaque
    /// directories"). A name of this layer itself is not hidden by it (layer.md, "Whiteouts").
    pub(crate) fn whiteout(&mut self, path: &Path) -> Result<(), UnpackError> {
        let (dir, name) = self.parent_of(path)?;
        match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => self.opaque(path),
            Ok(_) => Ok(()),
            Err(_) => {
                self.put(path, "mknodat", |dir, name| mknod(dir, name, FileType::CharacterDevice, (0, 0)))
            }
        }
    }

    /// Hides what the layers below have in this directory.
    pub(crate) fn opaque(&mut self, path: &Path) -> Result<(), UnpackError> {
        let dir = self.ensure_dir(path)?;
        // A descriptor that was opened with O_PATH takes no attribute (open(2)); its name in /proc does.
        let name = format!("/proc/self/fd/{}", dir.as_raw_fd());
        rustix::fs::setxattr(name, self.opaque_xattr, b"y", XattrFlags::empty())
            .map_err(self.error("setxattr overlay.opaque"))
    }

    /// Gives the directories their metadata, children first, and tells what was left out.
    pub(crate) fn finish(mut self) -> Result<Vec<String>, UnpackError> {
        self.parent = None;
        for (path, Later { inode, meta }) in std::mem::take(&mut self.directories).into_iter().rev() {
            self.name = path.display().to_string();
            // A later entry may have put something else there, which has its own metadata.
            let Ok(dir) = self.open_dir(&path) else { continue };
            if rustix::fs::fstat(&dir).map_err(self.error("fstat"))?.st_ino != inode {
                continue;
            }
            self.finish_at(dir.as_fd(), OsStr::new("."), FileType::Directory, &meta)?;
        }
        Ok(self.skipped)
    }

    fn finish_in_parent(&mut self, path: &Path, kind: FileType, meta: &Meta) -> Result<(), UnpackError> {
        let (dir, name) = self.parent_of(path)?;
        self.finish_at((*dir).as_fd(), name, kind, meta)
    }

    /// Owner first, since a change of owner takes set-uid bits and capabilities away (chown(2)); the
    /// mode last, since it may close the file to us.
    fn finish_at(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        kind: FileType,
        meta: &Meta,
    ) -> Result<(), UnpackError> {
        if self.owners == Owners::Keep && (meta.uid, meta.gid) != self.own {
            let (uid, gid) = (Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)));
            let done = rustix::fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
            done.map_err(|e| self.owner_error(e, meta))?;
        }
        // There is no setxattrat(2) before Linux 6.13.
        let full = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
        for (key, value) in meta.xattrs.iter().chain(&self.owner_to_keep(kind, meta)) {
            match rustix::fs::lsetxattr(&full, OsStr::from_bytes(key), value, XattrFlags::empty()) {
                // As Docker: what this file system, or this user namespace, does not take is left out.
                Err(Errno::OPNOTSUPP | Errno::PERM) => {
                    self.skip(&format!("attribute {}", String::from_utf8_lossy(key)));
                }
                other => other.map_err(self.error("setxattr"))?,
            }
        }
        rustix::fs::utimensat(dir, name, &times(meta), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.error("utimensat"))?;
        if kind == FileType::Symlink {
            return Ok(());
        }
        rustix::fs::chmodat(dir, name, Mode::from_raw_mode(meta.mode), AtFlags::empty())
            .map_err(self.error("fchmodat"))
    }

    /// See [`Owners::Single`].
    fn owner_to_keep(&self, kind: FileType, meta: &Meta) -> Option<(Vec<u8>, Vec<u8>)> {
        let carries = matches!(kind, FileType::RegularFile | FileType::Directory);
        let wanted = self.owners == Owners::Single && carries && (meta.uid, meta.gid) != (0, 0);
        wanted.then(|| (OWNER_XATTR.into(), format!("{}:{}", meta.uid, meta.gid).into()))
    }

    fn owner_error(&self, errno: Errno, meta: &Meta) -> UnpackError {
        match errno {
            Errno::INVAL => UnpackError::Owner { name: self.name.clone(), uid: meta.uid, gid: meta.gid },
            other => self.error("chown")(other),
        }
    }

    fn refused(&self, why: &'static str) -> UnpackError {
        UnpackError::Refused { name: self.name.clone(), why }
    }

    /// Makes `path`; what has that name already goes, a directory with all that is in it.
    fn put<T>(
        &mut self,
        path: &Path,
        call: &'static str,
        make: impl Fn(BorrowedFd<'_>, &OsStr) -> Result<T, Errno>,
    ) -> Result<T, UnpackError> {
        let (dir, name) = self.parent_of(path)?;
        let made = match make((*dir).as_fd(), name) {
            Err(Errno::EXIST) => {
                // Its descriptor, or one below it, may be the one that is kept.
                self.parent = None;
                remove_tree((*dir).as_fd(), name).map_err(self.error("unlinkat"))?;
                make((*dir).as_fd(), name)
            }
            made => made,
        };
        made.map_err(self.error(call))
    }

    /// The directory that holds `path`, made where it is missing, and the name within it.
    fn parent_of<'p>(&mut self, path: &'p Path) -> Result<(Rc<OwnedFd>, &'p OsStr), UnpackError> {
        let name = path.file_name().unwrap_or(OsStr::new("."));
        let parent = path.parent().unwrap_or(Path::new(""));
        if let Some((kept, dir)) = &self.parent
            && kept == parent
        {
            return Ok((Rc::clone(dir), name));
        }
        let dir = Rc::new(self.ensure_dir(parent)?);
        self.parent = Some((parent.to_owned(), Rc::clone(&dir)));
        Ok((dir, name))
    }

    fn open_dir(&self, path: &Path) -> Result<OwnedFd, Errno> {
        match sys::open_in_root(self.root.as_fd(), path, PATH_ONLY, Mode::empty()).map_err(errno) {
            // Older than 5.6 or filtered; or somebody renames directories anywhere on this machine,
            // and the kernel can't be sure that a `..` stayed inside (openat2(2)).
            Err(Errno::NOSYS | Errno::AGAIN) => open_dir_by_hand(self.root.as_fd(), path),
            other => other,
        }
    }

    /// Opens a directory. What is missing of it is made: layers don't always name the parents.
    fn ensure_dir(&mut self, path: &Path) -> Result<OwnedFd, UnpackError> {
        match self.open_dir(path) {
            Err(Errno::NOENT) => {}
            other => return other.map_err(self.error("openat2")),
        }
        let mut sofar = PathBuf::new();
        for part in path {
            let dir = self.open_dir(&sofar).map_err(self.error("openat2"))?;
            sofar.push(part);
            match rustix::fs::mkdirat(&dir, part, Mode::from_raw_mode(0o755)) {
                Ok(()) => self.later(&sofar, Meta { mode: 0o755, ..Meta::default() })?,
                Err(Errno::EXIST) => {}
                Err(e) => return Err(self.error("mkdirat")(e)),
            }
        }
        self.open_dir(path).map_err(self.error("openat2"))
    }

    fn later(&mut self, path: &Path, meta: Meta) -> Result<(), UnpackError> {
        let dir = self.open_dir(path).map_err(self.error("openat2"))?;
        let inode = rustix::fs::fstat(&dir).map_err(self.error("fstat"))?.st_ino;
        self.directories.insert(path.to_owned(), Later { inode, meta });
        Ok(())
    }
}

fn times(meta: &Meta) -> Timestamps {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let set = |(seconds, nanos): (i64, u32)| Timespec { tv_sec: seconds, tv_nsec: i64::from(nanos) };
    let mtime = meta.mtime.map_or(omit, set);
    Timestamps { last_access: mtime, last_modification: mtime }
}

fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn mknod(dir: BorrowedFd<'_>, name: &OsStr, kind: FileType, device: (u32, u32)) -> Result<(), Errno> {
    sys::mknodat(dir, Path::new(name), kind, Mode::from_raw_mode(0o600), device).map_err(errno)
}

fn errno(e: sys::SysError) -> Errno {
    Errno::from_raw_os_error(e.errno() as i32)
}
