//! The store of layers: each unpacked once, under its diff id, shared by all images.
//!
//! ```text
//! layers/<hex of the diff id>/fs        the lower directory, never written to again
//!                            /boot-id   during which boot it was unpacked
//!                            /synced    it has been on the disk since
//! ```
//!
//! Unpacking doesn't wait for the disk: a layer can be made again from its blob. So one that isn't
//! `synced` counts only until the next boot, which might have come by a power cut.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::remove::remove_tree;
use crate::{Digest, UnpackError, UnpackOptions, Unpacked, unpack_layer};

/// A fresh number at each boot (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The lower directory of a layer below `layers`, whether it is there or not.
#[must_use]
pub fn layer_dir(layers: &Path, diff_id: &Digest) -> PathBuf {
    layers.join(diff_id.hex()).join("fs")
}

/// Whether the layer is there, whole, and has survived what happened since.
#[must_use]
pub fn is_unpacked(layers: &Path, diff_id: &Digest) -> bool {
    let dir = layers.join(diff_id.hex());
    dir.join("synced").exists()
        || fs::read(dir.join("boot-id")).is_ok_and(|then| fs::read(BOOT_ID).is_ok_and(|now| now == then))
}

/// Whether the layer's root is opaque: nothing of the layers below it is to be seen. overlayfs looks
/// for that mark in every directory but the root of a layer, so whoever stacks the layers does.
#[must_use]
pub fn hides_all_below(lower: &Path) -> bool {
    crate::pack::is_opaque(lower)
}

/// Unpacks the blob of a layer below `layers`, checks its diff id, and only then gives it its name.
///
/// A layer that is there already is left alone; one from before the last boot is replaced.
/// Rootless, this runs inside the id map of the store. The caller holds the lock of the images.
///
/// # Errors
/// [`UnpackError::DiffId`]: it is another layer; those of [`unpack_layer`]; `Store`. Nothing is left.
pub fn unpack_into_store(
    layers: &Path,
    diff_id: &Digest,
    reader: impl Read,
    options: &UnpackOptions,
) -> Result<PathBuf, UnpackError> {
    if !is_unpacked(layers, diff_id) {
        sweep(layers);
        let tmp = temporary(layers)?;
        let named = unpack_checked(&tmp, diff_id, reader, options)
            .and_then(|_| give_name(layers, &tmp, &layers.join(diff_id.hex())));
        if named.is_err() {
            let _ = discard(&tmp);
        }
        named?;
    }
    Ok(layer_dir(layers, diff_id))
}

fn unpack_checked(
    tmp: &Path,
    diff_id: &Digest,
    reader: impl Read,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    let into = tmp.join("fs");
    make_dir(&into, 0o755)?;
    let unpacked = unpack_layer(reader, &into, options)?;
    if unpacked.diff_id != *diff_id {
        return Err(UnpackError::DiffId { expected: *diff_id, found: unpacked.diff_id });
    }
    let mark = tmp.join("boot-id");
    fs::copy(BOOT_ID, &mark).map_err(store_error("write", &mark))?;
    Ok(unpacked)
}

/// Puts what was unpacked at its place. Whatever stands there is no usable layer.
fn give_name(layers: &Path, tmp: &Path, place: &Path) -> Result<(), UnpackError> {
    if place.exists() {
        let aside = temporary(layers)?;
        fs::rename(place, &aside).map_err(store_error("rename", place))?;
        discard(&aside)?;
    }
    fs::rename(tmp, place).map_err(store_error("rename", tmp))
}

/// Waits until the layer is on the disk, and notes that it is. For a moment when nobody waits.
///
/// # Errors
/// `Store`.
pub fn sync_layer(layers: &Path, diff_id: &Digest) -> Result<(), UnpackError> {
    let dir = layers.join(diff_id.hex());
    let mark = dir.join("synced");
    if mark.exists() {
        return Ok(());
    }
    let opened = File::open(&dir).map_err(store_error("open", &dir))?;
    rustix::fs::syncfs(&opened).map_err(|e| store_error("sync", &dir)(e.into()))?;
    let file = File::create(&mark).map_err(store_error("write", &mark))?;
    file.sync_all().map_err(store_error("sync", &mark))
}

/// An empty directory of our own. What a killed process of our number left there goes first.
fn temporary(layers: &Path) -> Result<PathBuf, UnpackError> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let tmp = layers.join(format!(".tmp-{}-{number}", std::process::id()));
    if tmp.exists() {
        discard(&tmp)?;
    }
    // Closed: else any user of the host could start an image's old set-uid programs (CVE-2021-41091).
    make_dir(&tmp, 0o700)?;
    Ok(tmp)
}

/// Removes what processes that were killed have left: under the caller's lock, nobody else works here.
fn sweep(layers: &Path) {
    let ours = format!(".tmp-{}-", std::process::id());
    for entry in fs::read_dir(layers).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".tmp-") && !name.starts_with(&ours) {
            // What stays is tried again next time.
            let _ = discard(&entry.path());
        }
    }
}

fn make_dir(path: &Path, mode: u32) -> Result<(), UnpackError> {
    DirBuilder::new().mode(mode).create(path).map_err(store_error("make", path))
}

fn discard(path: &Path) -> Result<(), UnpackError> {
    let (parent, name) =
        (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or(OsStr::new(".")));
    let dir = File::open(parent).map_err(store_error("open", parent))?;
    remove_tree(dir.as_fd(), name).map_err(|e| store_error("remove", path)(e.into()))
}

fn store_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> UnpackError + use<> {
    let path = path.to_owned();
    move |source| UnpackError::Store { what, path, source }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
