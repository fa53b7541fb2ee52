//! The OCI image layout: images as files, under the names of their digests (image-layout.md).
//!
//! ```text
//! oci-layout        {"imageLayoutVersion":"1.0.0"}
//! index.json        which manifest each reference means
//! blobs/sha256/...  manifests, configurations and layers
//! ```
//!
//! skopeo and umoci read it in place. Blobs and index are synced: a name never points to a blob that
//! a power cut took. Whoever changes the index holds the lock of the images, which is the caller's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::spec::{annotation, media};
use crate::{Descriptor, Digest, Hashing, Index, Reference};

/// The most bytes that a manifest or a configuration may have: what registries allow
/// (OCI distribution-spec, "Pushing Manifests": at least 4 MiB).
const MOST_JSON: u64 = 4 << 20;

/// One image layout directory.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

/// What is wrong with a layout.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file of the layout could not be read or written.
    #[error("{what} {}", path.display())]
    Io {
        /// `read`, `write`, ...
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A document is not of its kind.
    #[error("parse {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// `oci-layout` names a version that is not known here.
    #[error("{} is of image layout version {version:?}, known is 1.0.0", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        version: String,
    },
    /// The bytes of a blob are not those of its descriptor.
    #[error("blob {expected} is damaged: it holds {size} bytes of digest {found}")]
    Damaged {
        /// The digest in the descriptor.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
        /// Their number.
        size: u64,
    },
    /// A document is larger than any registry takes.
    #[error("blob {digest} has {size} bytes, more than a manifest or configuration may have")]
    TooBig {
        /// Which one.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
}

impl Layout {
    /// Opens the layout in `dir`, or makes an empty one there.
    ///
    /// # Errors
    /// [`LayoutError::Version`]; `Json` where `oci-layout` is damaged; `Io`.
    pub fn open_or_create(dir: &Path) -> Result<Self, LayoutError> {
        let layout = Self { dir: dir.to_owned() };
        let path = dir.join("oci-layout");
        match fs::read(&path) {
            Ok(text) => layout.check_version(path, &text)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => layout.create()?,
            Err(source) => return Err(LayoutError::Io { what: "read", path, source }),
        }
        Ok(layout)
    }

    fn check_version(&self, path: PathBuf, text: &[u8]) -> Result<(), LayoutError> {
        let value: serde_json::Value = serde_json::from_slice(text)
            .map_err(|source| LayoutError::Json { path: path.clone(), source })?;
        match value["imageLayoutVersion"].as_str() {
            Some("1.0.0") => Ok(()),
            other => Err(LayoutError::Version { path, version: other.unwrap_or("none").to_owned() }),
        }
    }

    /// `oci-layout` comes last: a directory that has it is whole.
    fn create(&self) -> Result<(), LayoutError> {
        let blobs = self.dir.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(io_error("make", &blobs))?;
        if !self.dir.join("index.json").exists() {
            self.replace("index.json", &to_json(&Index::default()))?;
        }
        self.replace("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the blob of this digest lies, if it is there.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    /// Whether the blob is there. Its bytes are not read.
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.blob_path(digest).exists()
    }

    /// Opens a blob. Its bytes are not checked: whoever reads them hashes them on the way.
    ///
    /// # Errors
    /// `Io` with ENOENT: it isn't there.
    pub fn blob(&self, digest: &Digest) -> Result<File, LayoutError> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(io_error("open", &path))
    }

    /// Stores what `reader` gives, and tells its digest and size. Nothing is left of a failed try.
    ///
    /// # Errors
    /// `Io`: the reader's error, a full disk.
    pub fn put_blob(&self, media_type: &str, mut reader: impl Read) -> Result<Descriptor, LayoutError> {
        let (descriptor, _) = self.put_with(media_type, |writer| {
            io::copy(&mut reader, writer).map_err(io_error("write a blob in", &self.dir))
        })?;
        Ok(descriptor)
    }

    /// Stores what `write` writes, and gives its value as well. Nothing is left of a failed try.
    ///
    /// # Errors
    /// Those of `write`; `Io`.
    pub fn put_with<T, E: From<LayoutError>>(
        &self,
        media_type: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<T, E>,
    ) -> Result<(Descriptor, T), E> {
        let (tmp, file) =
            self.anonymous().map_or_else(|| self.temporary(), |file| Ok((PathBuf::new(), file)))?;
        let mut hashing = Hashing::new(file);
        let stored = write(&mut hashing).and_then(|value| {
            let (digest, size, file) = hashing.finish();
            let path = self.blob_path(&digest);
            let named = file.sync_all().and_then(|()| give_name(&file, &tmp, &path));
            named.map_err(io_error("write", &path))?;
            Ok((Descriptor::new(media_type, digest, size), value))
        });
        if stored.is_err() {
            let _ = fs::remove_file(&tmp);
        }
        stored
    }

