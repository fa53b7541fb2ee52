//! A directory becomes a layer: one tar, the same bytes for the same files (layer.md, "Creating").
//!
//! Names are sorted, owners are numbers alone, times are whole seconds. What overlayfs keeps as a
//! device 0:0 or as an attribute becomes a whiteout file again.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Take, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use tar::{Builder, EntryType};

use crate::error::io_error;
use crate::tarfile::{Entry, Pairs};
use crate::unpack::OWNER_XATTR;
use crate::walk::{names, proc_path};
use crate::{Digest, Error, Hashing, Owners};

/// What is put around the tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Nothing: the digest is the diff id.
    None,
    /// gzip of this level, 1 (fast) to 9 (small).
    Gzip(u32),
}

/// How to pack.
#[derive(Debug, Clone, Copy)]
pub struct PackOptions {
    /// To whom the files belong: as on disk, or root, but for those whose owner was kept aside.
    pub owners: Owners,
    /// One time for all files, in seconds since 1970, where the bytes shall not tell when they were made.
    pub mtime: Option<i64>,
    /// What is put around the tar.
    pub compression: Compression,
}

/// What was packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The digest of the tar. That of the blob, which may be compressed, is told by who stores it.
    pub diff_id: Digest,
    /// The bytes of the tar.
    pub size: u64,
    /// The number of files, directories and links.
    pub entries: u64,
    /// What a tar can't hold: sockets.
    pub skipped: Vec<PathBuf>,
}

/// Packs all that is below `dir` into `writer`. The directory itself is the first entry, `./`.
///
/// # Errors
/// [`Error::Io`], `Changed` where a file shrank under our eyes, `Write`.
pub fn pack_layer(dir: &Path, mut writer: impl Write, options: &PackOptions) -> Result<Packed, Error> {
    let packed = match options.compression {
        Compression::None => pack_plain(dir, &mut writer, options)?.0,
        Compression::Gzip(level) => {
            let gzip = GzEncoder::new(&mut writer, flate2::Compression::new(level));
            let (packed, gzip) = pack_plain(dir, gzip, options)?;
            gzip.finish().map_err(Error::write)?;
            packed
        }
    };
    writer.flush().map_err(Error::write)?;
    Ok(packed)
}

fn pack_plain<W: Write>(dir: &Path, writer: W, options: &PackOptions) -> Result<(Packed, W), Error> {
    let tar = Builder::new(Hashing::new(BufWriter::with_capacity(128 << 10, writer)));
    let mut walk = Walk { dir, tar, options, links: HashMap::new(), entries: 0, skipped: Vec::new() };
    walk.add(&dir.join("."), Path::new(""))?;
    let (diff_id, size, buffer) = walk.tar.into_inner().map_err(Error::write)?.finish();
    let writer = buffer.into_inner().map_err(|e| Error::write(e.into_error()))?;
    Ok((Packed { diff_id, size, entries: walk.entries, skipped: walk.skipped }, writer))
}

struct Walk<'a, W: Write> {
    dir: &'a Path,
    tar: Builder<Hashing<BufWriter<W>>>,
    options: &'a PackOptions,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
    entries: u64,
    skipped: Vec<PathBuf>,
}

