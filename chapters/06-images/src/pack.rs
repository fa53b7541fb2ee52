//! A directory becomes a layer: one tar, the same bytes for the same files (layer.md, "Creating").
//!
//! Names are sorted, owners are numbers alone, times are whole seconds. What overlayfs keeps as a
//! device 0:0 or as an attribute becomes a whiteout file again.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use tar::EntryType;

use crate::tarfile::Xattrs;
use crate::tarwrite::{Record, TarWriter};
use crate::unpack::OWNER_XATTR;
use crate::{Digest, Hashing, Owners, PackError};

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
/// [`PackError::Read`], `Changed` where a file shrank under our eyes, `Write`.
pub fn pack_layer(dir: &Path, writer: impl Write, options: &PackOptions) -> Result<Packed, PackError> {
    let (packed, mut writer): (_, Box<dyn Write + '_>) = match options.compression {
        Compression::None => {
            let (packed, writer) = pack_plain(dir, writer, options)?;
            (packed, Box::new(writer))
        }
        Compression::Gzip(level) => {
            let gzip = GzEncoder::new(writer, flate2::Compression::new(level));
            let (packed, gzip) = pack_plain(dir, gzip, options)?;
            (packed, Box::new(gzip.finish().map_err(PackError::Write)?))
        }
    };
    writer.flush().map_err(PackError::Write)?;
    Ok(packed)
}

fn pack_plain<W: Write>(dir: &Path, writer: W, options: &PackOptions) -> Result<(Packed, W), PackError> {
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, dir, how, Mode::empty()).map_err(read_error(dir))?;
    let stat = rustix::fs::fstat(&root).map_err(read_error(dir))?;
    let tar = TarWriter::new(Hashing::new(BufWriter::with_capacity(128 << 10, writer)));
    let mut walk = Walk { tar, options, links: HashMap::new(), entries: 0, skipped: Vec::new() };
    walk.add(root.as_fd(), OsStr::new("."), Path::new(""), &stat)?;
    walk.directory(&root, Path::new(""))?;
    let (diff_id, size, buffer) = walk.tar.finish().map_err(PackError::Write)?.finish();
    let writer = buffer.into_inner().map_err(|e| PackError::Write(e.into_error()))?;
    Ok((Packed { diff_id, size, entries: walk.entries, skipped: walk.skipped }, writer))
}

struct Walk<'a, W: Write> {
    tar: TarWriter<Hashing<W>>,
    options: &'a PackOptions,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), PathBuf>,
    entries: u64,
    skipped: Vec<PathBuf>,
}

