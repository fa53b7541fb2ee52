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

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempPath;

use crate::error::io_error;
use crate::spec::{annotation, media};
use crate::walk::proc_path;
use crate::{Descriptor, Digest, Error, Hashing, Index, Reference};

/// The most bytes that a manifest or a configuration may have: what registries allow
/// (OCI distribution-spec, "Pushing Manifests": at least 4 MiB).
const MOST_JSON: u64 = 4 << 20;

/// The most of index.json and oci-layout: more than a hundred thousand images.
const MOST_INDEX: u64 = 64 << 20;

/// How a file begins that has no name of its own yet.
const TMP: &str = ".tmp-";

/// One image layout directory.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Opens the layout in `dir`, or makes an empty one there.
    ///
    /// # Errors
    /// [`Error::Version`]; `Json` where `oci-layout` is damaged; `Io`.
    pub fn open_or_create(dir: &Path) -> Result<Self, Error> {
        let layout = Self { dir: dir.to_owned() };
        let path = dir.join("oci-layout");
        let found: serde_json::Value = match read_file(&path) {
            Err(Error::Io { source, .. }) if source.errno() == sys::Errno::ENOENT => {
                layout.create()?;
                read_file(&path)?
            }
            found => found?,
        };
        match found["imageLayoutVersion"].as_str() {
            Some("1.0.0") => Ok(layout),
            other => Err(Error::Version { path, version: other.unwrap_or("none").to_owned() }),
        }
    }

    /// `oci-layout` comes last: a directory that has it is whole.
    fn create(&self) -> Result<(), Error> {
        let [blobs, index] = ["blobs/sha256", "index.json"].map(|name| self.dir.join(name));
        fs::create_dir_all(&blobs).map_err(io_error("mkdir", &blobs))?;
        if !index.try_exists().map_err(io_error("stat", &index))? {
            self.replace("index.json", &to_json(&Index::default()))?;
        }
        self.replace("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    /// Where the blob of this digest lies, if it is there.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    /// Opens a blob. Its bytes are not checked: whoever reads them hashes them on the way.
    ///
    /// # Errors
    /// `Io` with ENOENT: it isn't there.
    pub fn blob(&self, digest: &Digest) -> Result<File, Error> {
        open(&self.blob_path(digest))
    }

    /// Stores what `reader` gives, and tells its digest and size. Nothing is left of a failed try.
    ///
    /// # Errors
    /// `Io`: the reader's error, a full disk.
    pub fn put_blob(&self, media_type: &str, mut reader: impl Read) -> Result<Descriptor, Error> {
        let (descriptor, _) = self.put_with(media_type, |writer| {
            io::copy(&mut reader, writer).map_err(io_error("write", &self.dir))
        })?;
        Ok(descriptor)
    }

    /// Stores what `write` writes, and gives its value as well. Nothing is left of a failed try.
    ///
    /// # Errors
    /// Those of `write`; `Io`.
    pub fn put_with<T>(
        &self,
        media_type: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<T, Error>,
    ) -> Result<(Descriptor, T), Error> {
        let (file, tmp) = self.new_file()?;
        let mut hashing = Hashing::new(file);
        let value = write(&mut hashing)?;
        let (digest, size, file) = hashing.finish();
        self.give_name(&file, tmp, &self.blob_path(&digest))?;
        Ok((Descriptor::new(media_type, digest, size), value))
    }

    /// Removes what processes that were killed have left. What is written now is younger than an hour.
    pub fn sweep(&self) {
        let hour = std::time::Duration::from_secs(3600);
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let modified = entry.metadata().and_then(|m| m.modified());
            let old = modified.is_ok_and(|t| t.elapsed().is_ok_and(|e| e > hour));
            if old && entry.file_name().to_string_lossy().starts_with(TMP) {
                // One that stays is tried again next time.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Stores a document as JSON.
    ///
    /// # Errors
    /// As [`Layout::put_blob`].
    pub fn put_json(&self, media_type: &str, value: &impl Serialize) -> Result<Descriptor, Error> {
        self.put_blob(media_type, &to_json(value)[..])
    }

    /// Reads a document, checks its size and digest, and parses it.
    ///
    /// # Errors
    /// [`Error::Damaged`], `TooBig`, `Json`, `Io`.
    pub fn read_json<T: DeserializeOwned>(&self, descriptor: &Descriptor) -> Result<T, Error> {
        let (digest, size) = (descriptor.digest, descriptor.size);
        if size > MOST_JSON {
            return Err(Error::TooBig { what: format!("blob {digest}"), limit: MOST_JSON });
        }
        let path = self.blob_path(&digest);
        let bytes = read(&path, MOST_JSON + 1)?;
        let (found, length) = (Digest::of(&bytes), bytes.len() as u64);
        if (found, length) != (digest, size) {
            return Err(Error::Damaged { expected: digest, found, size: length });
        }
        parse(&path, &bytes)
    }

    /// What the layout holds under which names.
    ///
    /// # Errors
    /// `Json`, `Io`.
    pub fn index(&self) -> Result<Index, Error> {
        read_file(&self.dir.join("index.json"))
    }

    /// Replaces the index by another one, at once.
    ///
    /// # Errors
    /// `Io`.
    pub fn set_index(&self, index: &Index) -> Result<(), Error> {
        self.replace("index.json", &to_json(index))
    }

    /// Lets `name` mean `manifest` from now on. What it meant before stays, without a name.
    ///
    /// # Errors
    /// `Json`, `Io`.
    pub fn set_reference(&self, name: &Reference, mut manifest: Descriptor) -> Result<(), Error> {
        let mut index = self.index()?;
        for old in index.manifests.iter_mut().filter(|m| is_named(m, name)) {
            old.annotations.remove(annotation::REF_NAME);
            old.annotations.remove(annotation::IMAGE_NAME);
        }
        manifest.annotations.insert(annotation::REF_NAME.to_owned(), name.familiar());
        manifest.annotations.insert(annotation::IMAGE_NAME.to_owned(), name.to_string());
        index.manifests.push(manifest);
        // A manifest without a name has one entry, and none once it has a name.
        let named = index.manifests.iter().filter(|m| name_of(m).is_some());
        let mut seen: HashSet<Digest> = named.map(|m| m.digest).collect();
        index.manifests.retain(|m| name_of(m).is_some() || seen.insert(m.digest));
        self.set_index(&index)
    }

    /// The manifest (or index) that `name` means. A name with a digest means that manifest, whatever the tag.
    ///
    /// # Errors
    /// `Json`, `Io`.
    pub fn resolve(&self, name: &Reference) -> Result<Option<Descriptor>, Error> {
        let found = |m: &Descriptor| name.digest().map_or_else(|| is_named(m, name), |d| m.digest == d);
        Ok(self.index()?.manifests.into_iter().find(found))
    }

    fn replace(&self, name: &str, text: &[u8]) -> Result<(), Error> {
        let (path, (mut file, tmp)) = (self.dir.join(name), self.new_file()?);
        file.write_all(text).map_err(io_error("write", &path))?;
        self.give_name(&file, tmp, &path)
    }

    /// A file without a name, of which nothing is left if we are killed (open(2), O_TMPFILE). Not every
    /// file system has them; there it has one, and is removed unless it gets another.
    fn new_file(&self) -> Result<(File, Option<TempPath>), Error> {
        let how = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let readable = Permissions::from_mode(0o644);
        let named = match rustix::fs::openat(CWD, &self.dir, how, Mode::from_raw_mode(0o644)) {
            Ok(file) => return Ok((file.into(), None)),
            // With a name it would fail as well, and tempfile's error has no errno.
            Err(e @ (Errno::NOSPC | Errno::DQUOT | Errno::MFILE | Errno::ROFS)) => Err(e.into()),
            Err(_) => tempfile::Builder::new().prefix(TMP).permissions(readable).tempfile_in(&self.dir),
        };
        let (file, tmp) = named.map_err(io_error("openat", &self.dir))?.into_parts();
        Ok((file, Some(tmp)))
    }

    /// Syncs the file, names it, and syncs the directory, which holds the new name. What has that name
    /// is replaced at once: a blob should have the same bytes, but a disk may have changed them.
    fn give_name(&self, file: &File, tmp: Option<TempPath>, path: &Path) -> Result<(), Error> {
        let from = proc_path(file.as_fd());
        let how = AtFlags::SYMLINK_FOLLOW;
        let link = |to: &Path| rustix::fs::linkat(CWD, &from, CWD, to, how).map_err(io::Error::from);
        let named = file.sync_all().and_then(|()| {
            match tmp.map_or_else(|| link(path), |tmp| Ok(tmp.persist(path)?)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    tempfile::Builder::new().prefix(TMP).make_in(&self.dir, link)?.persist(path)?;
                }
                other => other?,
            }
            path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
        });
        named.map_err(io_error("write", path))
    }
}

/// A manifest or index of OCI or of Docker; another document is no image.
#[must_use]
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, media::MANIFEST | media::DOCKER_MANIFEST)
}

/// containerd's full name counts before the short one, which other tools write as they please.
fn name_of(m: &Descriptor) -> Option<&String> {
    m.annotations.get(annotation::IMAGE_NAME).or(m.annotations.get(annotation::REF_NAME))
}

fn is_named(m: &Descriptor, name: &Reference) -> bool {
    name_of(m).and_then(|text| text.parse::<Reference>().ok()).is_some_and(|r| r == *name)
}

fn read_file<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    parse(path, &read(path, MOST_INDEX)?)
}

/// A fifo in the place of a file must not let us wait for its writer.
fn open(path: &Path) -> Result<File, Error> {
    let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, how, Mode::empty()).map(File::from).map_err(io_error("openat", path))
}

/// The bytes of a file, no more than `most`.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let file = open(path)?;
    // With room to spare the end is seen by one more read, and without another buffer.
    let mut bytes = Vec::with_capacity(file.metadata().map_or(0, |meta| meta.len().min(most)) as usize + 32);
    file.take(most).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(text).map_err(|source| Error::Json { path: path.to_owned(), source })
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    // Our own types are maps with text keys, which serde_json never refuses.
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
