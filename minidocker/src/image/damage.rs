//! What is lost or damaged in the layout on disk, and the way out of it.
//!
//! Nothing is lost in silence: a list of images that is gone is begun anew and that is told, one that can't
//! be read is refused. An image is brought back by who brought it, but for `hostbox`, which is made again.

use std::io::ErrorKind;
use std::path::Path;

use images::{Descriptor, Error, Index, Layout};
use serde::de::DeserializeOwned;
use sys::Errno;

use super::ImageError;
use crate::store::{Below, Lock, Store, in_one_line, verb};

/// The layout of the store, made where it is missing, and what is to be told of it: its list of images was
/// lost, and a new one is begun.
pub(super) fn layout(store: &Store) -> Result<(Layout, Vec<String>), ImageError> {
    let images = store.images();
    let index = images.join("index.json");
    // A link that leads nowhere is there: what it should lead to may come back.
    let is_lost = || index.symlink_metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound);
    if !is_lost() {
        return Ok((Layout::open_or_create(&images)?, Vec::new()));
    }
    let _lock = Lock::exclusive(&store.lock_of("images"))?;
    let has_blobs = images.join("blobs/sha256").read_dir().is_ok_and(|mut blobs| blobs.next().is_some());
    let told = (is_lost() && has_blobs).then(|| {
        format!(
            "the list of images {} was lost: a new one is begun, hostbox is made again\n  do: {} for each other image",
            index.display(),
            again(store, "NAME")
        )
    });
    let layout = Layout::open_or_create(&images)?;
    if is_lost() {
        layout.set_index(&Index::default())?;
    }
    Ok((layout, told.into_iter().collect()))
}

/// Reads a document of the image `name`.
pub(super) fn read<T: DeserializeOwned>(
    store: &Store,
    layout: &Layout,
    descriptor: &Descriptor,
    name: &str,
) -> Result<T, ImageError> {
    let blob = layout.blob_path(&descriptor.digest);
    layout.read_json(descriptor).map_err(|e| match why(&e, &blob) {
        Some(why) => damaged(store, name, &blob, why),
        None => e.into(),
    })
}

/// The image can't be used, because of this blob.
pub(super) fn damaged(store: &Store, name: &str, blob: &Path, why: String) -> ImageError {
    let remedy = format!("rm -rf {}; {} brings the image in again", blob.display(), again(store, name));
    ImageError::Damaged { name: name.to_owned(), why: format!("{}: {why}", blob.display()), remedy }
}

/// The image can't be used, though each of its blobs may be whole.
pub(super) fn unfit(store: &Store, name: &str, why: String) -> ImageError {
    let remedy = format!("{} brings the image in again", again(store, name));
    ImageError::Damaged { name: name.to_owned(), why, remedy }
}

fn again(store: &Store, name: &str) -> String {
    let name = if name.starts_with("sha256:") { "NAME" } else { name };
    format!("skopeo copy FROM oci:{}:{name}", store.images().display())
}

/// What is wrong with the blob. None: it may be whole, and could not be looked at, or is refused.
pub(super) fn why(error: &Error, blob: &Path) -> Option<String> {
    match error {
        Error::Json { source, .. } => Some(source.to_string()),
        Error::Damaged { found, size, .. } => Some(format!("it holds {size} bytes of digest {found}")),
        Error::DiffId { .. } | Error::Read { .. } => Some(in_one_line(error, None, ToString::to_string)),
        Error::Io { path, source } if path == blob && is_no_file(source.errno()) => {
            Some(format!("{:?} ({})", source.errno(), source.errno().desc()))
        }
        _ => None,
    }
}

/// What open(2) and read(2) say where no regular file is.
pub(super) fn is_no_file(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::EISDIR | Errno::ELOOP | Errno::ENXIO)
}

/// What was tried, in words.
pub(super) fn shown(error: &Error) -> String {
    match error {
        Error::Json { path, .. } => format!("{} is damaged", path.display()),
        Error::Io { path, source } => format!("cannot {} {}", verb(source.call()), path.display()),
        other => in_one_line(other, Below::of(other).call.as_deref(), ToString::to_string),
    }
}

/// The lines below that.
pub(super) fn below(error: &Error) -> Below {
    let (path, because, told) = match error {
        Error::Json { path, source } => (path, Some(source.to_string()), Below::default()),
        Error::Version { path, version } if version == "none" => {
            (path, Some("it tells no version".to_owned()), Below::default())
        }
        Error::Version { .. } => {
            return Below::advice(
                "a newer program wrote it",
                "use that one, or set MINIDOCKER_ROOT to a directory of another name",
            );
        }
        // Of a write ENOENT is no word about that file: its new one got no name (by /proc/self/fd).
        Error::Io { path, source } if is_no_file(source.errno()) && source.call() != "write" => {
            let is_directory = source.errno() == Errno::EISDIR;
            let because = is_directory.then(|| "a directory stands in the place of the file".to_owned());
            (path, because, Below::of(error))
        }
        other => return Below::of(other),
    };
    let aside = format!("mv {0} {0}.broken", path.display());
    let remedy = match path.file_name().and_then(|name| name.to_str()) {
        Some("index.json") => format!(
            "{aside}; the next command begins a new list: hostbox is made again, other images are to be copied in again"
        ),
        Some("oci-layout") => format!("{aside}; the next command writes it again, and no image is lost"),
        _ => format!("{aside}; the next command makes it again"),
    };
    Below { because, remedy: Some(remedy), ..told }
}

#[cfg(test)]
#[path = "damage_tests.rs"]
mod tests;
