use super::*;
use crate::{ImageConfig, Manifest};

fn new_layout() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::open_or_create(&dir.path().join("images")).unwrap();
    (dir, layout)
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A manifest without layers, whose configuration says who made it.
fn manifest(layout: &Layout, author: &str) -> Descriptor {
    let mut config = ImageConfig::default();
    config.extra.insert("author".to_owned(), author.into());
    let config = layout.put_json(media::CONFIG, &config).unwrap();
    layout.put_json(media::MANIFEST, &Manifest::new(config, Vec::new())).unwrap()
}

fn named(index: &Index) -> Vec<(Option<&str>, Digest)> {
    let entry = index.manifests.iter();
    entry.map(|m| (m.annotations.get(annotation::REF_NAME).map(String::as_str), m.digest)).collect()
}

#[test]
fn a_new_layout_is_whole_and_opens_again() {
    let (_dir, layout) = new_layout();
    assert_eq!(files(&layout.dir), ["blobs", "index.json", "oci-layout"]);
    assert_eq!(Layout::open_or_create(&layout.dir).unwrap().index().unwrap(), Index::default());
}

#[test]
fn another_version_is_refused() {
    let (_dir, layout) = new_layout();
    fs::write(layout.dir.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    let error = Layout::open_or_create(&layout.dir).unwrap_err();
    assert!(matches!(error, Error::Version { version, .. } if version == "2.0.0"));
    fs::write(layout.dir.join("oci-layout"), "").unwrap();
    assert!(matches!(Layout::open_or_create(&layout.dir), Err(Error::Json { .. })));
}

#[test]
fn a_lost_oci_layout_is_written_again_and_the_index_stays() {
    let (_dir, layout) = new_layout();
    layout.set_reference(&"a".parse().unwrap(), manifest(&layout, "a")).unwrap();
    let index = layout.index().unwrap();
    fs::remove_file(layout.dir.join("oci-layout")).unwrap();
    assert_eq!(Layout::open_or_create(&layout.dir).unwrap().index().unwrap(), index);
    assert_eq!(files(&layout.dir), ["blobs", "index.json", "oci-layout"]);
}

#[test]
fn a_fifo_in_the_place_of_a_file_lets_nobody_wait() {
    let (_dir, layout) = new_layout();
    let blob = manifest(&layout, "a");
    for path in [layout.blob_path(&blob.digest), layout.dir.join("index.json")] {
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
    }
    assert!(matches!(layout.read_json::<Manifest>(&blob), Err(Error::Damaged { size: 0, .. })));
    assert!(matches!(layout.index(), Err(Error::Json { .. })));
}

#[test]
fn a_blob_lies_under_its_digest() {
    let (_dir, layout) = new_layout();
    let blob = layout.put_blob("text/plain", &b"text"[..]).unwrap();
    assert_eq!((blob.digest, blob.size), (Digest::of(b"text"), 4));
    assert_eq!(fs::read(layout.blob_path(&blob.digest)).unwrap(), b"text");
    assert!(layout.blob(&blob.digest).is_ok() && layout.blob(&Digest::of(b"other")).is_err());
    assert_eq!(layout.put_blob("text/plain", &b"text"[..]).unwrap(), blob);
}

#[test]
fn a_damaged_blob_is_mended_by_storing_it_again() {
    let (_dir, layout) = new_layout();
    let blob = layout.put_blob("text/plain", &b"text"[..]).unwrap();
    fs::write(layout.blob_path(&blob.digest), "tex7").unwrap();
    layout.put_blob("text/plain", &b"text"[..]).unwrap();
    assert_eq!(fs::read(layout.blob_path(&blob.digest)).unwrap(), b"text");
    assert_eq!(files(&layout.dir.join("blobs/sha256")), [blob.digest.hex()]);
}

#[test]
fn a_failed_write_leaves_nothing() {
    let (_dir, layout) = new_layout();
    let failed: Result<(_, ()), Error> = layout.put_with("text/plain", |writer| {
        writer.write_all(b"half").unwrap();
        Err(io_error("read", Path::new("/source"))(io::Error::other("gone")))
    });
    assert!(matches!(failed, Err(Error::Io { source, .. }) if source.call() == "read"));
    assert_eq!(files(&layout.dir), ["blobs", "index.json", "oci-layout"]);
    assert_eq!(files(&layout.dir.join("blobs/sha256")), Vec::<String>::new());
}

#[test]
fn a_damaged_document_is_noticed() {
    let (_dir, layout) = new_layout();
    let blob = manifest(&layout, "a");
    assert!(layout.read_json::<Manifest>(&blob).is_ok());
    let path = layout.blob_path(&blob.digest);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"schemaVersion\":2", "\"schemaVersion\":3")).unwrap();
    let error = layout.read_json::<Manifest>(&blob).unwrap_err();
    assert!(matches!(error, Error::Damaged { expected, .. } if expected == blob.digest), "{error}");
    let huge = Descriptor::new(media::MANIFEST, blob.digest, 1 << 40);
    assert!(matches!(layout.read_json::<Manifest>(&huge), Err(Error::TooBig { .. })));
}

