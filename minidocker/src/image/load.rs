//! From a descriptor in the layout to an image whose layers are unpacked.

use std::path::{Path, PathBuf};

use images::{
    Descriptor, Digest, ImageConfig, Index, Layout, Manifest, Owners, Reference, UnpackOptions,
    hides_all_below, is_manifest, is_unpacked, lacks_owners, layer_dir, spec, unpack_into_store,
};

use super::{Image, ImageError, damage};
use crate::store::{Lock, Privilege, Store, StoreError, id_maps, in_id_map, is_locked, read_file};

/// The image of a manifest, or of the manifest for this machine in an index.
pub(super) fn image(
    store: &Store,
    layout: &Layout,
    descriptor: &Descriptor,
    name: String,
) -> Result<Image, ImageError> {
    let manifest = manifest(store, layout, descriptor, &name)?;
    of_manifest(store, layout, &manifest, name)
}

/// The image of a manifest that was read already.
pub(super) fn of_manifest(
    store: &Store,
    layout: &Layout,
    manifest: &Manifest,
    name: String,
) -> Result<Image, ImageError> {
    let config: ImageConfig = damage::read(store, layout, &manifest.config, &name)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        let why = format!("it has {} diff ids, and {} layers", diff_ids.len(), manifest.layers.len());
        return Err(damage::unfit(store, &name, why));
    }
    unpack_missing(store, layout, &name, diff_ids, &manifest.layers)?;
    let lowers = lowers(&store.layers(), diff_ids);
    Ok(Image { id: manifest.config.digest, name, config, lowers, notices: Vec::new() })
}

/// The image of a configuration that no manifest of the index names any more.
pub(super) fn without_a_name(store: &Store, id: &str) -> Result<Image, ImageError> {
    let config = config(store, id)?;
    let layers = store.layers();
    if let Some(gone) = config.rootfs.diff_ids.iter().find(|diff_id| !is_unpacked(&layers, diff_id)) {
        let why = format!("layer {gone} is not unpacked, and no manifest names its blob any more");
        return Err(damage::unfit(store, id, why));
    }
    let digest = digest(store, id)?;
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

fn digest(store: &Store, id: &str) -> Result<Digest, ImageError> {
    id.parse().map_err(|e: images::DigestError| damage::unfit(store, id, e.to_string()))
}

/// The configuration by its digest.
pub(super) fn config(store: &Store, id: &str) -> Result<ImageConfig, ImageError> {
    let path = super::config_path(store, &digest(store, id)?);
    let damaged = |why: String| damage::damaged(store, id, &path, why);
    let text = read_file(&path).map_err(|e| match e.errno() {
        Some(errno) if damage::is_no_file(errno) => damaged(format!("{errno:?} ({})", errno.desc())),
        _ => e.into(),
    })?;
    serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))
}

fn manifest(
    store: &Store,
    layout: &Layout,
    descriptor: &Descriptor,
    name: &str,
) -> Result<Manifest, ImageError> {
    if is_manifest(&descriptor.media_type) {
        return damage::read(store, layout, descriptor, name);
    }
    let index: Index = damage::read(store, layout, descriptor, name)?;
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
    damage::read(store, layout, ours, name)
}

/// The image whose id is, or begins with, `text`, which is told as `name` where there is none.
pub(super) fn by_id(store: &Store, layout: &Layout, text: &str, name: &str) -> Result<Image, ImageError> {
    let none = |unread| ImageError::NotFound { name: name.to_owned(), unread };
    let prefix = text.strip_prefix("sha256:").unwrap_or(text);
    if prefix.is_empty() || !prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(none(None));
    }
    let mut found: Vec<(Digest, Descriptor)> = Vec::new();
    let mut unread = None;
    for descriptor in layout.index()?.manifests.into_iter().filter(|m| is_manifest(&m.media_type)) {
        let digest = descriptor.digest.to_string();
        let manifest: Manifest = match damage::read(store, layout, &descriptor, &digest) {
            Ok(manifest) => manifest,
            // Another image's, most likely.
            Err(e) => {
                unread = Some(Box::new(e.below()));
                continue;
            }
        };
        let id = manifest.config.digest;
        if id.hex().starts_with(prefix) && !found.iter().any(|(other, _)| *other == id) {
            found.push((id, descriptor));
        }
    }
    match found.as_slice() {
        [] => Err(none(unread)),
        [(id, descriptor)] => image(store, layout, descriptor, id.to_string()),
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
    name: &str,
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
        unpack(store, layout, name, diff_id, layer)?;
    }
    Ok(())
}

/// Unpacks one layer of the image `name`, rootless in a child that has the store's id map. The caller
/// holds the images lock.
pub(super) fn unpack(
    store: &Store,
    layout: &Layout,
    name: &str,
    diff_id: &Digest,
    layer: &Descriptor,
) -> Result<(), ImageError> {
    let layers = store.layers();
    // For better owners only, and a container may run on it.
    if is_unpacked(&layers, diff_id) && any_lives(store) {
        return Ok(());
    }
    let options = match store.privilege() {
        Privilege::Rootful => UnpackOptions::root(),
        Privilege::Rootless => UnpackOptions::rootless(owners(store)?),
    };
    let path = layout.blob_path(&layer.digest);
    let inside = || {
        let blob = layout.blob(&layer.digest);
        match blob.and_then(|blob| unpack_into_store(&layers, diff_id, blob, &options)) {
            Ok(_) => Ok(None),
            Err(e) => damage::why(&e, &path).map_or(Err(e), |why| Ok(Some(why))),
        }
    };
    let done = in_id_map(store, inside).map_err(|source| ImageError::Layer { diff_id: *diff_id, source })?;
    done.map_or(Ok(()), |why| Err(damage::damaged(store, name, &path, why)))
}

/// Whether a container may run: its lock is held, or nobody can tell.
fn any_lives(store: &Store) -> bool {
    let dirs = std::fs::read_dir(store.containers());
    dirs.map_or(true, |mut all| {
        all.any(|d| d.map_or(true, |d| is_locked(&d.path().join("lock")).unwrap_or(true)))
    })
}

/// With a single id in the store's map, no file can belong to anybody else.
fn owners(store: &Store) -> Result<Owners, StoreError> {
    let single = store.privilege() == Privilege::Rootless && id_maps(store)?.uid.len() == 1;
    Ok(if single { Owners::Single } else { Owners::Keep })
}

/// The manifest that `reference` means, if its name stands in the index.
pub(super) fn named(
    store: &Store,
    layout: &Layout,
    reference: &Reference,
) -> Result<Option<Manifest>, ImageError> {
    let descriptor = layout.resolve(reference)?.filter(|d| is_manifest(&d.media_type));
    descriptor.map(|d| damage::read(store, layout, &d, &reference.familiar())).transpose()
}

#[cfg(test)]
#[path = "load_tests.rs"]
pub(super) mod tests;
