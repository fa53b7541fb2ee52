//! What can go wrong with a group.

use std::path::PathBuf;

use sys::SysError;

/// Why a cgroup could not be found, made, joined, emptied or removed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file of /proc or of a cgroup could not be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the group could not be opened for the child that is to join.
    #[error("open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A call that changes a group failed.
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
