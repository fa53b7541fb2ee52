//! Chapter 6: what an image is on disk.
//!
//! An image is three kinds of blobs, each named by its digest: a manifest, which lists the others; a
//! configuration, which says how to run it; and layers, which are tars. What holds it together is
//! that every name is computed from what it names. The bare idea, one layer made and opened again:
//!
//! ```
//! use images::{Compression, Digest, Owners, PackOptions, UnpackOptions, pack_layer, unpack_layer};
//!
//! let (tree, lower) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! std::fs::write(tree.path().join("hello"), "hello\n")?;
//!
//! let mut layer = Vec::new();
//! let options = PackOptions { owners: Owners::Single, mtime: Some(0), compression: Compression::Gzip(6) };
//! let packed = pack_layer(tree.path(), &mut layer, &options)?;
//!
//! // Two names: of the bytes that travel, and of the tar inside.
//! assert_ne!(Digest::of(&layer), packed.diff_id);
//!
//! let options = UnpackOptions::rootless(Owners::Single);
//! let unpacked = unpack_layer(&layer[..], lower.path(), &options)?;
//! assert_eq!(unpacked.diff_id, packed.diff_id);
//! assert_eq!(std::fs::read(lower.path().join("hello"))?, b"hello\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! From here on: [`Layout`] keeps blobs and names on disk, [`Reference`] reads what a user types,
//! [`unpack_into_store`] puts a layer where overlayfs (chapter 4) finds it.
#![forbid(unsafe_code)]

mod compress;
mod config;
mod digest;
mod error;
mod layers;
mod layout;
mod pack;
mod place;
mod reference;
pub mod spec;
mod tarfile;
mod unpack;
mod walk;

pub use config::{History, ImageConfig, RootFs, RunConfig};
pub use digest::{Digest, DigestError, Hashing};
pub use error::Error;
pub use layers::{is_unpacked, lacks_owners, layer_dir, sync_layer, unpack_into_store};
pub use layout::{Layout, is_manifest};
pub use pack::{Compression, PackOptions, Packed, hides_all_below, pack_layer};
pub use reference::{Reference, ReferenceError};
pub use spec::{Descriptor, Index, Manifest, Platform, annotation, media};
pub use unpack::{Owners, UnpackOptions, Unpacked, unpack_layer};
pub use walk::remove_tree;
