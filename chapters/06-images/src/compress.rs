//! A layer as it comes: told by its first bytes, as its media type may lie or be missing.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// The tar inside, whatever is around it.
pub(crate) fn plain<'a>(reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    // RFC 1952, 2.3.1; RFC 8878, 3.1.1; the xz file format, 2.1.1.1; bzip2's "BZh".
    const GZIP: &[u8] = &[0x1f, 0x8b];
    const OTHERS: [(&[u8], &str); 3] =
        [(&[0x28, 0xb5, 0x2f, 0xfd], "zstd"), (b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2")];
    let mut reader = BufReader::with_capacity(128 << 10, reader);
    let start = reader.fill_buf()?;
    if start.starts_with(GZIP) {
        return Ok(Box::new(MultiGzDecoder::new(reader)));
    }
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| start.starts_with(magic)) {
        let text = format!("layers compressed with {name} are not read yet, gzip is");
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    Ok(Box::new(reader))
}
