//! Chapter 6: what an image is on disk.
//!
//! (sketch below)
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
mod remove;
pub mod spec;
mod tarfile;
mod tarwrite;
mod unpack;
mod walk;

pub use config::{Healthcheck, History, ImageConfig, RootFs, RunConfig};
pub use digest::{Digest, DigestError, Hashing};
pub use error::{PackError, UnpackError};
pub use layers::{hides_all_below, is_unpacked, layer_dir, sync_layer, unpack_into_store};
pub use layout::{Layout, LayoutError, is_manifest};
pub use pack::{Compression, PackOptions, Packed, pack_layer};
pub use reference::{Reference, ReferenceError};
pub use spec::{Descriptor, Index, Manifest, Platform, annotation, media};
pub use unpack::{Owners, UnpackOptions, Unpacked, unpack_layer};
