//! What can be wrong with a layer, and with a directory that is to become one.

use std::io;
use std::path::PathBuf;

use crate::Digest;

/// A layer that was not unpacked. Names are those in the tar, as they stand there.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The stream ends early, is not a tar, or its compression is broken.
    #[error("read the layer{}", at(.name))]
    Read {
        /// The entry that was being read, if any.
        name: Option<String>,
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
    #[error("layer entry {name:?}: {call}")]
    Make {
        /// The entry's name.
        name: String,
        /// The system call.
        call: &'static str,
        /// Why.
        source: io::Error,
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
    /// More bytes than the caller allowed.
    #[error("the layer holds more than {limit} bytes")]
    TooBig {
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
    /// The store of layers could not be changed.
    #[error("{what} {}", path.display())]
    Store {
        /// `make`, `rename`, ...
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn at(name: &Option<String>) -> String {
    name.as_ref().map_or(String::new(), |n| format!(" at {n:?}"))
}

/// A directory that was not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file could not be read.
    #[error("read {}", path.display())]
    Read {
        /// The file, below the directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file became shorter while it was read.
    #[error("{} changed while it was packed", path.display())]
    Changed {
        /// The file, below the directory.
        path: PathBuf,
    },
    /// The tar could not be written.
    #[error("write the layer")]
    Write(#[source] io::Error),
}
