//! A layer becomes a directory that overlayfs can stack (layer.md, "Applying Changesets").
//!
//! The tar may come from an enemy. Each name is taken apart here and refused by name where it leaves
//! the layer; every path is then resolved by the kernel inside the layer ([`crate::place`]).
//! Whiteouts (`.wh.name`) become those of overlayfs, so that nobody ever copies a whole tree.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use tar::EntryType;

use crate::compress::Plain;
use crate::place::{Meta, Place};
use crate::tarfile::{Entry, TarReader};
use crate::{Digest, Hashing, UnpackError};

/// To whom the files on disk belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// To whom the tar says, through the id map of this user namespace.
    Keep,
    /// All to us, since the id map has no other id. The owner in the tar is kept beside the file in
    /// [`OWNER_XATTR`] (files and directories alone: nothing else may carry such an attribute).
    Single,
}

/// Where [`Owners::Single`] keeps an owner other than root: `uid:gid` in decimal.
pub(crate) const OWNER_XATTR: &str = "user.minidocker.owner";

/// How to unpack.
#[derive(Debug, Clone, Copy)]
pub struct UnpackOptions {
    /// Whether device nodes are made. Where not, they are left out and named in
    /// [`Unpacked::skipped`], as Docker leaves them out in a user namespace (mknod(2): EPERM).
    pub devices: bool,
    /// To whom the files belong.
    pub owners: Owners,
    /// Whether overlay's attributes are `user.overlay.*`, as the mount option `userxattr` wants
    /// (overlayfs.rst, "User xattr"), in place of `trusted.overlay.*`.
    pub userxattr: bool,
    /// The most bytes that all the files may have together.
    pub max_bytes: u64,
}

impl UnpackOptions {
    /// For root of the first user namespace.
    #[must_use]
    pub fn root() -> Self {
        Self { devices: true, owners: Owners::Keep, userxattr: false, max_bytes: u64::MAX }
    }

    /// For root of a user namespace.
    #[must_use]
    pub fn rootless(owners: Owners) -> Self {
        Self { devices: false, owners, userxattr: true, max_bytes: u64::MAX }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The digest of the tar uncompressed, of every byte up to the end of the stream.
    pub diff_id: Digest,
    /// The number of entries in the tar.
    pub entries: u64,
    /// The bytes in all files together.
    pub bytes: u64,
    /// What could not be made here: device nodes, attributes that the file system does not take.
    pub skipped: Vec<String>,
}

/// Unpacks the layer that `reader` gives (a tar, or one in gzip) into the empty directory `into`.
///
/// Nothing is ever made outside of `into`. After an error what is there must be thrown away.
///
/// # Errors
/// [`UnpackError::Refused`] for `..` in a name, a hard link that leaves the layer, overlay's own
/// attributes, a device 0:0 (an overlay whiteout) and unknown kinds; `Read`, `Make`, `Owner`, `TooBig`.
pub fn unpack_layer(
    reader: impl Read,
    into: &Path,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    let read_error = |source| UnpackError::Read { name: None, source };
    let place = Place::open(into, options)?;
    let plain = Plain::new(reader).map_err(read_error)?;
    let mut work = Work { tar: TarReader::new(Hashing::new(plain)), place, options, entries: 0, bytes: 0 };
    let mut last = None;
    while let Some(entry) =
        work.tar.next_entry().map_err(|source| UnpackError::Read { name: last.clone(), source })?
    {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        work.entry(&name, entry)?;
        last = Some(name);
    }
    // The diff id is that of the whole stream: writers pad the archive to 10 KiB.
    let mut hashing = work.tar.into_inner();
    io::copy(&mut hashing, &mut io::sink()).map_err(read_error)?;
    let skipped = work.place.finish()?;
    let (diff_id, _, _) = hashing.finish();
    Ok(Unpacked { diff_id, entries: work.entries, bytes: work.bytes, skipped })
}

struct Work<'a, R> {
    tar: TarReader<R>,
    place: Place,
    options: &'a UnpackOptions,
    entries: u64,
    bytes: u64,
}