#[test]
fn a_name_means_the_last_manifest_and_the_one_before_stays_nameless() {
    let (_dir, layout) = new_layout();
    let name: Reference = "hostbox".parse().unwrap();
    let (a, b) = (manifest(&layout, "a"), manifest(&layout, "b"));
    assert_eq!(layout.resolve(&name).unwrap(), None);
    layout.set_reference(&name, a.clone()).unwrap();
    layout.set_reference(&name, b.clone()).unwrap();
    assert_eq!(layout.resolve(&name).unwrap().unwrap().digest, b.digest);
    assert_eq!(named(&layout.index().unwrap()), [(None, a.digest), (Some("hostbox:latest"), b.digest)]);
    // The same again changes nothing; the first one back takes its nameless entry away.
    layout.set_reference(&name, a.clone()).unwrap();
    assert_eq!(named(&layout.index().unwrap()), [(None, b.digest), (Some("hostbox:latest"), a.digest)]);
}

#[test]
fn two_names_for_one_manifest_are_two_entries() {
    let (_dir, layout) = new_layout();
    let a = manifest(&layout, "a");
    for name in ["one", "two", "one"] {
        layout.set_reference(&name.parse().unwrap(), a.clone()).unwrap();
    }
    let index = layout.index().unwrap();
    assert_eq!(named(&index), [(Some("two:latest"), a.digest), (Some("one:latest"), a.digest)]);
    let by_digest = format!("elsewhere@{}", a.digest).parse().unwrap();
    assert_eq!(layout.resolve(&by_digest).unwrap().unwrap().digest, a.digest);
}

#[test]
fn what_another_tool_wrote_into_the_index_is_kept() {
    let (_dir, layout) = new_layout();
    let a = manifest(&layout, "a");
    let text = serde_json::json!({
        "schemaVersion": 2, "annotations": { "k": "v" }, "x-other": [1],
        "manifests": [{ "mediaType": media::MANIFEST, "digest": a.digest, "size": a.size,
                        "annotations": { annotation::REF_NAME: "debian:12" }, "urls": ["u"] }]
    });
    fs::write(layout.dir.join("index.json"), text.to_string()).unwrap();
    assert_eq!(layout.resolve(&"debian:12".parse().unwrap()).unwrap().unwrap().digest, a.digest);
    layout.set_reference(&"other".parse().unwrap(), manifest(&layout, "b")).unwrap();
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(layout.dir.join("index.json")).unwrap()).unwrap();
    assert_eq!((&index["annotations"]["k"], &index["x-other"][0]), (&"v".into(), &1.into()));
    assert_eq!(index["manifests"][0], text["manifests"][0]);
}

#[test]
fn only_old_temporaries_are_swept() {
    let (_dir, layout) = new_layout();
    let (old, new) = (layout.dir.join(".tmp-1-0"), layout.dir.join(".tmp-1-1"));
    for path in [&old, &new] {
        fs::write(path, "").unwrap();
    }
    let day_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
    File::options().write(true).open(&old).unwrap().set_modified(day_ago).unwrap();
    layout.sweep();
    assert!(!old.exists() && new.exists());
}