    /// A file without a name, of which nothing is left if we are killed (open(2), O_TMPFILE). Not every
    /// file system has them.
    fn anonymous(&self) -> Option<File> {
        let how = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, &self.dir, how, Mode::from_raw_mode(0o644)).map(File::from).ok()
    }

    /// Removes what processes that were killed have left. What is written now is younger than an hour.
    pub fn sweep(&self) {
        let hour = std::time::Duration::from_secs(3600);
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let old = entry
                .metadata()
                .and_then(|m| m.modified())
                .is_ok_and(|t| t.elapsed().is_ok_and(|e| e > hour));
            if old && entry.file_name().to_string_lossy().starts_with(".tmp-") {
                // One that stays is tried again next time.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Stores a document as JSON.
    ///
    /// # Errors
    /// As [`Layout::put_blob`].
    pub fn put_json(&self, media_type: &str, value: &impl Serialize) -> Result<Descriptor, LayoutError> {
        self.put_blob(media_type, &to_json(value)[..])
    }

    /// Reads a document, checks its size and digest, and parses it.
    ///
    /// # Errors
    /// [`LayoutError::Damaged`], `TooBig`, `Json`, `Io`.
    pub fn read_json<T: DeserializeOwned>(&self, descriptor: &Descriptor) -> Result<T, LayoutError> {
        let (digest, size) = (descriptor.digest, descriptor.size);
        if size > MOST_JSON {
            return Err(LayoutError::TooBig { digest, size });
        }
        let path = self.blob_path(&digest);
        let mut bytes = Vec::new();
        let mut file = self.blob(&digest)?.take(MOST_JSON + 1);
        file.read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        let found = Digest::of(&bytes);
        if found != digest || bytes.len() as u64 != size {
            return Err(LayoutError::Damaged { expected: digest, found, size: bytes.len() as u64 });
        }
        serde_json::from_slice(&bytes).map_err(|source| LayoutError::Json { path, source })
    }

    /// What the layout holds under which names.
    ///
    /// # Errors
    /// `Json`, `Io`.
    pub fn index(&self) -> Result<Index, LayoutError> {
        let path = self.dir.join("index.json");
        let text = fs::read(&path).map_err(io_error("read", &path))?;
        serde_json::from_slice(&text).map_err(|source| LayoutError::Json { path, source })
    }

    /// Replaces the index by another one, at once.
    ///
    /// # Errors
    /// `Io`.
    pub fn set_index(&self, index: &Index) -> Result<(), LayoutError> {
        self.replace("index.json", &to_json(index))
    }

    /// Lets `name` mean `manifest` from now on. What it meant before stays, without a name.
    ///
    /// # Errors
    /// `Json`, `Io`.
    pub fn set_reference(&self, name: &Reference, manifest: Descriptor) -> Result<(), LayoutError> {
        let mut index = self.index()?;
        let mut named = manifest;
        named.annotations.insert(annotation::REF_NAME.to_owned(), name.familiar());
        named.annotations.insert(annotation::IMAGE_NAME.to_owned(), name.to_string());
        for old in index.manifests.iter_mut().filter(|m| is_named(m, name)) {
            old.annotations.remove(annotation::REF_NAME);
            old.annotations.remove(annotation::IMAGE_NAME);
        }
        // A manifest without a name has one entry, and none once it has a name.
        let mut seen: Vec<Digest> =
            index.manifests.iter().filter(|m| has_name(m)).map(|m| m.digest).collect();
        seen.push(named.digest);
        index.manifests.retain(|m| {
            let known = seen.contains(&m.digest);
            seen.push(m.digest);
            has_name(m) || !known
        });
        index.manifests.push(named);
        self.set_index(&index)
    }

    /// The manifest (or index) that `name` means. A name with a digest means that manifest, whatever the tag.
    ///
    /// # Errors
    /// `Json`, `Io`.
    pub fn resolve(&self, name: &Reference) -> Result<Option<Descriptor>, LayoutError> {
        let found = |m: &Descriptor| match name.digest() {
            Some(digest) => m.digest == digest,
            None => is_named(m, name),
        };
        Ok(self.index()?.manifests.into_iter().find(found))
    }

    /// Writes to a temporary, syncs, renames, and syncs the directory, which holds the new name.
    fn replace(&self, name: &str, text: &[u8]) -> Result<(), LayoutError> {
        let (tmp, mut file) = self.temporary()?;
        let path = self.dir.join(name);
        let done = (|| {
            file.write_all(text)?;
            file.sync_all()?;
            fs::rename(&tmp, &path)?;
            File::open(&self.dir)?.sync_all()
        })();
        if done.is_err() {
            let _ = fs::remove_file(&tmp);
        }
        done.map_err(io_error("write", &path))
    }

    fn temporary(&self) -> Result<(PathBuf, File), LayoutError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let tmp = self.dir.join(format!(".tmp-{}-{number}", std::process::id()));
        // What a killed process of our number left there is nobody's.
        let _ = fs::remove_file(&tmp);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&tmp);
        Ok((tmp.clone(), file.map_err(io_error("make", &tmp))?))
    }
}

/// A manifest or index of OCI or of Docker; another document is no image.
#[must_use]
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, media::MANIFEST | media::DOCKER_MANIFEST)
}

/// Gives a blob its name: by a rename, or to a file that had none. One that is there is replaced: it
/// should have the same bytes, but a disk may have changed them.
fn give_name(file: &File, tmp: &Path, path: &Path) -> io::Result<()> {
    if !tmp.as_os_str().is_empty() {
        return fs::rename(tmp, path);
    }
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = |to: &Path| rustix::fs::linkat(CWD, &from, CWD, to, AtFlags::SYMLINK_FOLLOW);
    match link(path) {
        Err(Errno::EXIST) => {
            let beside = path.with_extension(std::process::id().to_string());
            link(&beside)?;
            fs::rename(&beside, path)
        }
        other => Ok(other?),
    }
}

fn has_name(m: &Descriptor) -> bool {
    m.annotations.contains_key(annotation::REF_NAME) || m.annotations.contains_key(annotation::IMAGE_NAME)
}

/// containerd's full name counts before the short one, which other tools write as they please.
fn is_named(m: &Descriptor, name: &Reference) -> bool {
    let text = m.annotations.get(annotation::IMAGE_NAME).or(m.annotations.get(annotation::REF_NAME));
    text.and_then(|t| t.parse::<Reference>().ok()).is_some_and(|r| r == *name)
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    // Our own types are maps with text keys, which serde_json never refuses.
    serde_json::to_vec(value).unwrap_or_default()
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LayoutError {
    let path = path.to_owned();
    move |source| LayoutError::Io { what, path, source }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
