//! From a descriptor in the layout to an image whose layers are unpacked.

use std::path::{Path, PathBuf};

use images::{
    Descriptor, Digest, ImageConfig, Index, Layout, Manifest, Owners, Reference, UnpackOptions,
    hides_all_below, is_manifest, is_unpacked, lacks_owners, layer_dir, spec, unpack_into_store,
};

use super::{Image, ImageError};
use crate::store::{Lock, Privilege, Store, StoreError, id_maps, in_id_map, is_locked, read_file};

/// The image of a manifest, or of the manifest for this machine in an index.
pub(super) fn image(
    store: &Store,
    layout: &Layout,
    descriptor: &Descriptor,
    name: String,
) -> Result<Image, ImageError> {
    let manifest = manifest(layout, descriptor, &name)?;
    of_manifest(store, layout, &manifest, name)
}

/// The image of a manifest that was read already.
pub(super) fn of_manifest(
    store: &Store,
    layout: &Layout,
    manifest: &Manifest,
    name: String,
) -> Result<Image, ImageError> {
    let config: ImageConfig = layout.read_json(&manifest.config)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        let why = format!("{} diff ids, {} layers", diff_ids.len(), manifest.layers.len());
        return Err(ImageError::Damaged { name, why });
    }
    unpack_missing(store, layout, diff_ids, &manifest.layers)?;
    let lowers = lowers(&store.layers(), diff_ids);
    Ok(Image { id: manifest.config.digest, name, config, lowers, notices: Vec::new() })
}

/// The image of a configuration that no manifest of the index names any more.
pub(super) fn without_a_name(store: &Store, id: &str) -> Result<Image, ImageError> {
    let config = config(store, id)?;
    let layers = store.layers();
    if let Some(gone) = config.rootfs.diff_ids.iter().find(|diff_id| !is_unpacked(&layers, diff_id)) {
        let why = format!("layer {gone} is not unpacked, and no manifest names its blob any more");
        return Err(ImageError::Damaged { name: id.to_owned(), why });
    }
    let digest = id
        .parse()
        .map_err(|e: images::DigestError| ImageError::Damaged { name: id.to_owned(), why: e.to_string() })?;
    let lowers = lowers(&layers, &config.rootfs.diff_ids);
    Ok(Image { id: digest, name: id.to_owned(), config, lowers, notices: Vec::new() })
}

/// The lower directories for overlayfs, topmost first.
fn lowers(layers: &Path, diff_ids: &[Digest]) -> Vec<PathBuf> {
    let mut lowers = Vec::new();
    for diff_id in diff_ids.iter().rev() {
        let lower = layer_dir(layers, diff_id);
        // overlayfs refuses a directory that is there twice (ELOOP), and the upper one hides the lower.
        if lowers.contains(&lower) {
            continue;
        }
        let hides = hides_all_below(&lower);
        lowers.push(lower);
        if hides {
            break;
        }
    }
    lowers
}

/// The configuration by its digest.
pub(super) fn config(store: &Store, id: &str) -> Result<ImageConfig, ImageError> {
    let damaged = |why: String| ImageError::Damaged { name: id.to_owned(), why };
    let digest: Digest = id.parse().map_err(|e: images::DigestError| damaged(e.to_string()))?;
    let path = super::config_path(store, &digest);
    serde_json::from_slice(&read_file(&path)?).map_err(|e| damaged(format!("{}: {e}", path.display())))
}

fn manifest(layout: &Layout, descriptor: &Descriptor, name: &str) -> Result<Manifest, ImageError> {
    if is_manifest(&descriptor.media_type) {
        return Ok(layout.read_json(descriptor)?);
    }
    let index: Index = layout.read_json(descriptor)?;
    let architecture = spec::architecture();
    let fits = |m: &&Descriptor| {
        m.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == architecture)
    };
    let Some(ours) = index.manifests.iter().find(fits) else {
        let platform = |m: &Descriptor| {
            Some(format!("{}/{}", m.platform.as_ref()?.os, m.platform.as_ref()?.architecture))
        };
        let found = index.manifests.iter().filter_map(platform).collect();
        return Err(ImageError::Platform { name: name.to_owned(), architecture, found });
    };
    Ok(layout.read_json(ours)?)
}

