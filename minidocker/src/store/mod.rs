//! The store: where everything that outlives a command is kept.
//!
//! Paths, records that are replaced whole, locks that end with their holder, and the id map
//! under which a rootless store's files are owned. It knows nothing of images or containers.

mod error;
mod idmap;
mod lock;
mod record;
mod remove;
mod root;

pub use error::{Below, StoreError};
pub(crate) use error::{in_one_line, verb};
pub use idmap::{id_maps, in_id_map};
pub use lock::{Lock, is_locked};
pub use record::{Record, read_file, read_record, replace_file, write_record};
pub use remove::remove_tree;
pub use root::{Privilege, Store};
