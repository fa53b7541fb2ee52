//! The store of layers: each unpacked once, under its diff id, shared by all images.
//!
//! ```text
//! layers/<hex of the diff id>/fs        the lower directory, never written to again
//!                            /boot-id   during which boot it was unpacked
//!                            /synced    it has been on the disk since
//!                            /single-id some owners are only noted: there was one id for all
//! ```
//!
//! Unpacking doesn't wait for the disk: a layer can be made again from its blob. So one that isn't
//! `synced` counts only until the next boot, which might have come by a power cut.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use tempfile::TempDir;

use crate::error::io_error;
use crate::walk::remove_tree;
use crate::{Digest, Error, Owners, UnpackOptions, unpack_layer};

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
    // Where /proc is masked nobody can tell, and a layer may be in use: it is kept.
    let same = |then: Vec<u8>| fs::read(BOOT_ID).map_or(true, |now| now == then);
    dir.join("fs").is_dir() && (dir.join("synced").exists() || fs::read(dir.join("boot-id")).is_ok_and(same))
}

/// Whether files of the layer should have other owners than they have, because it was unpacked by a
/// user with a single id. Who has more ids unpacks it again.
#[must_use]
pub fn lacks_owners(layers: &Path, diff_id: &Digest) -> bool {
    layers.join(diff_id.hex()).join("single-id").exists()
}

/// Unpacks the blob of a layer below `layers`, checks its diff id, and only then gives it its name.
///
/// A layer that is there already is left alone. One from before the last boot is replaced, and one that
/// lacks owners which can be had now.
/// Rootless, this runs inside the id map of the store. The caller holds the lock of the images.
///
/// # Errors
/// [`Error::DiffId`]: it is another layer; those of [`unpack_layer`]; `Io`. Nothing is left.
pub fn unpack_into_store(
    layers: &Path,
    diff_id: &Digest,
    reader: impl Read,
    options: &UnpackOptions,
) -> Result<PathBuf, Error> {
    let better = options.owners == Owners::Keep && lacks_owners(layers, diff_id);
    if is_unpacked(layers, diff_id) && !better {
        return Ok(layer_dir(layers, diff_id));
    }
    sweep(layers);
    let tmp = temporary(layers)?;
    let done = fill(&tmp, diff_id, reader, options).and_then(|()| {
        let place = layers.join(diff_id.hex());
        // Whatever stands there is no usable layer.
        if place.exists() {
            let aside = temporary(layers)?;
            fs::rename(&place, aside.path().join("old")).map_err(io_error("rename", &place))?;
            discard(aside)?;
        }
        fs::rename(tmp.path(), &place).map_err(io_error("rename", tmp.path()))
    });
    match done {
        Ok(()) => drop(tmp.keep()),
        Err(e) => {
            let _ = discard(tmp);
            return Err(e);
        }
    }
    Ok(layer_dir(layers, diff_id))
}

fn fill(tmp: &TempDir, diff_id: &Digest, reader: impl Read, options: &UnpackOptions) -> Result<(), Error> {
    let (into, mark) = (tmp.path().join("fs"), tmp.path().join("boot-id"));
    DirBuilder::new().mode(0o755).create(&into).map_err(io_error("mkdir", &into))?;
    let unpacked = unpack_layer(reader, &into, options)?;
    let found = unpacked.diff_id;
    if found != *diff_id {
        return Err(Error::DiffId { expected: *diff_id, found });
    }
    if unpacked.owners_aside {
        let mark = tmp.path().join("single-id");
        File::create(&mark).map_err(io_error("openat", &mark))?;
    }
    fs::write(&mark, fs::read(BOOT_ID).unwrap_or_default()).map_err(io_error("write", &mark))
}

/// Waits until the layer is on the disk, and notes that it is. For a moment when nobody waits.
///
/// # Errors
/// `Io`.
pub fn sync_layer(layers: &Path, diff_id: &Digest) -> Result<(), Error> {
    let dir = layers.join(diff_id.hex());
    let mark = dir.join("synced");
    if mark.exists() {
        return Ok(());
    }
    let opened = File::open(&dir).map_err(io_error("openat", &dir))?;
    rustix::fs::syncfs(&opened).map_err(io_error("syncfs", &dir))?;
    // In the directory that was synced: another one may have its name by now.
    let made =
        rustix::fs::openat(&opened, "synced", OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC, Mode::RUSR);
    made.map_err(io::Error::from)
        .and_then(|file| File::from(file).sync_all())
        .map_err(io_error("openat", &mark))
}

fn prefix(pid: u32) -> String {
    format!(".tmp-{pid}-")
}

/// An empty directory of our own.
fn temporary(layers: &Path) -> Result<TempDir, Error> {
    let mut builder = tempfile::Builder::new();
    // Closed: else any user of the host could start an image's old set-uid programs (CVE-2021-41091).
    let builder = builder.permissions(Permissions::from_mode(0o700));
    builder.prefix(&prefix(std::process::id())).tempdir_in(layers).map_err(io_error("mkdir", layers))
}

/// Removes what processes that were killed have left. Under the caller's lock only we work here, and our
/// parent, if it has us do this in an id map: what the layer is made of may lie here too.
fn sweep(layers: &Path) {
    let ours = [std::process::id(), std::os::unix::process::parent_id()].map(prefix);
    for entry in fs::read_dir(layers).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".tmp-") && !ours.iter().any(|p| name.starts_with(p)) {
            // What stays is tried again next time.
            let _ = remove_tree(CWD, entry.path().as_os_str());
        }
    }
}

/// [`TempDir`] by itself gives up on a tree that is deep.
fn discard(tmp: TempDir) -> Result<(), Error> {
    let path = tmp.keep();
    remove_tree(CWD, path.as_os_str()).map_err(io_error("unlinkat", &path))
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