/// The image whose id is, or begins with, `text`.
pub(super) fn by_id(store: &Store, layout: &Layout, text: &str) -> Result<Option<Image>, ImageError> {
    let prefix = text.strip_prefix("sha256:").unwrap_or(text);
    if prefix.is_empty() || !prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(None);
    }
    let mut found: Vec<(Digest, Descriptor)> = Vec::new();
    let mut unread = None;
    for descriptor in layout.index()?.manifests.into_iter().filter(|m| is_manifest(&m.media_type)) {
        let manifest: Manifest = match layout.read_json(&descriptor) {
            Ok(manifest) => manifest,
            // Another image's, most likely.
            Err(e) => {
                unread = Some(e);
                continue;
            }
        };
        let id = manifest.config.digest;
        if id.hex().starts_with(prefix) && !found.iter().any(|(other, _)| *other == id) {
            found.push((id, descriptor));
        }
    }
    match found.as_slice() {
        [] => unread.map_or(Ok(None), |e| Err(e.into())),
        [(id, descriptor)] => image(store, layout, descriptor, id.to_string()).map(Some),
        several => Err(ImageError::Ambiguous {
            prefix: prefix.to_owned(),
            ids: several.iter().map(|(id, _)| id.short()).collect(),
        }),
    }
}

/// Unpacks what is not there, under the images lock, so that two commands don't do it twice.
fn unpack_missing(
    store: &Store,
    layout: &Layout,
    diff_ids: &[Digest],
    layers: &[Descriptor],
) -> Result<(), ImageError> {
    let layers_dir = store.layers();
    // Asked only where it matters: it reads /etc/subuid.
    let lacking = diff_ids.iter().any(|diff_id| lacks_owners(&layers_dir, diff_id));
    let more_ids = lacking && owners(store)? == Owners::Keep;
    let missing = |diff_id: &Digest| {
        !is_unpacked(&layers_dir, diff_id) || (more_ids && lacks_owners(&layers_dir, diff_id))
    };
    if !diff_ids.iter().any(missing) {
        return Ok(());
    }
    let _lock = Lock::exclusive(&store.lock_of("images"))?;
    for (diff_id, layer) in diff_ids.iter().zip(layers).filter(|(d, _)| missing(d)) {
        unpack(store, layout, diff_id, layer)?;
    }
    Ok(())
}

/// Unpacks one layer, rootless in a child that has the store's id map. The caller holds the images lock.
pub(super) fn unpack(
    store: &Store,
    layout: &Layout,
    diff_id: &Digest,
    layer: &Descriptor,
) -> Result<(), ImageError> {
    let layers = store.layers();
    // For better owners only, and a container may run on it.
    if is_unpacked(&layers, diff_id) && any_lives(store) {
        return Ok(());
    }
    let blob = layout.blob(&layer.digest)?;
    if store.privilege() == Privilege::Rootful {
        unpack_into_store(&layers, diff_id, blob, &UnpackOptions::root())?;
        return Ok(());
    }
    let owners = owners(store)?;
    let inside = || {
        let options = UnpackOptions::rootless(owners);
        unpack_into_store(&layers, diff_id, &blob, &options).map(drop)
    };
    in_id_map(store, inside).map_err(|source| ImageError::Layer { diff_id: *diff_id, source })
}

/// Whether a container may run: its lock is held, or nobody can tell.
fn any_lives(store: &Store) -> bool {
    let dirs = std::fs::read_dir(store.containers());
    dirs.map_or(true, |mut all| {
        all.any(|d| d.is_ok_and(|d| is_locked(&d.path().join("lock")).unwrap_or(true)))
    })
}

/// With a single id in the store's map, no file can belong to anybody else.
fn owners(store: &Store) -> Result<Owners, StoreError> {
    let single = store.privilege() == Privilege::Rootless && id_maps(store)?.uid.len() == 1;
    Ok(if single { Owners::Single } else { Owners::Keep })
}

/// The manifest that `reference` means, if its name stands in the index.
pub(super) fn named(layout: &Layout, reference: &Reference) -> Result<Option<Manifest>, ImageError> {
    match layout.resolve(reference)?.filter(|d| is_manifest(&d.media_type)) {
        Some(descriptor) => Ok(Some(layout.read_json(&descriptor)?)),
        None => Ok(None),
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
