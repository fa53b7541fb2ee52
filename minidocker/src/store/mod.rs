//! The store: where everything that outlives a command is kept.
//!
//! Paths, records that are replaced whole, locks that end with their holder, and the id map
//! under which a rootless store's files are owned. It knows nothing of images or containers.

mod idmap;
mod lock;
mod record;
mod remove;
mod root;

pub use idmap::{id_maps, in_id_map};
pub use lock::{Lock, is_locked};
pub use record::{Record, read_record, write_record};
pub use remove::remove_tree;
pub use root::{Privilege, Store};

use std::path::PathBuf;

/// What can go wrong below the store's root.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Neither `MINIDOCKER_ROOT` nor a home directory says where the store is.
    #[error(
        "no place for the store: HOME is not set and this user has no home directory; set MINIDOCKER_ROOT"
    )]
    NoHome,
    /// The store belongs to another user.
    #[error(
        "the store {path} belongs to uid {owner}, and this is uid {us}; set MINIDOCKER_ROOT to a directory of your own"
    )]
    Foreign {
        /// The store's root.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// A file operation failed.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A record is not JSON of the expected shape: truncated, empty or edited.
    #[error("{path} is damaged: {reason}; minidocker rm -f removes the container that it describes")]
    Damaged {
        /// The record.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// A record was written by a newer minidocker.
    #[error("{path} has version {found}, and this minidocker knows {known}: it was written by a newer one")]
    Newer {
        /// The record.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Our version.
        known: u32,
    },
    /// The store's files are owned under another id map than the one that this user has now.
    #[error(
        "the store {path} was made under another id map ({theirs}); now it is {ours}: restore the lines in /etc/subuid and /etc/subgid, or remove the store"
    )]
    OtherIdMap {
        /// The directory that recorded its map.
        path: PathBuf,
        /// The map recorded.
        theirs: String,
        /// The map now.
        ours: String,
    },
    /// The child that works under the id map could not be made, or failed.
    #[error("{0}")]
    InIdMap(String),
    /// A system call failed.
    #[error("{0}")]
    Sys(#[from] sys::SysError),
}

impl StoreError {
    /// Wraps the error of one file operation with its facts.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
