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

/// The image, made now if it is missing, stale or damaged.
pub(super) fn ready(store: &Store, layout: &Layout, reference: &Reference) -> Result<Image, ImageError> {
    let host = Path::new("/");
    let name = reference.familiar();
    let damage = match look(store, layout, reference, host) {
        Ok(Some(image)) => return Ok(image),
        Ok(None) => None,
        // What we made can be made again. A manifest that can't be read doesn't tell who made it.
        Err(ImageError::Damaged { why, .. }) if !is_the_users(store, layout, reference) => Some(why),
        Err(e) => return Err(e),
    };
    let before = layout.resolve(reference)?;
    let notices = {
        let _lock = Lock::exclusive(&store.lock_of("images"))?;
        // Whoever held the lock before us may have made it.
        let made_by_another = match &damage {
            None => fresh(store, layout, reference, host)?.is_some(),
            Some(_) => layout.resolve(reference)? != before,
        };
        if made_by_another { Vec::new() } else { make::make(store, layout, reference, host)? }
    };
    let told = damage.map(|why| format!("{name} was damaged and is made again: {why}"));
    match load::named(store, layout, reference)? {
        Some(manifest) => {
            let image = load::of_manifest(store, layout, &manifest, name)?;
            Ok(Image { notices: told.into_iter().chain(notices).collect(), ..image })
        }
        None => Err(ImageError::NotFound { name, unread: None }),
    }
}

/// The image, unless it is missing or stale.
fn look(
    store: &Store,
    layout: &Layout,
    reference: &Reference,
    host: &Path,
) -> Result<Option<Image>, ImageError> {
    let manifest = fresh(store, layout, reference, host)?;
    manifest.map(|m| load::of_manifest(store, layout, &m, reference.familiar())).transpose()
}

/// The manifest, unless it is stale. A hostbox without our record was put there by its user, and counts.
fn fresh(
    store: &Store,
    layout: &Layout,
    reference: &Reference,
    host: &Path,
) -> Result<Option<Manifest>, ImageError> {
    let named = load::named(store, layout, reference)?;
    Ok(named.filter(|manifest| !Record::of(manifest).is_some_and(|record| record.is_stale(host))))
}

fn is_the_users(store: &Store, layout: &Layout, reference: &Reference) -> bool {
    load::named(store, layout, reference).is_ok_and(|m| m.is_some_and(|m| Record::of(&m).is_none()))
}