impl<W: Write> Walk<'_, W> {
    /// Everything in `dir`, sorted by bytes, each directory followed by what is in it.
    fn directory(&mut self, dir: &OwnedFd, path: &Path) -> Result<(), PackError> {
        if is_opaque(&PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()))) {
            self.empty_file(&path.join(".wh..wh..opq"))?;
        }
        for name in names(dir).map_err(read_error(path))? {
            let path = path.join(&name);
            let stat =
                rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(read_error(&path))?;
            self.add(dir.as_fd(), &name, &path, &stat)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let below = rustix::fs::openat(dir, &name, how, Mode::empty()).map_err(read_error(&path))?;
                self.directory(&below, &path)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, dir: BorrowedFd<'_>, name: &OsStr, path: &Path, stat: &Stat) -> Result<(), PackError> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::CharacterDevice && stat.st_rdev == 0 {
            let hidden = [b".wh.", name.as_bytes()].concat();
            return self.empty_file(&path.with_file_name(OsString::from_vec(hidden)));
        }
        if kind == FileType::Socket {
            self.skipped.push(path.to_owned());
            return Ok(());
        }
        self.entries += 1;
        let full = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
        let mut record = self.record(path, kind, stat, &full)?;
        if kind == FileType::Symlink {
            let target = rustix::fs::readlinkat(dir, name, Vec::new()).map_err(read_error(path))?;
            record.link = target.into_bytes();
        }
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                record.kind = EntryType::Link;
                record.link = first.as_os_str().as_bytes().to_vec();
                record.xattrs.clear();
                return self.tar.append(&record, io::empty(), 0).map_err(PackError::Write);
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        if kind == FileType::RegularFile {
            return self.file(dir, name, path, &record);
        }
        self.tar.append(&record, io::empty(), 0).map_err(PackError::Write)
    }

    fn file(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        record: &Record,
    ) -> Result<(), PackError> {
        let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(dir, name, how, Mode::empty()).map_err(read_error(path))?);
        let size = file.metadata().map_err(|source| PackError::Read { path: path.to_owned(), source })?.len();
        let mut contents = Watched { inner: file.take(size), error: None, bytes: 0 };
        let written = self.tar.append(record, &mut contents, size);
        if let Some(source) = contents.error {
            return Err(PackError::Read { path: path.to_owned(), source });
        }
        written.map_err(PackError::Write)?;
        if contents.bytes < size {
            return Err(PackError::Changed { path: path.to_owned() });
        }
        Ok(())
    }

    fn empty_file(&mut self, path: &Path) -> Result<(), PackError> {
        let record = Record {
            name: path.as_os_str().as_bytes().to_vec(),
            kind: EntryType::Regular,
            mode: 0o600,
            mtime: self.options.mtime.unwrap_or(0),
            ..Record::default()
        };
        self.entries += 1;
        self.tar.append(&record, io::empty(), 0).map_err(PackError::Write)
    }

    fn record(&self, path: &Path, kind: FileType, stat: &Stat, full: &Path) -> Result<Record, PackError> {
        let mut name = path.as_os_str().as_bytes().to_vec();
        let kind = match kind {
            FileType::Directory => {
                if name.is_empty() {
                    name.push(b'.');
                }
                name.push(b'/');
                EntryType::Directory
            }
            FileType::Symlink => EntryType::Symlink,
            FileType::Fifo => EntryType::Fifo,
            FileType::CharacterDevice => EntryType::Char,
            FileType::BlockDevice => EntryType::Block,
            _ => EntryType::Regular,
        };
        let (uid, gid) = match self.options.owners {
            Owners::Keep => (stat.st_uid, stat.st_gid),
            Owners::Single => kept_owner(full).unwrap_or((0, 0)),
        };
        Ok(Record {
            name,
            link: Vec::new(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid,
            gid,
            mtime: self.options.mtime.unwrap_or(stat.st_mtime),
            device: (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
            xattrs: xattrs(full).map_err(read_error(path))?,
        })
    }
}

/// Tells an error of the file from one of the tar.
struct Watched<R> {
    inner: R,
    error: Option<io::Error>,
    bytes: u64,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buf) {
            Ok(n) => {
                self.bytes += n as u64;
                Ok(n)
            }
            Err(e) => {
                let same = io::Error::from(e.kind());
                self.error = Some(e);
                Err(same)
            }
        }
    }
}

fn names(dir: &OwnedFd) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort();
    Ok(names)
}

/// As the kernel reads it: `y`, for root or under `userxattr` (overlayfs.rst).
pub(crate) fn is_opaque(dir: &Path) -> bool {
    let says_yes = |key: &str| {
        let mut value = [0_u8; 2];
        rustix::fs::getxattr(dir, key, &mut value[..]).is_ok_and(|n| value[..n] == *b"y")
    };
    says_yes("trusted.overlay.opaque") || says_yes("user.overlay.opaque")
}

fn kept_owner(full: &Path) -> Option<(u32, u32)> {
    let mut value = [0_u8; 24];
    let n = rustix::fs::lgetxattr(full, OWNER_XATTR, &mut value[..]).ok()?;
    let (uid, gid) = std::str::from_utf8(&value[..n]).ok()?.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

/// What belongs to the file wherever it lies: its capabilities and the user's own attributes.
/// Labels of the host (security.selinux) and overlay's notes stay.
fn xattrs(full: &Path) -> Result<Xattrs, Errno> {
    let mut list = vec![0_u8; 64 << 10];
    let n = match rustix::fs::llistxattr(full, &mut list[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        other => other?,
    };
    let mut found = Vec::new();
    for key in list[..n].split(|b| *b == 0) {
        let user = key.starts_with(b"user.") && !key.starts_with(b"user.overlay.");
        if !(key == b"security.capability" || user) || key == OWNER_XATTR.as_bytes() {
            continue;
        }
        let mut value = vec![0_u8; 64 << 10];
        let n = rustix::fs::lgetxattr(full, OsStr::from_bytes(key), &mut value[..])?;
        value.truncate(n);
        found.push((key.to_vec(), portable(key, value)));
    }
    found.sort();
    Ok(found)
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

fn read_error<E: Into<io::Error>>(path: &Path) -> impl FnOnce(E) -> PackError + use<E> {
    let path = path.to_owned();
    move |e| PackError::Read { path, source: e.into() }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
