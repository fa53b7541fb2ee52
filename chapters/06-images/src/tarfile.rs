//! The frames of a tar: headers, long names, PAX records, contents; read and written.
//!
//! The `tar` crate knows one header. The walk from header to header is ours, since a layer may come
//! from an enemy: names and records are bounded, and the size of a link is no way to hide an entry.
//! Source: POSIX pax, "ustar Interchange Format" and "pax Header Block"; tar(5).

use std::io::{self, Read, Take, Write};

use tar::{Builder, EntryType, Header};

const BLOCK: usize = 512;
/// The most bytes of one long name or one set of PAX records: what Go's archive/tar allows.
const MOST_SPECIAL: u64 = 1 << 20;
/// What the octal digits of a ustar header can hold (tar(5): 7 of an id, 11 of a size or time).
const MOST_ID: i64 = 0o777_7777;
const MOST_SIZE: i64 = 0o777_7777_7777;

/// Keys and values: PAX records, extended attributes.
pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// One file of a tar, but for its contents.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// As it stands there: relative or absolute, with `.` and `..`.
    pub(crate) name: Vec<u8>,
    /// The target of a symbolic or hard link.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: EntryType,
    /// Permission bits with set-uid, set-gid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds since 1970. The latter are read, but not written.
    pub(crate) mtime: (i64, u32),
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Pairs,
}

impl Default for Entry {
    /// An empty file.
    fn default() -> Self {
        let (name, link, xattrs) = Default::default();
        let (mode, uid, gid, mtime, device) = Default::default();
        Self { name, link, kind: EntryType::Regular, mode, uid, gid, mtime, device, xattrs }
    }
}

/// Reads entry by entry; as a [`Read`] it gives the contents of the last one.
pub(crate) struct TarReader<R> {
    /// Limited to the contents of the current entry.
    inner: Take<R>,
    /// Zeros behind them, up to the next block.
    padding: u64,
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buf)? {
            0 if self.inner.limit() > 0 && !buf.is_empty() => Err(bad("the tar ends within a file")),
            n => Ok(n),
        }
    }
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner: inner.take(0), padding: 0 }
    }

    /// What was wrapped, read up to the end of the archive, not of the stream.
    pub(crate) fn into_inner(self) -> R {
        self.inner.into_inner()
    }

    /// The number of bytes in the contents of the current entry that are still to be read.
    pub(crate) fn left(&self) -> u64 {
        self.inner.limit()
    }

    /// The next file, or the end.
    pub(crate) fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let (mut long_name, mut long_link, mut pax) = (None, None, Vec::new());
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            match header.entry_type() {
                EntryType::GNULongName => long_name = Some(self.special()?),
                EntryType::GNULongLink => long_link = Some(self.special()?),
                EntryType::XHeader => pax = records(&self.special()?)?,
                // Go's archive/tar, and so Docker, doesn't apply global records either.
                EntryType::XGlobalHeader => drop(self.special()?),
                EntryType::GNUSparse => return Err(bad("sparse files of GNU tar are not read")),
                _ => {
                    let mut entry = entry_of(&header)?;
                    entry.name = long_name.unwrap_or(entry.name);
                    entry.link = long_link.unwrap_or(entry.link);
                    if let Some(size) = apply(pax, &mut entry)? {
                        self.frame(entry.kind, size)?;
                    }
                    // Before POSIX a directory was a file whose name ends in a slash.
                    if entry.kind == EntryType::Regular && entry.name.ends_with(b"/") {
                        entry.kind = EntryType::Directory;
                    }
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// The size in a header means no bytes behind it where the kind has none: some writers put
    /// the size of the target there.
    fn frame(&mut self, kind: EntryType, size: u64) -> io::Result<()> {
        use EntryType::{Block, Char, Directory, Fifo, Link, Symlink};
        let size = if matches!(kind, Link | Symlink | Directory | Char | Block | Fifo) { 0 } else { size };
        self.inner.set_limit(size);
        self.padding = size.checked_next_multiple_of(BLOCK as u64).ok_or(bad("size is too big"))? - size;
        Ok(())
    }

    /// The next header, with a right sum. A block of zeros, or the end of the stream, ends the archive.
    fn header(&mut self) -> io::Result<Option<Header>> {
        io::copy(self, &mut io::sink())?;
        // The zeros behind the last file are sometimes missing; nothing is lost then.
        self.inner.set_limit(self.padding);
        io::copy(&mut self.inner, &mut io::sink())?;
        self.inner.set_limit(BLOCK as u64);
        let mut block = Vec::with_capacity(BLOCK);
        self.inner.read_to_end(&mut block)?;
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        if block.len() < BLOCK {
            return Err(bad("the tar ends within a header"));
        }
        let header = Header::from_byte_slice(&block).clone();
        let mut right = header.clone();
        right.set_cksum();
        if header.cksum().ok() != right.cksum().ok() {
            return Err(bad("this is no tar: the header's checksum is wrong"));
        }
        self.frame(header.entry_type(), field(&header.as_old().size, header.entry_size())?)?;
        Ok(Some(header))
    }

    /// The contents as a name, or as records.
    fn special(&mut self) -> io::Result<Vec<u8>> {
        if self.left() > MOST_SPECIAL {
            return Err(bad("a name or a set of PAX records is longer than 1 MiB"));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        bytes.truncate(bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1));
        Ok(bytes)
    }
}

fn bad(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A numeric field; old writers leave fields that they don't use empty.
fn field(raw: &[u8], value: io::Result<u64>) -> io::Result<u64> {
    if raw.iter().all(|b| matches!(b, 0 | b' ')) { Ok(0) } else { value }
}

fn entry_of(header: &Header) -> io::Result<Entry> {
    let old = header.as_old();
    let number = |value: io::Result<Option<u32>>| value.ok().flatten().unwrap_or(0);
    Ok(Entry {
        name: header.path_bytes().into_owned(),
        link: header.link_name_bytes().map_or(Vec::new(), |l| l.into_owned()),
        kind: header.entry_type(),
        mode: (field(&old.mode, header.mode().map(u64::from))? & 0o7777) as u32,
        uid: id(field(&old.uid, header.uid())?)?,
        gid: id(field(&old.gid, header.gid())?)?,
        // The base-256 form of a negative time wraps around, and the cast takes that back.
        mtime: (field(&old.mtime, header.mtime())?.cast_signed(), 0),
        device: (number(header.device_major()), number(header.device_minor())),
        xattrs: Vec::new(),
    })
}

/// chown(2) takes the greatest number as "don't change".
fn id(number: u64) -> io::Result<u32> {
    u32::try_from(number).ok().filter(|n| *n != u32::MAX).ok_or(bad("an owner's id has more than 32 bits"))
}

/// `<length> <key>=<value>\n`, the length in decimal and of the whole record. The `tar` crate splits at
/// line ends, but a value may hold one (a capability does).
fn records(mut bytes: &[u8]) -> io::Result<Pairs> {
    let broken = || bad("broken PAX records");
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|b| *b == b' ').ok_or_else(broken)?;
        let length: usize = text(&bytes[..space])?.parse().map_err(|_| broken())?;
        let record = bytes.get(space + 1..length).and_then(|r| r.strip_suffix(b"\n")).ok_or_else(broken)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(broken)?;
        found.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
        bytes = &bytes[length..];
    }
    Ok(found)
}

