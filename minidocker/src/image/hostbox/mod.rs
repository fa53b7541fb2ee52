//! `hostbox`, the image that needs no network: programs of the host and the libraries they need.
//!
//! Chapter 1 assembles the tree, chapter 6 makes a layer of it; from then on it is an image like any
//! other. The manifest carries the record of its sources: when one of them changed, it is made again.

mod files;
mod make;
mod programs;
mod record;
mod refused;
mod trial;

use std::path::Path;

use images::{Layout, Manifest, Reference};

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
    let name = reference.familiar();
    if let Some(manifest) = fresh(layout, reference, host)? {
        return load::of_manifest(store, layout, &manifest, name);
    }
    let notices = {
        let _lock = Lock::exclusive(&store.lock_of("images"))?;
        // Whoever held the lock before us may have made it.
        match fresh(layout, reference, host)? {
            Some(_) => Vec::new(),
            None => make::make(store, layout, reference, host)?,
        }
    };
    match load::named(layout, reference)? {
        Some(manifest) => Ok(Image { notices, ..load::of_manifest(store, layout, &manifest, name)? }),
        None => Err(ImageError::NotFound { name }),
    }
}

/// The manifest, unless it is stale. A hostbox without our record was put there by its user, and counts.
fn fresh(layout: &Layout, reference: &Reference, host: &Path) -> Result<Option<Manifest>, ImageError> {
    let named = load::named(layout, reference)?;
    Ok(named.filter(|manifest| !Record::of(manifest).is_some_and(|record| record.is_stale(host))))
}
