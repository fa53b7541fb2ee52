//! `hostbox`, the image that needs no network: programs of the host and the libraries they need.
//!
//! Chapter 1 assembles the tree, chapter 6 makes a layer of it; from then on it is an image like any
//! other. The manifest carries the record of its sources: when one of them changed, it is made again.

mod files;
mod make;
mod programs;
mod record;
mod trial;

use std::path::Path;

use images::{Layout, Reference};

use super::{Image, ImageError, load};
use crate::store::{Lock, Store};
use record::Record;

/// Whether `reference` names this image: `hostbox`, `hostbox:latest`, `docker.io/library/hostbox`.
pub(super) fn is_meant(reference: &Reference) -> bool {
    reference.domain() == "docker.io"
        && reference.path() == "library/hostbox"
        && reference.tag() == Some("latest")
        && reference.digest().is_none()
}

/// The image, made now if it is missing or stale.
pub(super) fn ready(store: &Store, layout: &Layout, reference: &Reference) -> Result<Image, ImageError> {
    let host = Path::new("/");
    if let Some(image) = fresh(store, layout, reference, host)? {
        return Ok(image);
    }
    let notices = {
        let _lock = Lock::exclusive(&store.lock_of("images"))?;
        // Whoever held the lock before us may have made it.
        if is_fresh(layout, reference, host)? {
            Vec::new()
        } else {
            make::make(store, layout, reference, host)?
        }
    };
    match fresh(store, layout, reference, host)? {
        Some(image) => Ok(Image { notices, ..image }),
        None => {
            Err(ImageError::Hostbox("programs of the host change while it is made; try again".to_owned()))
        }
    }
}

fn fresh(
    store: &Store,
    layout: &Layout,
    reference: &Reference,
    host: &Path,
) -> Result<Option<Image>, ImageError> {
    match load::named(layout, reference)? {
        Some((descriptor, manifest)) if !Record::of(&manifest).is_some_and(|r| r.is_stale(host)) => {
            // A hostbox without our record was put there by its user, who may want it.
            load::image(store, layout, &descriptor, reference.familiar()).map(Some)
        }
        _ => Ok(None),
    }
}

fn is_fresh(layout: &Layout, reference: &Reference, host: &Path) -> Result<bool, ImageError> {
    let named = load::named(layout, reference)?;
    Ok(named.is_some_and(|(_, manifest)| !Record::of(&manifest).is_some_and(|r| r.is_stale(host))))
}
