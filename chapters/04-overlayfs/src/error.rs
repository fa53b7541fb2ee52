//! Why an overlay could not be mounted.

use std::path::PathBuf;

use sys::SysError;

/// What a directory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A layer that is only read.
    Lowerdir,
    /// What the container writes.
    Upperdir,
    /// Where the kernel prepares what goes to upper.
    Workdir,
    /// The directory to mount on.
    Merged,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lowerdir => "lowerdir",
            Self::Upperdir => "upperdir",
            Self::Workdir => "workdir",
            Self::Merged => "mount point",
        })
    }
}

/// Why an overlay could not be mounted. The kernel says EINVAL to most of these and writes the
/// reason into its log, so after a failure we look for it ourselves.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A directory is not there.
    #[error("the {part} {} of the overlay does not exist", path.display())]
    Missing {
        /// What it is for.
        part: Part,
        /// The directory.
        path: PathBuf,
    },
    /// Something is there, but no directory.
    #[error("the {part} {} of the overlay is not a directory", path.display())]
    NotADirectory {
        /// What it is for.
        part: Part,
        /// The path.
        path: PathBuf,
    },
    /// There is nothing below.
    #[error("an overlay needs at least one lowerdir")]
    NoLower,
    /// One directory has two tasks, or one of them lies inside another.
    #[error("the {second} {} of the overlay is, or lies inside, its {first}", path.display())]
    Overlap {
        /// The outer one of the two.
        first: Part,
        /// The inner one.
        second: Part,
        /// The inner directory.
        path: PathBuf,
    },
    /// A user namespace gets the mounts of its parent as one tree, which it may not take apart: below
    /// a mount lies what its owner may have wanted to hide (mount_namespaces(7), "Restrictions").
    #[error(
        "the lowerdir {} has a mount below it ({}), so no user namespace may make it a layer",
        path.display(), mount.display()
    )]
    MountBelow {
        /// The lowerdir.
        path: PathBuf,
        /// One of the mounts below it.
        mount: PathBuf,
        /// What the kernel answered.
        source: SysError,
    },
    /// The kernel moves files from workdir to upperdir by rename(2), which stays in one mount.
    #[error("upperdir {} and workdir {} must be on one mount of one file system", upper.display(), work.display())]
    OtherMount {
        /// The upperdir.
        upper: PathBuf,
        /// The workdir.
        work: PathBuf,
    },
    /// The file system of upperdir is no good for one (overlayfs.rst, "Upper and Lower").
    #[error("upperdir {} is on {fstype}, which can't hold one", upper.display())]
    UpperFileSystem {
        /// The upperdir.
        upper: PathBuf,
        /// Its name.
        fstype: &'static str,
        /// What the kernel answered.
        source: SysError,
    },
    /// The file system of a lowerdir gives one file several names (upper and lower case), or makes
    /// mounts by itself (overlayfs.rst, "Upper and Lower"; fs/overlayfs/util.c, ovl_dentry_weird).
    #[error("lowerdir {} is on {fstype}, which can't be a layer", path.display())]
    LowerFileSystem {
        /// The lowerdir.
        path: PathBuf,
        /// Its name.
        fstype: &'static str,
        /// What the kernel answered.
        source: SysError,
    },
    /// One overlay may lie on another, and no third one on that (fs.h, FILESYSTEM_MAX_STACK_DEPTH).
    #[error("lowerdir {} is on an overlay that has an overlay below it: no third one may lie on these", path.display())]
    TooDeep {
        /// The lowerdir.
        path: PathBuf,
        /// What the kernel answered.
        source: SysError,
    },
    /// More layers than mount(2) takes, and the descriptor mount API can't take them either.
    #[error(
        "{lowers} lowerdirs need {bytes} bytes of options; mount(2) takes 4095, and more need Linux 6.8 and paths below 256 bytes"
    )]
    TooLong {
        /// How many layers.
        lowers: usize,
        /// How long the options are.
        bytes: usize,
        /// Why the other way failed too.
        source: SysError,
    },
    /// The mark of an earlier volatile mount could not be removed.
    #[error("remove {}, the mark of a volatile mount", path.display())]
    Leftover {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: SysError,
    },
    /// The kernel refused for another reason.
    #[error("{0}")]
    Call(#[from] SysError),
}
