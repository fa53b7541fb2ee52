//! Containers as records: their ids, names, state, and what a dead supervisor left.
//!
//! A container is `containers/<id>/`, an OCI bundle. It is alive while its `lock` is held: the
//! client takes it before the record appears and passes it to the supervisor, the kernel drops
//! it with the supervisor's last breath.

mod create;
mod find;
mod id;
mod init_layer;
mod recover;
mod state;

#[cfg(test)]
pub(crate) use create::tests::made as made_for_tests;
pub use create::{Contents, File, INIT_LAYER, NewContainer, create};
pub use find::{Container, all, find};
pub use id::{check_name, new_id, new_name};
pub use init_layer::InitLayer;
pub use recover::{UNSEEN, end_and_remove, finish, give_up, lock_dead, recover, recover_all, remove, settle};
pub use state::{Ledger, State, Status, now};

use std::path::{Path, PathBuf};

use sys::Errno;

use crate::store::{Below, StoreError};

/// What can go wrong with a container's record.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// No id begins with this, and no container has this name.
    #[error("No such container: {0}")]
    NotFound(String),
    /// More than one id begins with this.
    #[error("multiple IDs found with provided prefix: {0}")]
    Ambiguous(String),
    /// Docker's rule for names.
    #[error("Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    BadName(String),
    /// A name that no file can have.
    #[error("Invalid container name: it has {bytes} bytes, and may have at most {most}")]
    LongName {
        /// What it has.
        bytes: usize,
        /// What it may have.
        most: usize,
    },
    /// symlink(2) in names/ decided for somebody else.
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameTaken {
        /// The name asked for.
        name: String,
        /// The id of the container that has it.
        holder: String,
    },
    /// What was looked up a moment ago is gone.
    #[error("the image was removed while its container was made: {} is gone", .0.display())]
    BaseGone(PathBuf),
    /// `rm` without `-f`; the name with its slash, or the id where the record doesn't tell the name.
    #[error(
        "cannot remove container \"{0}\": container is running: stop the container before removing or force remove"
    )]
    Running(String),
    /// A process of a dead supervisor's container could not be ended.
    #[error("cannot clear what is left of container {id}: {reason}")]
    Leftover {
        /// The container.
        id: String,
        /// What stays, and why.
        reason: String,
    },
    /// A record of one container can't be read, is damaged, or is of a newer version.
    #[error("{}", record_problem(container, cause))]
    Record {
        /// Its name, or its short id.
        container: String,
        /// What is wrong with which file.
        cause: Box<StoreError>,
    },
    /// The record of one container can't be written at its end.
    #[error("cannot write down the end of container {container}")]
    Unwritten {
        /// Its name, or its short id.
        container: String,
        /// The call that failed.
        cause: Box<StoreError>,
    },
    /// The store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
}

fn record_problem(container: &str, cause: &StoreError) -> String {
    match cause {
        StoreError::Newer { .. } => format!("container {container} was made by a newer minidocker"),
        StoreError::Damaged { .. } => format!("the record of container {container} is damaged"),
        _ => format!("cannot read the record of container {container}"),
    }
}

impl ContainerError {
    /// Whether it is a container of a newer minidocker, which this one must leave alone.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        matches!(self, Self::Record { cause, .. } if matches!(**cause, StoreError::Newer { .. }))
    }

    /// Whether all that is wrong is that there is no room to write.
    #[must_use]
    pub fn is_full_disk(&self) -> bool {
        match self {
            Self::Record { cause, .. } | Self::Unwritten { cause, .. } => cause.is_full_disk(),
            Self::Store(cause) => cause.is_full_disk(),
            _ => false,
        }
    }

    /// The lines below the first one.
    #[must_use]
    pub fn below(&self) -> Below {
        let (container, cause) = match self {
            Self::Record { container, cause } => (container, cause),
            Self::Store(e) => return e.below(),
            Self::LongName { .. } => {
                return Below::advice(
                    "the name of a container is a file of the store, in names/",
                    "take a shorter name",
                );
            }
            Self::Unwritten { cause, .. } => return cause.below(),
            _ => return Below::default(),
        };
        // Each start derives config.json anew; the others can't be had again.
        let derived = |path: &Path| path.file_name().is_some_and(|name| name == "config.json");
        let rm = match &**cause {
            StoreError::Damaged { path, .. } if derived(path) => format!("minidocker start {container}"),
            _ => format!("minidocker rm -f {container}"),
        };
        match &**cause {
            StoreError::Newer { path, found, known } => Below::advice(
                format!("{} has version {found}, and this minidocker knows {known}", path.display()),
                "use the minidocker that made it, also to remove it",
            ),
            StoreError::Damaged { path, reason } => {
                Below::advice(format!("{}: {reason}", path.display()), rm)
            }
            // What a limit or a full disk keeps from us is no reason to throw it away.
            other => {
                let told = other.below();
                let gone = matches!(
                    other.errno(),
                    Some(Errno::ENOENT | Errno::ENOTDIR | Errno::EISDIR | Errno::ELOOP)
                );
                Below { remedy: if gone { Some(rm) } else { told.remedy.clone() }, ..told }
            }
        }
    }
}
