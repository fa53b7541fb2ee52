//! Making files below one directory, whatever the names and links in it say.
//!
//! The kernel resolves each parent inside the directory (openat2(2), RESOLVE_IN_ROOT): a symbolic
//! link of the layer, absolute or not, leads nowhere else. The last part of a name is never followed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use tar::EntryType;

use crate::error::io_error;
use crate::tarfile::Entry;
use crate::unpack::OWNER_XATTR;
use crate::walk::{open_dir_by_hand, proc_path, remove_tree};
use crate::{Error, Owners, UnpackOptions};

const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directory that is filled.
pub(crate) struct Place<'a> {
    root: OwnedFd,
    options: &'a UnpackOptions,
    /// What new files belong to without a chown.
    own: (u32, u32),
    /// The parent of the last file: tars are sorted, so it is mostly that of the next one.
    parent: Option<(PathBuf, Rc<OwnedFd>)>,
    /// Directories, by inode, get their metadata last: a child changes times, and a mode may bar us.
    directories: BTreeMap<PathBuf, (u64, Entry)>,
    /// The entry that is being made, for errors.
    name: String,
    skipped: Vec<String>,
    /// An owner other than root was only noted.
    pub(crate) owners_aside: bool,
}

impl<'a> Place<'a> {
    pub(crate) fn open(into: &Path, options: &'a UnpackOptions) -> Result<Self, Error> {
        let root =
            rustix::fs::openat(CWD, into, PATH_ONLY, Mode::empty()).map_err(io_error("openat", into))?;
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let (parent, directories, skipped, owners_aside) = Default::default();
        let name = "(beginning)".to_owned();
        Ok(Self { root, options, own, parent, directories, name, skipped, owners_aside })
    }

    /// Makes what `entry` says, or refuses it.
    pub(crate) fn entry(&mut self, entry: Entry, contents: &mut impl Read) -> Result<(), Error> {
        self.name = String::from_utf8_lossy(&entry.name).into_owned();
        let path = relative(&entry.name).map_err(self.refused())?;
        if entry.xattrs.iter().any(|(key, _)| is_overlays(key)) {
            return Err(self.refused()("an attribute of overlayfs would change what other layers show"));
        }
        let Some(name) = path.file_name() else {
            return match entry.kind {
                EntryType::Directory => self.later(&path, entry),
                _ => Err(self.refused()("the root of the layer can only be a directory")),
            };
        };
        if let Some(hidden) = name.as_bytes().strip_prefix(b".wh.") {
            return self.whiteout(&path, hidden);
        }
        match entry.kind {
            EntryType::Regular | EntryType::Continuous => {
                let mode = Mode::from_raw_mode(0o600);
                let new = |dir: BorrowedFd<'_>, name: &OsStr| rustix::fs::openat(dir, name, NEW_FILE, mode);
                let mut file = File::from(self.put(&path, "openat", new)?);
                self.fill(&mut file, contents)?;
            }
            EntryType::Directory => return self.directory(&path, entry),
            EntryType::Symlink => {
                let text = OsStr::from_bytes(&entry.link);
                self.put(&path, "symlinkat", |dir, name| rustix::fs::symlinkat(text, dir, name))?;
            }
            EntryType::Link => return self.hard_link(&path, &entry.link),
            EntryType::Fifo => self.node(&path, FileType::Fifo, (0, 0))?,
            EntryType::Char if entry.device == (0, 0) => {
                return Err(self.refused()("a device 0:0 would hide a file of another layer"));
            }
            EntryType::Char | EntryType::Block if self.options.rootless => {
                self.skip("a device node: only root of the host makes those");
                return Ok(());
            }
            EntryType::Char => self.node(&path, FileType::CharacterDevice, entry.device)?,
            EntryType::Block => self.node(&path, FileType::BlockDevice, entry.device)?,
            _ => return Err(self.refused()("a kind of entry that no layer has")),
        }
        let (dir, name) = self.parent_of(&path)?;
        self.finish_at((*dir).as_fd(), name, &entry)
    }

