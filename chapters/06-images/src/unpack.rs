//! A layer becomes a directory that overlayfs can stack (layer.md, "Applying Changesets").
//!
//! The tar may come from an enemy. Each name is taken apart and refused by name where it leaves the
//! layer; every path is then resolved by the kernel inside the layer ([`crate::place`]).
//! Whiteouts (`.wh.name`) become those of overlayfs, so that nobody ever copies a whole tree.

use std::io::{self, Read};
use std::path::Path;

use crate::compress::plain;
use crate::place::Place;
use crate::tarfile::TarReader;
use crate::{Digest, Error, Hashing};

/// To whom the files on disk belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// To whom the tar says, through the id map of this user namespace.
    Keep,
    /// All to us, since the id map has no other id. The owner in the tar is kept beside the file in
    /// an attribute (files and directories alone: nothing else may carry such an attribute).
    Single,
}

/// Where [`Owners::Single`] keeps an owner other than root: `uid:gid` in decimal.
pub(crate) const OWNER_XATTR: &str = "user.minidocker.owner";

/// How to unpack.
#[derive(Debug, Clone, Copy)]
pub struct UnpackOptions {
    /// To whom the files belong.
    pub owners: Owners,
    /// Whether we are root of a user namespace only. Then device nodes are left out and named in
    /// [`Unpacked::skipped`], as Docker leaves them out (mknod(2): EPERM), and overlay's attributes
    /// are `user.overlay.*`, as the mount option `userxattr` wants (overlayfs.rst, "User xattr"), in
    /// place of `trusted.overlay.*`.
    pub rootless: bool,
    /// The most bytes that all the files may have together.
    pub max_bytes: u64,
}

impl UnpackOptions {
    /// For root of the first user namespace.
    #[must_use]
    pub fn root() -> Self {
        Self { owners: Owners::Keep, rootless: false, max_bytes: u64::MAX }
    }

    /// For root of a user namespace.
    #[must_use]
    pub fn rootless(owners: Owners) -> Self {
        Self { owners, rootless: true, max_bytes: u64::MAX }
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
    /// [`Owners::Single`], and some owner was not root.
    pub owners_aside: bool,
}

/// Unpacks the layer that `reader` gives (a tar, or one in gzip) into the empty directory `into`.
///
/// Nothing is ever made outside of `into`. After an error what is there must be thrown away.
///
/// # Errors
/// [`Error::Refused`] for `..` in a name, a hard link that leaves the layer, overlay's own
/// attributes, a device 0:0 (an overlay whiteout) and unknown kinds; `Read`, `Make`, `Owner`, `TooBig`.
pub fn unpack_layer(reader: impl Read, into: &Path, options: &UnpackOptions) -> Result<Unpacked, Error> {
    let mut place = Place::open(into, options)?;
    let mut tar = TarReader::new(Hashing::new(plain(reader).map_err(|e| place.read_error(e))?));
    let (mut entries, mut bytes) = (0, 0_u64);
    while let Some(entry) = tar.next_entry().map_err(|e| place.read_error(e))? {
        entries += 1;
        bytes = bytes.saturating_add(tar.left());
        if bytes > options.max_bytes {
            return Err(Error::TooBig { what: "the layer".to_owned(), limit: options.max_bytes });
        }
        place.entry(entry, &mut tar)?;
    }
    // The diff id is that of the whole stream: writers pad the archive to 10 KiB.
    let mut hashing = tar.into_inner();
    io::copy(&mut hashing, &mut io::sink()).map_err(|e| place.read_error(e))?;
    let skipped = place.finish()?;
    let (diff_id, _, _) = hashing.finish();
    Ok(Unpacked { diff_id, entries, bytes, skipped, owners_aside: place.owners_aside })
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
