//! The frames of a tar: headers, long names, PAX records, contents.
//!
//! The `tar` crate reads one header. The walk from header to header is ours, since a layer may come
//! from an enemy: names and records are bounded, and values may hold line ends (a capability does).
//! Source: POSIX pax, "ustar Interchange Format" and "pax Header Block"; tar(5).

use std::io::{self, Read};

use tar::{EntryType, Header};

const BLOCK: usize = 512;
/// The most bytes of one long name or one set of PAX records: what Go's archive/tar allows.
const MOST_SPECIAL: u64 = 1 << 20;

/// Names and values of extended attributes.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// One file of a tar.
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
    /// Seconds and nanoseconds since 1970.
    pub(crate) mtime: (i64, u32),
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Xattrs,
}

/// Reads entry by entry; as a [`Read`] it gives the contents of the last one.
pub(crate) struct TarReader<R> {
    inner: R,
    /// Bytes of the current contents not yet read.
    left: u64,
    /// Zeros behind them, up to the next block.
    padding: u64,
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if most == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buf[..most])?;
        if n == 0 {
            return Err(bad("the tar ends within a file"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, left: 0, padding: 0 }
    }

    /// What was wrapped, read up to the end of the archive, not of the stream.
    pub(crate) fn into_inner(self) -> R {
        self.inner
    }

    /// The number of bytes in the contents of the current entry that are still to be read.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The next file, or the end.
    pub(crate) fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut pax = Vec::new();
        let (mut long_name, mut long_link) = (None, None);
        loop {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            self.frame(size_of(&header)?)?;
            match header.entry_type() {
                EntryType::GNULongName => long_name = Some(without_nul(self.special()?)),
                EntryType::GNULongLink => long_link = Some(without_nul(self.special()?)),
                EntryType::XHeader => pax = records(&self.special()?)?,
                // Go's archive/tar, and so Docker, doesn't apply global records either.
                EntryType::XGlobalHeader => drop(self.special()?),
                EntryType::GNUSparse => return Err(bad("sparse files of GNU tar are not read")),
                _ => {
                    let mut entry = entry_of(&header)?;
                    entry.name = long_name.unwrap_or(entry.name);
                    entry.link = long_link.unwrap_or(entry.link);
                    if let Some(size) = apply(pax, &mut entry)?
                        && has_contents(entry.kind)
                    {
                        self.frame(size)?;
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

    fn frame(&mut self, size: u64) -> io::Result<()> {
        self.left = size;
        self.padding = size.checked_next_multiple_of(BLOCK as u64).ok_or(bad("size is too big"))? - size;
        Ok(())
    }

    fn skip(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink())?;
        let padding = io::copy(&mut (&mut self.inner).take(self.padding), &mut io::sink())?;
        // The zeros behind the last file are sometimes missing; nothing is lost then.
        self.padding -= padding.min(self.padding);
        Ok(())
    }

    /// One header with a right sum. A block of zeros, or the end of the stream, ends the archive.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = Vec::with_capacity(BLOCK);
        (&mut self.inner).take(BLOCK as u64).read_to_end(&mut block)?;
        if block.is_empty() || block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        if block.len() < BLOCK {
            return Err(bad("the tar ends within a header"));
        }
        let header = Header::from_byte_slice(&block).clone();
        let sum: u32 = block.iter().enumerate().map(|(i, b)| sum_byte(i, *b)).sum();
        if header.cksum().ok() != Some(sum) {
            return Err(bad("this is no tar: the header's checksum is wrong"));
        }
        Ok(Some(header))
    }

    fn special(&mut self) -> io::Result<Vec<u8>> {
        if self.left > MOST_SPECIAL {
            return Err(bad("a name or a set of PAX records is longer than 1 MiB"));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The field of the sum itself, at 148 to 155, counts as spaces.
fn sum_byte(at: usize, byte: u8) -> u32 {
    u32::from(if (148..156).contains(&at) { b' ' } else { byte })
}

fn bad(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The size in a header means no bytes behind it where the kind has none: some writers put
/// the size of the target there.
fn has_contents(kind: EntryType) -> bool {
    !matches!(
        kind,
        EntryType::Link
            | EntryType::Symlink
            | EntryType::Directory
            | EntryType::Char
            | EntryType::Block
            | EntryType::Fifo
    )
}

fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    while name.last() == Some(&0) {
        name.pop();
    }
    name
}

/// A numeric field; old writers leave fields that they don't use empty.
fn field(raw: &[u8], value: io::Result<u64>) -> io::Result<u64> {
    if raw.iter().all(|b| matches!(b, 0 | b' ')) { Ok(0) } else { value }
}

fn size_of(header: &Header) -> io::Result<u64> {
    let size = field(&header.as_old().size, header.entry_size())?;
    Ok(if has_contents(header.entry_type()) { size } else { 0 })
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

/// `<length> <key>=<value>\n`, the length in decimal and of the whole record.
fn records(mut bytes: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let broken = || bad("broken PAX records");
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|b| *b == b' ').ok_or_else(broken)?;
        let length: usize = text(&bytes[..space])?.parse().map_err(|_| broken())?;
        let record = bytes.get(space + 1..length).ok_or_else(broken)?;
        let record = record.strip_suffix(b"\n").ok_or_else(broken)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(broken)?;
        found.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
        bytes = &bytes[length..];
    }
    Ok(found)
}

/// Lets the records replace what the header says. Gives the size, if they name one.
fn apply(pax: Vec<(Vec<u8>, Vec<u8>)>, entry: &mut Entry) -> io::Result<Option<u64>> {
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
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    entry.xattrs.push((name.to_vec(), value));
                }
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

#[cfg(test)]
#[path = "tarfile_tests.rs"]
mod tests;
