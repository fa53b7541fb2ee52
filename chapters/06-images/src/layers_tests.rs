use std::os::unix::fs::MetadataExt;

use super::*;
use crate::{Compression, Owners, PackOptions, pack_layer};

/// A layer with one file: its bytes and its diff id.
fn layer() -> (Vec<u8>, Digest) {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), "text").unwrap();
    let mut bytes = Vec::new();
    let options = PackOptions { owners: Owners::Single, mtime: Some(7), compression: Compression::Gzip(1) };
    let packed = pack_layer(tree.path(), &mut bytes, &options).unwrap();
    (bytes, packed.diff_id)
}

fn options() -> UnpackOptions {
    UnpackOptions::rootless(Owners::Single)
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_layer_gets_its_name_when_it_is_whole() {
    let (bytes, diff_id) = layer();
    let layers = tempfile::tempdir().unwrap();
    assert!(!is_unpacked(layers.path(), &diff_id));
    let lower = unpack_into_store(layers.path(), &diff_id, &bytes[..], &options()).unwrap();
    assert_eq!(lower, layer_dir(layers.path(), &diff_id));
    assert_eq!(fs::read(lower.join("file")).unwrap(), b"text");
    assert!(is_unpacked(layers.path(), &diff_id));
    assert_eq!(names(layers.path()), [diff_id.hex()]);
    // Nobody else gets at the set-uid programs of an image.
    assert_eq!(fs::metadata(layers.path().join(diff_id.hex())).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn a_layer_that_is_there_is_not_read_again() {
    let (bytes, diff_id) = layer();
    let layers = tempfile::tempdir().unwrap();
    unpack_into_store(layers.path(), &diff_id, &bytes[..], &options()).unwrap();
    let nothing: &[u8] = b"";
    assert!(unpack_into_store(layers.path(), &diff_id, nothing, &options()).is_ok());
}

#[test]
fn another_layer_than_the_image_names_is_refused_and_leaves_nothing() {
    let (bytes, found) = layer();
    let layers = tempfile::tempdir().unwrap();
    let expected = Digest::of(b"another");
    let error = unpack_into_store(layers.path(), &expected, &bytes[..], &options()).unwrap_err();
    assert!(
        matches!(error, Error::DiffId { expected: e, found: f } if e == expected && f == found),
        "{error}"
    );
    assert_eq!(names(layers.path()), Vec::<String>::new());
}

#[test]
fn a_cut_layer_leaves_nothing() {
    let (bytes, diff_id) = layer();
    let layers = tempfile::tempdir().unwrap();
    let cut = &bytes[..bytes.len() / 2];
    let error = unpack_into_store(layers.path(), &diff_id, cut, &options()).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
    assert_eq!(names(layers.path()), Vec::<String>::new());
}

#[test]
fn a_layer_of_an_earlier_boot_counts_only_when_synced() {
    let (bytes, diff_id) = layer();
    let layers = tempfile::tempdir().unwrap();
    let lower = unpack_into_store(layers.path(), &diff_id, &bytes[..], &options()).unwrap();
    let dir = layers.path().join(diff_id.hex());
    let mark = dir.join("boot-id");
    fs::remove_file(&mark).unwrap();
    fs::write(&mark, "00000000-0000-0000-0000-000000000000\n").unwrap();
    assert!(!is_unpacked(layers.path(), &diff_id));
    let before = fs::metadata(&lower).unwrap().ino();
    unpack_into_store(layers.path(), &diff_id, &bytes[..], &options()).unwrap();
    assert_ne!(fs::metadata(&lower).unwrap().ino(), before);
    sync_layer(layers.path(), &diff_id).unwrap();
    fs::remove_file(&mark).unwrap();
    assert!(is_unpacked(layers.path(), &diff_id));
    assert_eq!(names(&dir), ["fs", "synced"]);
}

#[test]
fn what_a_killed_process_left_is_swept() {
    let (bytes, diff_id) = layer();
    let layers = tempfile::tempdir().unwrap();
    fs::create_dir_all(layers.path().join(".tmp-0-0/fs/etc")).unwrap();
    let parents = format!(".tmp-{}-hostbox", std::os::unix::process::parent_id());
    fs::create_dir(layers.path().join(&parents)).unwrap();
    unpack_into_store(layers.path(), &diff_id, &bytes[..], &options()).unwrap();
    assert_eq!(names(layers.path()), [parents, diff_id.hex()]);
}

#[test]
fn a_layer_whose_owners_were_put_aside_is_unpacked_again_by_who_has_more_ids() {
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    header.set_uid(if own.0 == 0 { 33 } else { own.0.into() });
    header.set_gid(if own.0 == 0 { 33 } else { own.1.into() });
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, "www", &b""[..]).unwrap();
    let bytes = tar.into_inner().unwrap();
    let diff_id = Digest::of(&bytes);
    let layers = tempfile::tempdir().unwrap();
    let dir = unpack_into_store(layers.path(), &diff_id, &bytes[..], &options()).unwrap();
    assert!(is_unpacked(layers.path(), &diff_id) && lacks_owners(layers.path(), &diff_id));
    assert_eq!(fs::metadata(dir.join("www")).unwrap().uid(), own.0);
    unpack_into_store(layers.path(), &diff_id, &bytes[..], &options()).unwrap();
    assert!(lacks_owners(layers.path(), &diff_id), "nobody has more ids");
    unpack_into_store(layers.path(), &diff_id, &bytes[..], &UnpackOptions::root()).unwrap();
    assert!(!lacks_owners(layers.path(), &diff_id));
    assert_eq!(u64::from(fs::metadata(dir.join("www")).unwrap().uid()), header.uid().unwrap());
    assert_eq!(names(layers.path()), [diff_id.hex()]);
}
