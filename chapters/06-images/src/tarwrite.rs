//! Writing a tar: ustar headers, and PAX records where those are too small.

use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use crate::tarfile::Xattrs;

/// One file to be written.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: EntryType,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: i64,
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Xattrs,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            name: Vec::new(),
            link: Vec::new(),
            kind: EntryType::Regular,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            device: (0, 0),
            xattrs: Vec::new(),
        }
    }
}

/// What the octal digits of a ustar header can hold (tar(5): 7 of an id, 11 of a size or time).
const MOST_ID: u64 = 0o777_7777;
const MOST_SIZE: u64 = 0o777_7777_7777;

/// A [`Builder`] that decides by itself what needs a PAX record.
pub(crate) struct TarWriter<W: Write>(Builder<W>);

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self(Builder::new(writer))
    }

    /// Writes one entry with the `size` bytes of `contents`.
    pub(crate) fn append(&mut self, record: &Record, contents: impl Read, size: u64) -> io::Result<()> {
        let mut header = Header::new_ustar();
        let mut pax: Vec<(String, Vec<u8>)> = Vec::new();
        header.set_entry_type(record.kind);
        header.set_mode(record.mode);
        let old = header.as_old_mut();
        if !put(&mut old.name, &record.name) {
            pax.push(("path".to_owned(), record.name.clone()));
        }
        if !put(&mut old.linkname, &record.link) {
            pax.push(("linkpath".to_owned(), record.link.clone()));
        }
        let mut number = |key: &str, value: u64, most: u64| {
            if value > most {
                pax.push((key.to_owned(), value.to_string().into_bytes()));
            }
            value.min(most)
        };
        header.set_uid(number("uid", u64::from(record.uid), MOST_ID));
        header.set_gid(number("gid", u64::from(record.gid), MOST_ID));
        header.set_size(number("size", size, MOST_SIZE));
        header.set_mtime(u64::try_from(record.mtime).unwrap_or(0).min(MOST_SIZE));
        if !(0..=MOST_SIZE.cast_signed()).contains(&record.mtime) {
            pax.push(("mtime".to_owned(), record.mtime.to_string().into_bytes()));
        }
        header.set_device_major(record.device.0)?;
        header.set_device_minor(record.device.1)?;
        for (key, value) in &record.xattrs {
            pax.push((format!("SCHILY.xattr.{}", String::from_utf8_lossy(key)), value.clone()));
        }
        header.set_cksum();
        if !pax.is_empty() {
            self.0.append_pax_extensions(pax.iter().map(|(key, value)| (key.as_str(), value.as_slice())))?;
        }
        self.0.append(&header, contents)
    }

    /// Ends the archive.
    pub(crate) fn finish(self) -> io::Result<W> {
        self.0.into_inner()
    }
}

/// Whether it fits. What does not fit is cut: the PAX record counts, and old readers see something.
fn put(field: &mut [u8; 100], text: &[u8]) -> bool {
    let n = text.len().min(field.len());
    field[..n].copy_from_slice(&text[..n]);
    text.len() <= field.len() && text.is_ascii()
}
