//! /etc/ld.so.cache: the table in which the loader of glibc looks libraries up.
//!
//! The format is glibc's own (its source, sysdeps/generic/dl-cache.h): a header, one entry of 24
//! bytes for each library, and their names. Before it may stand the table of libc5's time.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// CACHEMAGIC_VERSION_NEW.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// CACHEMAGIC of the old table: 12 bytes with the zero, then the count of its entries of 12 bytes.
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0\0";
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// One line of `ldconfig -p`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The name that programs need.
    pub(crate) name: OsString,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Made for certain processors only: a variant from a glibc-hwcaps directory.
    pub(crate) is_variant: bool,
}

/// Reads a cache; one that is damaged or of another format has no entries, as for the loader.
///
/// Which machine an entry is for is not read here (`flags` counts ABIs differently on each
/// architecture): the library itself is looked at. Of several variants of a library those for
/// any processor come first.
pub(crate) fn parse(bytes: &[u8], is_little_endian: bool) -> Vec<Entry> {
    let mut entries = table(bytes, is_little_endian).unwrap_or_default();
    entries.sort_by_key(|e| e.is_variant);
    entries
}

fn table(bytes: &[u8], little: bool) -> Option<Vec<Entry>> {
    let u32_at = |from: &[u8], at: usize| {
        let four: [u8; 4] = from.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    };
    let start = match bytes.strip_prefix(OLD_MAGIC) {
        None => 0,
        Some(old) => {
            let end = (u32_at(old, 0)? as usize).checked_mul(12)?.checked_add(16)?;
            // ALIGN_CACHE: 8 where a 64-bit number is aligned to 8, else 4.
            let aligned = [end.checked_next_multiple_of(8)?, end];
            *aligned.iter().find(|at| bytes.get(**at..).is_some_and(|b| b.starts_with(MAGIC)))?
        }
    };
    // Names are counted from here too.
    let table = bytes.get(start..)?;
    table.starts_with(MAGIC).then_some(())?;
    let name_at = |at: u32| {
        let text = table.get(at as usize..)?.split(|b| *b == 0).next()?;
        Some(OsStr::from_bytes(text).to_owned())
    };
    let count = u32_at(table, MAGIC.len())? as usize;
    let places = (0..count).map(|n| HEADER + n * ENTRY).take_while(|at| at + ENTRY <= table.len());
    // An entry: flags, key, value, osversion (4 bytes each), hwcap (8 bytes, 0 for any processor).
    let entry = |at: usize| {
        Some(Entry {
            name: name_at(u32_at(table, at + 4)?)?,
            path: name_at(u32_at(table, at + 8)?)?.into(),
            is_variant: (u32_at(table, at + 16)?, u32_at(table, at + 20)?) != (0, 0),
        })
    };
    places.map(entry).collect()
}
