//! What can go wrong with a group.

use std::path::{Path, PathBuf};

use sys::SysError;

/// Why a cgroup could not be found, made, joined, emptied or removed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file of /proc or of a group could not be opened or read, or a group not be changed.
    #[error("{0}")]
    Call(#[from] SysError),
    /// The path is not that of a group of ours, so it is not touched.
    #[error("{} is not a group of minidocker: its parent must be named {:?}", dir.display(), crate::PARENT)]
    NotOurs {
        /// The path.
        dir: PathBuf,
    },
    /// The group is there already, and processes or groups are in it.
    #[error("the cgroup {} exists and is in use", dir.display())]
    Taken {
        /// The group.
        dir: PathBuf,
    },
    /// Processes outlive SIGKILL: they sleep in the kernel (state D), where no signal reaches them.
    #[error("{} processes in {} survive SIGKILL: {pids:?}", pids.len(), dir.display())]
    Alive {
        /// The group.
        dir: PathBuf,
        /// Some of the processes.
        pids: Vec<i32>,
    },
}

/// A failed read of a file or a directory.
pub(crate) fn unread(path: &Path, error: std::io::Error) -> CgroupError {
    SysError::of("read", format!("{path:?}"), error).into()
}