impl<W: Write> Walk<'_, W> {
    /// Adds the file `path` of the layer, and all that is in it. `full` leads there over a descriptor
    /// of its directory: no link is followed, and no name is too long.
    fn add(&mut self, full: &Path, path: &Path) -> Result<(), Error> {
        let shown = self.dir.join(path);
        let meta = full.symlink_metadata().map_err(io_error("read", &shown))?;
        let mut entry = self.entry(path, meta.mode() & 0o7777, meta.mtime());
        entry.kind = match FileType::from_raw_mode(meta.mode()) {
            FileType::CharacterDevice if meta.rdev() == 0 => {
                let hidden = [b".wh.", path.file_name().unwrap_or_default().as_bytes()].concat();
                return self.empty_file(&path.with_file_name(OsStr::from_bytes(&hidden)));
            }
            FileType::Socket => {
                self.skipped.push(path.to_owned());
                return Ok(());
            }
            FileType::Directory => EntryType::Directory,
            FileType::Symlink => EntryType::Symlink,
            FileType::Fifo => EntryType::Fifo,
            FileType::CharacterDevice => EntryType::Char,
            FileType::BlockDevice => EntryType::Block,
            _ => EntryType::Regular,
        };
        entry.device = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
        (entry.uid, entry.gid) = match self.options.owners {
            Owners::Keep => (meta.uid(), meta.gid()),
            Owners::Single => kept_owner(full).unwrap_or((0, 0)),
        };
        let key = (meta.dev(), meta.ino());
        if entry.kind != EntryType::Directory && meta.nlink() > 1 {
            if let Some(first) = self.links.get(&key) {
                entry.link.clone_from(first);
                entry.kind = EntryType::Link;
                return self.append(&entry, io::empty(), 0);
            }
            self.links.insert(key, entry.name.clone());
        }
        entry.xattrs = xattrs(full).map_err(io_error("read", &shown))?;
        match entry.kind {
            EntryType::Directory => self.directory(full, path, entry),
            EntryType::Regular => {
                let file = open(full).map_err(io_error("read", &shown))?;
                let size = file.metadata().map_err(io_error("read", &shown))?.len();
                self.append(&entry, Contents { file: file.take(size), path: &shown }, size)
            }
            EntryType::Symlink => {
                let text = fs::read_link(full).map_err(io_error("read", &shown))?;
                self.append(&Entry { link: text.into_os_string().into_vec(), ..entry }, io::empty(), 0)
            }
            _ => self.append(&entry, io::empty(), 0),
        }
    }

    /// A directory, and everything in it, sorted by bytes.
    fn directory(&mut self, full: &Path, path: &Path, mut entry: Entry) -> Result<(), Error> {
        let start: &[u8] = if entry.name.is_empty() { b"./" } else { b"/" };
        entry.name.extend(start);
        self.append(&entry, io::empty(), 0)?;
        if hides_all_below(full) {
            self.empty_file(&path.join(".wh..wh..opq"))?;
        }
        let shown = self.dir.join(path);
        let dir = open(full).map_err(io_error("read", &shown))?;
        let mut names = names(dir.as_fd()).map_err(io_error("read", &shown))?;
        names.sort();
        names.iter().try_for_each(|name| self.add(&proc_path(dir.as_fd()).join(name), &path.join(name)))
    }

    fn empty_file(&mut self, path: &Path) -> Result<(), Error> {
        self.append(&self.entry(path, 0o600, 0), io::empty(), 0)
    }

    fn entry(&self, path: &Path, mode: u32, mtime: i64) -> Entry {
        let (name, mtime) = (path.as_os_str().as_bytes().to_vec(), (self.options.mtime.unwrap_or(mtime), 0));
        Entry { name, mode, mtime, ..Entry::default() }
    }

    fn append(&mut self, entry: &Entry, contents: impl Read, size: u64) -> Result<(), Error> {
        self.entries += 1;
        let written = entry.write(&mut self.tar, contents, size);
        written.map_err(|e| e.downcast::<Error>().unwrap_or_else(Error::write))
    }
}

/// A file that has as many bytes as its header says. Its errors pass through the tar as they are.
struct Contents<'a> {
    file: Take<File>,
    path: &'a Path,
}

impl Read for Contents<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buf) {
            Ok(0) if self.file.limit() > 0 && !buf.is_empty() => {
                Err(io::Error::other(Error::Changed { path: self.path.to_owned() }))
            }
            read => read.map_err(|e| io::Error::other(io_error("read", self.path)(e))),
        }
    }
}

/// A file that was just looked at; should it be a link or a fifo by now, we neither follow nor wait.
fn open(full: &Path) -> io::Result<File> {
    let how = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    File::options().read(true).custom_flags(how.bits().cast_signed()).open(full)
}

/// Whether a directory is opaque: nothing of the layers below it is to be seen.
///
/// overlayfs looks for that mark in every directory but the root of a layer, so whoever stacks layers
/// does that. It is read as the kernel does: `y`, for root or under `userxattr` (overlayfs.rst).
#[must_use]
pub fn hides_all_below(dir: &Path) -> bool {
    let keys = ["trusted.overlay.opaque", "user.overlay.opaque"];
    keys.iter().any(|key| xattr(dir, OsStr::new(key)).is_ok_and(|value| value == b"y"))
}

fn kept_owner(full: &Path) -> Option<(u32, u32)> {
    let value = xattr(full, OsStr::new(OWNER_XATTR)).ok()?;
    let (uid, gid) = std::str::from_utf8(&value).ok()?.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

/// What belongs to the file wherever it lies: its capabilities and the user's own attributes.
/// Labels of the host (security.selinux) and overlay's notes stay.
fn xattrs(full: &Path) -> Result<Pairs, Errno> {
    let mut list = vec![0_u8; XATTR_MAX];
    let n = match rustix::fs::llistxattr(full, &mut list[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        other => other?,
    };
    let mut found = Vec::new();
    for key in list[..n].split(|b| *b == 0) {
        let user = key.starts_with(b"user.") && !key.starts_with(b"user.overlay.");
        if (key == b"security.capability" || user) && key != OWNER_XATTR.as_bytes() {
            found.push((key.to_vec(), portable(key, xattr(full, OsStr::from_bytes(key))?)));
        }
    }
    found.sort();
    Ok(found)
}

/// The most bytes of a value, and of all the names of one file (xattr(7)).
const XATTR_MAX: usize = 64 << 10;

fn xattr(full: &Path, key: &OsStr) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0_u8; XATTR_MAX];
    let n = rustix::fs::lgetxattr(full, key, &mut value[..])?;
    value.truncate(n);
    Ok(value)
}

/// Revision 3 of a capability names the user namespace for which it counts, by the uid of its root
/// on this machine (capabilities(7)); in a layer that number means nothing. Revision 2 names none.
fn portable(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    // linux/capability.h: VFS_CAP_REVISION_3 in the top byte of a little-endian u32, 24 bytes in all.
    if key == b"security.capability" && value.len() == 24 && value[3] == 3 {
        value[3] = 2;
        value.truncate(20);
    }
    value
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
