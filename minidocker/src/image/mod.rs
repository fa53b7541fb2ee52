//! Images: from the name that a user typed to the directories that overlayfs stacks.
//!
//! The images lie in one OCI image layout, their layers unpacked beside it. An image that is built
//! in ([`hostbox`]) is made when it is asked for the first time.

mod hostbox;
mod load;

use std::path::PathBuf;

use images::{Digest, ImageConfig, Layout, Reference, ReferenceError};

use crate::store::{Store, StoreError};

/// The images that need neither a registry nor a build.
pub const BUILT_IN: [&str; 1] = ["hostbox"];

/// An image that is ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The image id: the digest of its configuration.
    pub id: Digest,
    /// Its name as Docker shows it (`hostbox:latest`), or the id where it was asked for by that.
    pub name: String,
    /// How to run it.
    pub config: ImageConfig,
    /// The lower directories, topmost first, absolute.
    pub lowers: Vec<PathBuf>,
    /// What is to be told once: filled only by the command that made a built-in image.
    pub notices: Vec<String>,
}

/// Why there is no such image, or none that can run.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The name is no name.
    #[error("{0}")]
    Name(#[from] ReferenceError),
    /// Nothing has that name.
    #[error("Unable to find image '{name}' locally\nBuilt in: {}. There is no pull in minidocker yet", BUILT_IN.join(", "))]
    NotFound {
        /// The name, with its tag.
        name: String,
    },
    /// Several images have an id that begins like that.
    #[error("image id {prefix} is ambiguous: {}", ids.join(", "))]
    Ambiguous {
        /// What was typed.
        prefix: String,
        /// The ids, shortened.
        ids: Vec<String>,
    },
    /// The image has no manifest for this machine.
    #[error("image '{name}' has no manifest for linux/{architecture}: it has {}", found.join(", "))]
    Platform {
        /// The image.
        name: String,
        /// What this machine is, in Go's words.
        architecture: &'static str,
        /// What the image is for.
        found: Vec<String>,
    },
    /// Manifest and configuration don't fit together.
    #[error("image '{name}' is damaged: {why}")]
    Damaged {
        /// The image.
        name: String,
        /// What does not fit.
        why: String,
    },
    /// A layer could not be unpacked in the child that has the store's id map.
    #[error("cannot unpack layer {}", diff_id.short())]
    Layer {
        /// Which layer.
        diff_id: Digest,
        /// What the child said.
        source: StoreError,
    },
    /// The built-in image can't be made on this machine.
    #[error("hostbox can't be made: {0}")]
    Hostbox(String),
    /// A call failed that was to make it.
    #[error("hostbox can't be made")]
    HostboxCall(#[source] sys::SysError),
    /// The layout on disk, a layer, or a directory that was to become one.
    #[error("{0}")]
    Images(#[from] images::Error),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Finds the image `name` (a reference, an image id or the beginning of one), and makes it ready to
/// run: a built-in image that is missing or stale is made, layers that are missing are unpacked.
///
/// Takes the images lock only while it makes something; the caller must not hold it. With
/// [`Store::privilege`] rootless it starts children, so it needs a process of one thread.
///
/// # Errors
/// [`ImageError`]: the caller exits with 125.
pub fn resolve(store: &Store, name: &str) -> Result<Image, ImageError> {
    let layout = Layout::open_or_create(&store.images())?;
    let reference = match name.parse::<Reference>() {
        Ok(reference) => reference,
        Err(error) => return load::by_id(store, &layout, name)?.ok_or(error.into()),
    };
    if hostbox::is_meant(&reference) {
        return hostbox::ready(store, &layout, &reference);
    }
    if let Some(descriptor) = layout.resolve(&reference)? {
        return load::image(store, &layout, &descriptor, reference.familiar());
    }
    let by_id = load::by_id(store, &layout, name)?;
    by_id.ok_or(ImageError::NotFound { name: reference.familiar() })
}

/// The file of the configuration of the image `id`: while it is there, the image is.
#[must_use]
pub fn config_path(store: &Store, id: &Digest) -> PathBuf {
    store.images().join("blobs/sha256").join(id.hex())
}

/// The image of which a container was made, ready to run once more. It may have lost its name since
/// (a built-in image that was made anew): then its layers must still be unpacked.
///
/// # Errors
/// As [`resolve`].
pub fn of_container(store: &Store, id: &str) -> Result<Image, ImageError> {
    let layout = Layout::open_or_create(&store.images())?;
    match load::by_id(store, &layout, id) {
        Ok(None) => load::without_a_name(store, id),
        // A manifest that can't be read may be another image's.
        Err(ImageError::Images(e)) => load::without_a_name(store, id).map_err(|_| e.into()),
        found => found?.ok_or_else(|| ImageError::NotFound { name: id.to_owned() }),
    }
}

/// The configuration of the image `id` (`sha256:…`), of which a container was made.
///
/// # Errors
/// [`ImageError::Store`]: the image is gone. [`ImageError::Damaged`]: no digest, or no configuration.
pub fn config(store: &Store, id: &str) -> Result<ImageConfig, ImageError> {
    load::config(store, id)
}

/// Waits until the image's layers are on the disk, and marks them so: what isn't marked is unpacked
/// again after the next boot. For the supervisor, off the way that a user waits for.
///
/// # Errors
/// [`ImageError::Images`].
pub fn sync_layers(store: &Store, config: &ImageConfig) -> Result<(), ImageError> {
    for diff_id in &config.rootfs.diff_ids {
        images::sync_layer(&store.layers(), diff_id)?;
    }
    Ok(())
}
