//! Records: small JSON files with a version, replaced whole.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// A record and the version of its shape. Its JSON has that number in the field `version`.
pub trait Record: Serialize + DeserializeOwned {
    /// The newest version that this program reads and writes.
    const VERSION: u32;
}

/// Reads a record.
///
/// # Errors
/// `Damaged` for what isn't JSON of this shape, `Newer` for the record of a newer program, `Sys`.
pub fn read_record<T: Record>(path: &Path) -> Result<T, StoreError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let text = read_file(path)?;
    let damaged = |e: serde_json::Error| StoreError::Damaged { path: path.to_owned(), reason: e.to_string() };
    // The version comes first: a newer shape must be told as newer, not as damaged.
    let Versioned { version: found } = serde_json::from_slice(&text).map_err(damaged)?;
    if found > T::VERSION {
        let (found, known) = (found.to_string(), T::VERSION.to_string());
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    serde_json::from_slice(&text).map_err(damaged)
}

/// The whole file.
///
/// # Errors
/// `Sys`: it can't be opened, or can't be read.
pub fn read_file(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut text = Vec::new();
    // A fifo in the place of a file would let us wait for its writer.
    let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let mut file = opened.map_err(StoreError::io("openat", path, "O_RDONLY|O_NONBLOCK|O_CLOEXEC"))?;
    file.read_to_end(&mut text).map_err(StoreError::io("read", path, ""))?;
    Ok(text)
}

/// Writes a record to a temporary file beside `path` and renames it: a reader sees the old one or
/// the new one, never a part. With `sync` it also survives a loss of power.
///
/// # Errors
/// `Sys`: the disk is full, the directory is gone.
pub fn write_record<T: Serialize>(path: &Path, value: &T, sync: bool) -> Result<(), StoreError> {
    let text = serde_json::to_vec(value)
        .map_err(|e| StoreError::Damaged { path: path.to_owned(), reason: e.to_string() })?;
    replace_file(path, &text, 0o600, sync)
}

/// As [`write_record`], with the bytes and the mode (before the umask) of any file. It is a new inode:
/// its owner is ours again, and a mount of the old one keeps that.
///
/// # Errors
/// Those of [`write_record`].
pub fn replace_file(path: &Path, text: &[u8], mode: u32, sync: bool) -> Result<(), StoreError> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let shown = format!("{temporary:?}, {path:?}");
    let renamed = || fs::rename(&temporary, path).map_err(StoreError::call("rename", &shown));
    let written = write_new(&temporary, text, mode, sync).and_then(|()| renamed());
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    if sync && let Some(dir) = path.parent() {
        File::open(dir).and_then(|d| d.sync_all()).map_err(StoreError::io("fsync", dir, ""))?;
    }
    Ok(())
}

fn write_new(path: &Path, text: &[u8], mode: u32, sync: bool) -> Result<(), StoreError> {
    let mut options = File::options();
    let opened = options.write(true).create(true).truncate(true).mode(mode).open(path);
    let flags = "O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC";
    let mut file = opened.map_err(StoreError::io("openat", path, flags))?;
    file.write_all(text).map_err(StoreError::io("write", path, ""))?;
    if sync { file.sync_all().map_err(StoreError::io("fsync", path, "")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    struct Sample {
        version: u32,
        name: String,
    }
    impl Record for Sample {
        const VERSION: u32 = 2;
    }

    fn read(text: &str) -> Result<Sample, StoreError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sample.json");
        fs::write(&path, text).unwrap();
        read_record(&path)
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sample.json");
        let sample = Sample { version: 2, name: "x".into() };
        write_record(&path, &sample, true).unwrap();
        assert_eq!(read_record::<Sample>(&path).unwrap(), sample);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn damaged_and_newer_records_are_told_apart() {
        for text in ["", "{", "{\"version\":2,\"na", "{\"version\":2}", "[]", "{\"name\":\"x\"}"] {
            assert!(matches!(read(text), Err(StoreError::Damaged { .. })), "{text:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(read_record::<Sample>(&fifo), Err(StoreError::Damaged { .. })), "nobody waits");
        let newer = read("{\"version\":3,\"nom\":\"x\"}");
        assert!(matches!(newer, Err(StoreError::Newer { found, known, .. }) if found == "3" && known == "2"));
    }
}
