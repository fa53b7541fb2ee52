//! What can be wrong with an image, a layer, or a directory that is to become one.

use std::io;
use std::path::{Path, PathBuf};

use sys::SysError;

use crate::Digest;

/// Why something was not stored, unpacked or packed. Names of entries are those in the tar, as they
/// stand there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the layout, of the store of layers, or of a tree that is packed.
    #[error("cannot {} {}", source.call(), path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SysError,
    },
    /// A document is not of its kind.
    #[error("cannot parse {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// `oci-layout` names a version that is not known here.
    #[error("{} is of image layout version {version:?}, known is 1.0.0", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        version: String,
    },
    /// The bytes of a blob are not those of its descriptor.
    #[error("blob {expected} is damaged: it holds {size} bytes of digest {found}")]
    Damaged {
        /// The digest in the descriptor.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
        /// Their number.
        size: u64,
    },
    /// A document or a layer has more bytes than it may have.
    #[error("{what} holds more than {limit} bytes")]
    TooBig {
        /// Which one.
        what: String,
        /// How many were allowed.
        limit: u64,
    },
    /// The tar is another one than the image configuration names.
    #[error("the layer's diff id is {found}, the image names {expected}")]
    DiffId {
        /// What the image configuration says.
        expected: Digest,
        /// What the bytes say.
        found: Digest,
    },
    /// The stream ends early, is not a tar, or its compression is broken.
    #[error("cannot read the layer at {name:?}")]
    Read {
        /// The last entry that was found, or `(beginning)`.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// An entry that no honest layer holds, or that this machine must not make.
    #[error("layer entry {name:?}: {why}")]
    Refused {
        /// The entry's name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The kernel refused to make or change a file.
    #[error("layer entry {name:?} can't be made")]
    Make {
        /// The entry's name.
        name: String,
        /// The call.
        source: SysError,
    },
    /// An id that has no place in the id map of this user namespace.
    #[error(
        "layer entry {name:?}: owner {uid}:{gid} has no place in the id map; \
         more ids need lines in /etc/subuid and /etc/subgid"
    )]
    Owner {
        /// The entry's name.
        name: String,
        /// The owner in the tar.
        uid: u32,
        /// The group in the tar.
        gid: u32,
    },
    /// A file became shorter while it was packed.
    #[error("{} changed while it was packed", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The tar could not be written.
    #[error("cannot write the layer")]
    Write(#[source] SysError),
}

impl Error {
    pub(crate) fn write(error: io::Error) -> Self {
        Self::Write(SysError::of("write", "the layer".to_owned(), error))
    }
}

/// `call` is the one that failed, or the last of several that the standard library makes.
pub(crate) fn io_error<E: Into<io::Error>>(
    call: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> Error + use<E> {
    let path = path.to_owned();
    move |e| Error::Io { source: SysError::of(call, format!("{path:?}"), e), path }
}