impl<R: Read> Work<'_, R> {
    fn entry(&mut self, name: &str, entry: Entry) -> Result<(), UnpackError> {
        let refused = |why| UnpackError::Refused { name: name.to_owned(), why };
        self.entries += 1;
        self.place.at(name);
        let path = relative(&entry.name).map_err(refused)?;
        if entry.xattrs.iter().any(|(key, _)| is_overlays(key)) {
            return Err(refused("an attribute of overlayfs would change what other layers show"));
        }
        let Some(file_name) = path.file_name() else {
            return match entry.kind {
                EntryType::Directory => self.place.directory(&path, meta(&entry)),
                _ => Err(refused("the root of the layer can only be a directory")),
            };
        };
        if let Some(hidden) = file_name.as_bytes().strip_prefix(b".wh.") {
            return self.whiteout(&path, hidden).map_err(|e| e.unwrap_or_else(refused));
        }
        match entry.kind {
            EntryType::Regular | EntryType::Continuous => self.file(name, &path, &entry),
            EntryType::Directory => self.place.directory(&path, meta(&entry)),
            EntryType::Symlink => self.place.symlink(&path, OsStr::from_bytes(&entry.link), &meta(&entry)),
            EntryType::Link => {
                let target = relative(&entry.link).map_err(|_| refused("its hard link leaves the layer"))?;
                self.place.hard_link(&path, &target)
            }
            EntryType::Fifo => self.place.node(&path, rustix::fs::FileType::Fifo, (0, 0), &meta(&entry)),
            EntryType::Char | EntryType::Block => {
                self.device(&path, &entry).map_err(|e| e.unwrap_or_else(refused))
            }
            _ => Err(refused("a kind of entry that no layer has")),
        }
    }

    fn file(&mut self, name: &str, path: &Path, entry: &Entry) -> Result<(), UnpackError> {
        let size = self.tar.left();
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.options.max_bytes {
            return Err(UnpackError::TooBig { limit: self.options.max_bytes });
        }
        let mut file = self.place.new_file(path)?;
        io::copy(&mut self.tar, &mut file)
            .map_err(|source| UnpackError::Read { name: Some(name.to_owned()), source })?;
        self.place.finish_file(path, &meta(entry))
    }

    fn device(&mut self, path: &Path, entry: &Entry) -> Result<(), Refusal> {
        if entry.device == (0, 0) && entry.kind == EntryType::Char {
            return Err(Refusal::Why("a device 0:0 would hide a file of another layer"));
        }
        if !self.options.devices {
            self.place.skip("a device node: only root of the host makes those");
            return Ok(());
        }
        let kind = match entry.kind {
            EntryType::Char => rustix::fs::FileType::CharacterDevice,
            _ => rustix::fs::FileType::BlockDevice,
        };
        Ok(self.place.node(path, kind, entry.device, &meta(entry))?)
    }

    /// layer.md, "Whiteouts" and "Opaque Whiteout".
    fn whiteout(&mut self, path: &Path, hidden: &[u8]) -> Result<(), Refusal> {
        match hidden {
            b".wh..opq" => Ok(self.place.opaque(path.parent().unwrap_or(Path::new("")))?),
            // Notes of aufs to itself (.wh..wh.plnk, .wh..wh.aufs): Docker skips them as well.
            _ if hidden.starts_with(b".wh.") => Ok(()),
            b"" | b"." | b".." => Err(Refusal::Why("a whiteout of no file")),
            _ => Ok(self.place.whiteout(&path.with_file_name(OsStr::from_bytes(hidden)))?),
        }
    }
}

/// An error of the place, or a reason to which the entry's name is still to be added.
enum Refusal {
    Why(&'static str),
    Error(UnpackError),
}

impl Refusal {
    fn unwrap_or_else(self, refused: impl FnOnce(&'static str) -> UnpackError) -> UnpackError {
        match self {
            Self::Why(why) => refused(why),
            Self::Error(error) => error,
        }
    }
}

impl From<UnpackError> for Refusal {
    fn from(error: UnpackError) -> Self {
        Self::Error(error)
    }
}

fn meta(entry: &Entry) -> Meta {
    Meta {
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: Some(entry.mtime),
        xattrs: entry.xattrs.clone(),
    }
}

/// Also the overlay's own escapes (`trusted.overlay.overlay.`), which begin alike.
fn is_overlays(key: &[u8]) -> bool {
    key.starts_with(b"trusted.overlay.") || key.starts_with(b"user.overlay.")
}

/// A name without `/` in front and `.` within. Empty is the root of the layer.
fn relative(name: &[u8]) -> Result<PathBuf, &'static str> {
    if name.is_empty() {
        return Err("it has no name");
    }
    if name.contains(&0) {
        return Err("its name holds a NUL");
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

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