    /// As io::copy, which doesn't tell whose error it was: the layer's, or that of a full disk.
    pub(crate) fn fill(&self, file: &mut File, contents: &mut impl Read) -> Result<(), Error> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match contents.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => file.write_all(&buffer[..read]).map_err(self.error("write"))?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.read_error(e)),
            }
        }
    }

    /// Gives the directories their metadata, children first, and tells what was left out.
    pub(crate) fn finish(&mut self) -> Result<Vec<String>, Error> {
        self.parent = None;
        for (path, (inode, entry)) in std::mem::take(&mut self.directories).into_iter().rev() {
            self.name = path.display().to_string();
            // A later entry may have put something else there, which has its own metadata.
            let Ok(dir) = self.open_dir(&path, false) else { continue };
            if self.inode(&dir)? == inode {
                self.finish_at(dir.as_fd(), OsStr::new("."), &entry)?;
            }
        }
        Ok(std::mem::take(&mut self.skipped))
    }

    fn skip(&mut self, why: &str) {
        self.skipped.push(format!("{}: {why}", self.name));
    }

    fn refused(&self) -> impl Fn(&'static str) -> Error + use<> {
        let name = self.name.clone();
        move |why| Error::Refused { name: name.clone(), why }
    }

    /// The stream broke off in the entry that was made last.
    pub(crate) fn read_error(&self, source: io::Error) -> Error {
        Error::Read { name: self.name.clone(), source }
    }

    fn error<E: Into<io::Error>>(&self, call: &'static str) -> impl FnOnce(E) -> Error + use<E> {
        let name = self.name.clone();
        move |e| Error::Make { source: sys::SysError::of(call, format!("{name:?}"), e), name }
    }

    /// A directory: one that is there already stays, with what is in it.
    fn directory(&mut self, path: &Path, entry: Entry) -> Result<(), Error> {
        let there = self.stat(path)?;
        if there.as_ref().map(kind_of) != Some(FileType::Directory) {
            self.put(path, "mkdirat", |dir, name| rustix::fs::mkdirat(dir, name, Mode::RWXU))?;
        }
        self.later(path, entry)?;
        // The lower directory is gone, and this one took its name: nothing of it may shine through.
        let hidden = there.is_some_and(|s| kind_of(&s) == FileType::CharacterDevice && s.st_rdev == 0);
        if hidden { self.opaque(path) } else { Ok(()) }
    }

    fn later(&mut self, path: &Path, entry: Entry) -> Result<(), Error> {
        let dir = self.open_dir(path, false).map_err(self.error("openat2"))?;
        self.directories.insert(path.to_owned(), (self.inode(&dir)?, entry));
        Ok(())
    }

    fn inode(&self, dir: &OwnedFd) -> Result<u64, Error> {
        Ok(rustix::fs::fstat(dir).map_err(self.error("fstat"))?.st_ino)
    }

    /// A second name for a file of this layer.
    fn hard_link(&mut self, path: &Path, target: &[u8]) -> Result<(), Error> {
        let refused = self.refused();
        let missing = |_| refused("its hard link is to no file of this layer");
        let target = relative(target).map_err(|_| refused("its hard link leaves the layer"))?;
        let target_name =
            target.file_name().ok_or_else(|| refused("its hard link is to the layer's root"))?;
        let from = self.open_dir(parent(&target), false).map_err(missing)?;
        let wanted = rustix::fs::statat(&from, target_name, AtFlags::SYMLINK_NOFOLLOW).map_err(missing)?;
        if self.stat(path)?.is_some_and(|there| there.st_ino == wanted.st_ino) {
            return Ok(());
        }
        self.put(path, "linkat", |dir, name| {
            rustix::fs::linkat(&from, target_name, dir, name, AtFlags::empty())
        })
    }

    /// A fifo or a device.
    fn node(&mut self, path: &Path, kind: FileType, device: (u32, u32)) -> Result<(), Error> {
        self.put(path, "mknodat", |dir, name| {
            sys::mknodat(dir, Path::new(name), kind, Mode::from_raw_mode(0o600), device).map_err(errno)
        })
    }

    /// `.wh.` and `hidden` (layer.md, "Whiteouts" and "Opaque Whiteout").
    fn whiteout(&mut self, path: &Path, hidden: &[u8]) -> Result<(), Error> {
        match hidden {
            b".wh..opq" => return self.opaque(parent(path)),
            // Notes of aufs to itself (.wh..wh.plnk, .wh..wh.aufs): Docker skips them as well.
            _ if hidden.starts_with(b".wh.") => return Ok(()),
            b"" | b"." | b".." => return Err(self.refused()("a whiteout of no file")),
            _ => {}
        }
        let path = path.with_file_name(OsStr::from_bytes(hidden));
        // A device 0:0 hides the name in the layers below (overlayfs.rst, "whiteouts and opaque
        // directories"), but not what this layer itself brings (layer.md, "Whiteouts").
        match self.stat(&path)? {
            Some(there) if kind_of(&there) == FileType::Directory => self.opaque(&path),
            Some(_) => Ok(()),
            None => self.node(&path, FileType::CharacterDevice, (0, 0)),
        }
    }

    /// Hides what the layers below have in this directory.
    fn opaque(&mut self, path: &Path) -> Result<(), Error> {
        let dir = self.open_dir(path, true).map_err(self.error("openat2"))?;
        let key = if self.options.rootless { "user.overlay.opaque" } else { "trusted.overlay.opaque" };
        // A descriptor that was opened with O_PATH takes no attribute (open(2)); its name in /proc does.
        rustix::fs::setxattr(proc_path(dir.as_fd()), key, b"y", XattrFlags::empty())
            .map_err(self.error("setxattr overlay.opaque"))
    }

    /// Owner first, since a change of owner takes set-uid bits and capabilities away (chown(2)); the
    /// mode last, since it may close the file to us.
    fn finish_at(&mut self, dir: BorrowedFd<'_>, name: &OsStr, entry: &Entry) -> Result<(), Error> {
        let (uid, gid) = (entry.uid, entry.gid);
        if self.options.owners == Owners::Keep && (uid, gid) != self.own {
            let ids = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            match rustix::fs::chownat(dir, name, ids.0, ids.1, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::INVAL) => return Err(Error::Owner { name: self.name.clone(), uid, gid }),
                other => other.map_err(self.error("chown"))?,
            }
        }
        let carries = matches!(entry.kind, EntryType::Regular | EntryType::Continuous | EntryType::Directory);
        let foreign = self.options.owners == Owners::Single && (uid, gid) != (0, 0);
        self.owners_aside |= foreign;
        let owner = (foreign && carries).then(|| (OWNER_XATTR.into(), format!("{uid}:{gid}").into()));
        // There is no setxattrat(2) before Linux 6.13.
        let full = proc_path(dir).join(name);
        for (key, value) in entry.xattrs.iter().chain(&owner) {
            match rustix::fs::lsetxattr(&full, OsStr::from_bytes(key), value, XattrFlags::empty()) {
                // As Docker: what this file system, or this user namespace, does not take is left out.
                Err(Errno::OPNOTSUPP | Errno::PERM) => {
                    self.skip(&format!("attribute {}", String::from_utf8_lossy(key)));
                }
                other => other.map_err(self.error("setxattr"))?,
            }
        }
        let mtime = Timespec { tv_sec: entry.mtime.0, tv_nsec: entry.mtime.1.into() };
        let times = Timestamps { last_access: mtime, last_modification: mtime };
        rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.error("utimensat"))?;
        if entry.kind == EntryType::Symlink {
            return Ok(());
        }
        rustix::fs::chmodat(dir, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
            .map_err(self.error("fchmodat"))
    }

    /// What has that name now, if anything.
    fn stat(&mut self, path: &Path) -> Result<Option<Stat>, Error> {
        let (dir, name) = self.parent_of(path)?;
        Ok(rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).ok())
    }

    /// Makes `path`; what has that name already goes, a directory with all that is in it.
    fn put<T>(
        &mut self,
        path: &Path,
        call: &'static str,
        make: impl Fn(BorrowedFd<'_>, &OsStr) -> Result<T, Errno>,
    ) -> Result<T, Error> {
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

    /// The directory that holds `path`, made where it is missing (layers don't always name it), and
    /// the name within it.
    fn parent_of<'p>(&mut self, path: &'p Path) -> Result<(Rc<OwnedFd>, &'p OsStr), Error> {
        let name = path.file_name().unwrap_or(OsStr::new("."));
        let parent = parent(path);
        if let Some((kept, dir)) = &self.parent
            && kept == parent
        {
            return Ok((Rc::clone(dir), name));
        }
        let dir = Rc::new(self.open_dir(parent, true).map_err(self.error("openat2"))?);
        self.parent = Some((parent.to_owned(), Rc::clone(&dir)));
        Ok((dir, name))
    }

    fn open_dir(&self, path: &Path, make: bool) -> Result<OwnedFd, Errno> {
        match sys::open_in_root(self.root.as_fd(), path, PATH_ONLY, Mode::empty()).map_err(errno) {
            Err(Errno::NOENT) if make => open_dir_by_hand(self.root.as_fd(), path, true),
            // Older than 5.6, or filtered (by an old libseccomp with EPERM); or somebody renames directories
            // anywhere on this machine, and the kernel can't be sure that a `..` stayed inside (openat2(2)).
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => open_dir_by_hand(self.root.as_fd(), path, make),
            other => other,
        }
    }
}

/// A name without `/` in front and `.` within. Empty is the root of the layer.
fn relative(name: &[u8]) -> Result<PathBuf, &'static str> {
    match name {
        [] => return Err("it has no name"),
        _ if name.contains(&0) => return Err("its name holds a NUL"),
        _ => {}
    }
    let mut path = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::ParentDir => return Err("its name holds .., which leaves the layer"),
            _ => {}
        }
    }
    Ok(path)
}

/// Also the overlay's own escapes (`trusted.overlay.overlay.`), which begin alike.
fn is_overlays(key: &[u8]) -> bool {
    key.starts_with(b"trusted.overlay.") || key.starts_with(b"user.overlay.")
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn kind_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn errno(e: sys::SysError) -> Errno {
    Errno::from_raw_os_error(e.errno() as i32)
}
