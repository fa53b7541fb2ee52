//! Images: from the name that a user typed to the directories that overlayfs stacks.
//!
//! The images lie in one OCI image layout, their layers unpacked beside it. An image that is built
//! in ([`hostbox`]) is made when it is asked for the first time.

mod damage;
mod hostbox;
mod load;

use std::path::PathBuf;

use images::{Digest, ImageConfig, Layout, Reference, ReferenceError};

use crate::store::{Below, Store, StoreError};

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
    /// What is to be told once, by the command that made a built-in image, or began a new list of images.
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
        /// A manifest that can't be read, and may be the one: the lines below the first one.
        unread: Option<Box<Below>>,
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
    /// A blob of the image is lost or damaged, or they don't fit together.
    #[error("image '{name}' is damaged")]
    Damaged {
        /// The image.
        name: String,
        /// What is wrong with which file.
        why: String,
        /// What brings the image back.
        remedy: String,
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
    /// A call failed that was to make it, because there is no room for it.
    #[error("hostbox can't be made")]
    HostboxRoom {
        /// The store's root: the call may name the file of the host that was copied.
        store: PathBuf,
        /// `ENOSPC` or `EDQUOT`.
        source: sys::SysError,
    },
    /// The layout on disk, a layer, or a directory that was to become one.
    #[error("{}", damage::shown(.0))]
    Images(images::Error),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl From<images::Error> for ImageError {
    fn from(error: images::Error) -> Self {
        Self::Images(error)
    }
}

impl ImageError {
    /// The lines below the first one.
    #[must_use]
    pub fn below(&self) -> Below {
        match self {
            Self::Damaged { why, remedy, .. } => Below::advice(why, remedy),
            Self::NotFound { unread: Some(below), .. } => Below::clone(below),
            Self::Images(e) => damage::below(e),
            Self::HostboxRoom { store, source } => {
                let store = store.display();
                Below {
                    because: Some(format!(
                        "the file system of the store {store} is full, has no inode left, or this user's quota is reached"
                    )),
                    remedy: Some(format!("df -h {store}; df -i {store}")),
                    ..Below::of(source)
                }
            }
            Self::Layer { source, .. } | Self::Store(source) => source.below(),
            other => Below::of(other),
        }
    }
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
    let (layout, told) = damage::layout(store)?;
    let image = named(store, &layout, name)?;
    Ok(Image { notices: [told, image.notices].concat(), ..image })
}

fn named(store: &Store, layout: &Layout, name: &str) -> Result<Image, ImageError> {
    let reference = match name.parse::<Reference>() {
        Ok(reference) => reference,
        Err(error) => {
            return load::by_id(store, layout, name, name).map_err(|e| match e {
                ImageError::NotFound { unread: None, .. } => error.into(),
                other => other,
            });
        }
    };
    if hostbox::is_meant(&reference) {
        return hostbox::ready(store, layout, &reference);
    }
    match layout.resolve(&reference)? {
        Some(descriptor) => load::image(store, layout, &descriptor, reference.familiar()),
        None => load::by_id(store, layout, name, &reference.familiar()),
    }
}

/// The file of the configuration of the image `id`: while it is there, the image is.
#[must_use]
pub fn config_path(store: &Store, id: &Digest) -> PathBuf {
    store.images().join("blobs/sha256").join(id.hex())
}

/// The image of which a container was made, ready to run once more. It may have lost its name since
/// (a built-in image that was made anew): then its layers must still be unpacked. `name` is the one
/// under which it was asked for then.
///
/// # Errors
/// As [`resolve`].
pub fn of_container(store: &Store, id: &str, name: &str) -> Result<Image, ImageError> {
    let (layout, notices) = damage::layout(store)?;
    let image = load::by_id(store, &layout, id, id).or_else(|e| {
        load::without_a_name(store, id).map_err(|nameless| match e {
            ImageError::NotFound { unread: None, .. } => nameless,
            // What could not be read may have been it.
            other => other,
        })
    });
    match image {
        Ok(image) => Ok(Image { notices, ..image }),
        Err(ImageError::Damaged { name: id, why, .. })
            if name.parse().is_ok_and(|r| hostbox::is_meant(&r)) =>
        {
            let remedy = "make a new container: hostbox comes again only as it would be made now; \
                          what the old one wrote stays in its directory upper until minidocker rm";
            Err(ImageError::Damaged { name: id, why, remedy: remedy.to_owned() })
        }
        Err(e) => Err(e),
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