/// Lets the records replace what the header says. Gives the size, if they name one.
fn apply(pax: Pairs, entry: &mut Entry) -> io::Result<Option<u64>> {
    let mut size = None;
    for (key, value) in pax {
        let number = || text(&value)?.parse::<u64>().map_err(|_| bad("a PAX record is no number"));
        match key.as_slice() {
            b"path" => entry.name = value,
            b"linkpath" => entry.link = value,
            b"size" => size = Some(number()?),
            b"uid" => entry.uid = id(number()?)?,
            b"gid" => entry.gid = id(number()?)?,
            b"mtime" => entry.mtime = time(text(&value)?).ok_or(bad("a PAX time is no number"))?,
            key if key.starts_with(b"GNU.sparse.") => {
                return Err(bad("sparse files of GNU tar are not read"));
            }
            key => {
                let name = key.strip_prefix(b"SCHILY.xattr.");
                entry.xattrs.extend(name.map(|name| (name.to_vec(), value)));
            }
        }
    }
    Ok(size)
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| bad("a PAX record is no text"))
}

/// `1350244992.023960108`, also with a minus sign, which goes for the fraction as well.
fn time(text: &str) -> Option<(i64, u32)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = seconds.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u32 = digits.parse().ok()?;
    if seconds.starts_with('-') && nanos > 0 {
        return Some((whole.checked_sub(1)?, 1_000_000_000 - nanos));
    }
    Some((whole, nanos))
}

impl Entry {
    /// Writes it with the `size` bytes of `contents`: a ustar header, and PAX records where that is
    /// too small. What does not fit is cut there: old readers see something.
    pub(crate) fn write(
        &self,
        tar: &mut Builder<impl Write>,
        contents: impl Read,
        size: u64,
    ) -> io::Result<()> {
        let mut header = Header::new_ustar();
        let mut pax: Vec<(String, Vec<u8>)> = Vec::new();
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        let old = header.as_old_mut();
        for (key, field, text) in
            [("path", &mut old.name, &self.name), ("linkpath", &mut old.linkname, &self.link)]
        {
            let n = text.len().min(field.len());
            field[..n].copy_from_slice(&text[..n]);
            if n < text.len() || !text.is_ascii() {
                pax.push((key.to_owned(), text.clone()));
            }
        }
        let mut number = |key: &str, value: i64, most: i64| {
            if !(0..=most).contains(&value) {
                pax.push((key.to_owned(), value.to_string().into_bytes()));
            }
            value.clamp(0, most).cast_unsigned()
        };
        header.set_uid(number("uid", self.uid.into(), MOST_ID));
        header.set_gid(number("gid", self.gid.into(), MOST_ID));
        header.set_size(number("size", size.cast_signed(), MOST_SIZE));
        header.set_mtime(number("mtime", self.mtime.0, MOST_SIZE));
        header.set_device_major(self.device.0)?;
        header.set_device_minor(self.device.1)?;
        header.set_cksum();
        let xattr = |(key, value): &(Vec<u8>, Vec<u8>)| {
            (format!("SCHILY.xattr.{}", String::from_utf8_lossy(key)), value.clone())
        };
        pax.extend(self.xattrs.iter().map(xattr));
        tar.append_pax_extensions(pax.iter().map(|(key, value)| (key.as_str(), value.as_slice())))?;
        tar.append(&header, contents)
    }
}

#[cfg(test)]
#[path = "tarfile_tests.rs"]
mod tests;
