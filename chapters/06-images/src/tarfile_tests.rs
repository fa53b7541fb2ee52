use std::io::Cursor;

use proptest::prelude::*;

use super::{Entry as Record, *};

fn tar_of(files: &[(Record, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (record, contents) in files {
        record.write(&mut tar, *contents, contents.len() as u64).unwrap();
    }
    tar.into_inner().unwrap()
}

fn file(name: &[u8]) -> Record {
    Record { name: name.to_vec(), mode: 0o644, ..Record::default() }
}

/// All entries with their contents, or why not.
fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, String> {
    let mut tar = TarReader::new(Cursor::new(bytes));
    let mut entries = Vec::new();
    while let Some(entry) = tar.next_entry().map_err(|e| e.to_string())? {
        let mut contents = Vec::new();
        tar.read_to_end(&mut contents).map_err(|e| e.to_string())?;
        entries.push((entry, contents));
    }
    Ok(entries)
}

/// One header with a right sum in front of `contents`.
fn raw(kind: EntryType, name: &[u8], size: u64, contents: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(contents);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn pax(records: &[u8]) -> Vec<u8> {
    raw(EntryType::XHeader, b"pax", records.len() as u64, records)
}

#[test]
fn what_is_written_is_read_with_all_its_metadata() {
    let long = [b"d/".as_slice(), &b"x".repeat(300)].concat();
    let record = Record {
        name: long.clone(),
        mode: 0o4755,
        uid: 3_000_000_000,
        gid: 7,
        mtime: (-5, 0),
        xattrs: vec![(b"user.k".to_vec(), b"a\nb\0=c".to_vec())],
        ..Record::default()
    };
    let link = Record { link: long.clone(), kind: EntryType::Symlink, ..file(b"link") };
    let entries =
        read(&tar_of(&[(record.clone(), b"contents"), (link, b""), (file(b"last"), b"z")])).unwrap();
    let (entry, contents) = &entries[0];
    assert_eq!((&entry.name, contents.as_slice()), (&long, b"contents".as_slice()));
    assert_eq!((entry.mode, entry.uid, entry.gid), (0o4755, 3_000_000_000, 7));
    assert_eq!((entry.mtime, &entry.xattrs), ((-5, 0), &record.xattrs));
    assert_eq!((entries[1].0.kind, &entries[1].0.link), (EntryType::Symlink, &long));
    assert_eq!(
        (entries[2].0.name.as_slice(), entries[2].1.as_slice()),
        (b"last".as_slice(), b"z".as_slice())
    );
}

#[test]
fn gnu_long_names_replace_the_short_one() {
    let long = b"y".repeat(200);
    let bytes =
        [raw(EntryType::GNULongName, b"././@LongLink", 200, &long), raw(EntryType::Regular, b"yy", 1, b"c")]
            .concat();
    let entries = read(&bytes).unwrap();
    assert_eq!((&entries[0].0.name, entries[0].1.as_slice()), (&long, b"c".as_slice()));
}

#[test]
fn contents_that_are_not_read_are_skipped() {
    let bytes = tar_of(&[(file(b"a"), &[1; 700]), (file(b"b"), b"bb")]);
    let mut tar = TarReader::new(Cursor::new(bytes));
    assert_eq!(tar.next_entry().unwrap().unwrap().name, b"a");
    assert_eq!(tar.next_entry().unwrap().unwrap().name, b"b");
    assert!(tar.next_entry().unwrap().is_none());
}

#[test]
fn a_link_with_a_size_has_no_contents() {
    let bytes =
        [raw(EntryType::Link, b"hard", 4096, b""), raw(EntryType::Regular, b"next", 1, b"n")].concat();
    let entries = read(&bytes).unwrap();
    assert_eq!(entries[1].0.name, b"next");
}

#[test]
fn a_directory_of_the_old_kind_ends_in_a_slash() {
    let entries = read(&raw(EntryType::Regular, b"old/", 0, b"")).unwrap();
    assert_eq!(entries[0].0.kind, EntryType::Directory);
}

#[test]
fn fractions_of_a_second_are_read() {
    let bytes = [pax(b"30 mtime=1350244992.023960108\n"), raw(EntryType::Regular, b"f", 0, b"")].concat();
    assert_eq!(read(&bytes).unwrap()[0].0.mtime, (1_350_244_992, 23_960_108));
    assert_eq!(time("-1.5"), Some((-2, 500_000_000)));
    assert_eq!(time("7"), Some((7, 0)));
    assert_eq!((time("x"), time("1.x"), time("")), (None, None, None));
}

#[test]
fn broken_archives_are_refused_with_the_reason() {
    let whole = tar_of(&[(file(b"a"), &[1; 700])]);
    let mut flipped = whole.clone();
    flipped[0] ^= 1;
    let file = raw(EntryType::Regular, b"f", 0, b"");
    let sparse = [pax(b"22 GNU.sparse.major=1\n"), file.clone()].concat();
    for (bytes, why) in [
        (&b"this is a text, and none that any tar would begin with"[..], "within a header"),
        (&[b'x'; 600], "checksum"),
        (&flipped, "checksum"),
        (&whole[..300], "within a header"),
        (&whole[..600], "within a file"),
        (&[pax(b"99 path=short\n"), file.clone()].concat(), "broken PAX"),
        (&[pax(b"0 path=short\n"), file.clone()].concat(), "broken PAX"),
        (&[pax(b"no records at all"), file.clone()].concat(), "broken PAX"),
        (&[pax(b"9 size=x\n"), file.clone()].concat(), "no number"),
        (&[pax(b"18 uid=4294967295\n"), file.clone()].concat(), "32 bits"),
        (&sparse, "sparse"),
        (&raw(EntryType::GNUSparse, b"s", 0, b""), "sparse"),
        (&raw(EntryType::GNULongName, b"l", 1 << 40, b""), "longer than 1 MiB"),
        (&raw(EntryType::XHeader, b"x", 1 << 40, b""), "longer than 1 MiB"),
    ] {
        let error = read(bytes).map(|_| ()).unwrap_err();
        assert!(error.contains(why), "{error:?}, not {why:?}");
    }
}

proptest! {
    /// Whatever comes, there is an answer: neither a panic nor more entries than blocks.
    #[test]
    fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let count = read(&bytes).map_or(0, |entries| entries.len());
        prop_assert!(count <= bytes.len() / BLOCK);
    }

    #[test]
    fn a_damaged_archive_is_read_to_an_end(at in 0_usize..4096, bits in 1_u8..) {
        let mut bytes = tar_of(&[(file(&b"n".repeat(150)), &[7; 600]), (file(b"b"), b"bb")]);
        let at = at % bytes.len();
        bytes[at] ^= bits;
        let count = read(&bytes).map_or(0, |entries| entries.len());
        prop_assert!(count <= 2);
    }

    #[test]
    fn names_of_any_length_and_byte_come_back(name in prop::collection::vec(1_u8.., 1..300)) {
        let entries = read(&tar_of(&[(file(&name), b"c")])).unwrap();
        prop_assert_eq!(&entries[0].0.name, &name);
        prop_assert_eq!(entries[0].1.as_slice(), b"c");
    }
}
