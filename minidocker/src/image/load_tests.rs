use images::{Compression, PackOptions, Platform, RootFs, media, pack_layer};

use super::*;
use crate::image::resolve;

/// A store with its layers unpacked already, so that nothing starts a child.
pub(in crate::image) struct Try {
    _dir: tempfile::TempDir,
    pub(in crate::image) store: Store,
    pub(in crate::image) layout: Layout,
}

impl Try {
    pub(in crate::image) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("root"), Privilege::Rootless).unwrap();
        let layout = Layout::open_or_create(&store.images()).unwrap();
        Self { _dir: dir, store, layout }
    }

    /// A layer with one file of that name, or with an opaque root.
    pub(in crate::image) fn layer(&self, file: &str) -> (Digest, Descriptor) {
        let tree = tempfile::tempdir().unwrap();
        std::fs::write(tree.path().join(file), file).unwrap();
        let options = PackOptions { owners: Owners::Single, mtime: Some(1), compression: Compression::None };
        let mut bytes = Vec::new();
        let diff_id = pack_layer(tree.path(), &mut bytes, &options).unwrap().diff_id;
        let options = UnpackOptions::rootless(Owners::Single);
        unpack_into_store(&self.store.layers(), &diff_id, &bytes[..], &options).unwrap();
        (diff_id, self.layout.put_blob(media::LAYER, &bytes[..]).unwrap())
    }

    /// An image of these layers: the descriptor of its manifest, and its id.
    pub(in crate::image) fn image(&self, layers: &[(Digest, Descriptor)]) -> (Descriptor, Digest) {
        let diff_ids = layers.iter().map(|(diff_id, _)| *diff_id).collect();
        self.image_of(diff_ids, layers.iter().map(|(_, blob)| blob.clone()).collect())
    }

    fn image_of(&self, diff_ids: Vec<Digest>, layers: Vec<Descriptor>) -> (Descriptor, Digest) {
        let rootfs = RootFs { diff_ids, ..RootFs::default() };
        let config = ImageConfig { rootfs, ..ImageConfig::default() };
        let config = self.layout.put_json(media::CONFIG, &config).unwrap();
        let id = config.digest;
        (self.layout.put_json(media::MANIFEST, &Manifest::new(config, layers)).unwrap(), id)
    }

    pub(in crate::image) fn name(&self, name: &str, descriptor: Descriptor) {
        self.layout.set_reference(&name.parse().unwrap(), descriptor).unwrap();
    }

    pub(in crate::image) fn error(&self, name: &str) -> String {
        resolve(&self.store, name).unwrap_err().to_string()
    }
}

#[test]
fn an_unknown_name_is_told_in_dockers_words() {
    let t = Try::new();
    let first = |name: &str| t.error(name).lines().next().unwrap().to_owned();
    assert_eq!(first("foo"), "Unable to find image 'foo:latest' locally");
    assert_eq!(first("docker.io/library/foo:1"), "Unable to find image 'foo:1' locally");
    assert_eq!(first("hostbox:2"), "Unable to find image 'hostbox:2' locally");
    assert!(t.error("foo").contains("Built in: hostbox"));
    assert_eq!(first("a:b:c"), "invalid reference format");
}

#[test]
fn lowers_are_topmost_first_and_each_is_there_once() {
    let t = Try::new();
    let (a, b) = (t.layer("a"), t.layer("b"));
    let (descriptor, id) = t.image(&[a.clone(), b.clone(), a.clone()]);
    t.name("app", descriptor);
    let image = resolve(&t.store, "app").unwrap();
    let lower = |layer: &(Digest, Descriptor)| layer_dir(&t.store.layers(), &layer.0);
    assert_eq!(image.lowers, [lower(&a), lower(&b)]);
    assert!(image.lowers.iter().all(|l| l.is_absolute()));
    assert_eq!((image.id, image.name.as_str()), (id, "app:latest"));
}

#[test]
fn what_lies_below_an_opaque_root_is_not_stacked() {
    let t = Try::new();
    let layers = [t.layer("a"), t.layer(".wh..wh..opq"), t.layer("c")];
    t.name("app", t.image(&layers).0);
    let image = resolve(&t.store, "app").unwrap();
    let lower = |n: usize| layer_dir(&t.store.layers(), &layers[n].0);
    assert_eq!(image.lowers, [lower(2), lower(1)]);
}

#[test]
fn an_id_or_its_beginning_names_an_image_and_two_are_ambiguous() {
    let t = Try::new();
    let (descriptor, id) = t.image(&[t.layer("a")]);
    t.name("app", descriptor.clone());
    t.name("same", descriptor);
    for text in [&id.to_string(), &id.hex(), &id.short(), &id.hex()[..4], &id.to_string()[..12]] {
        assert_eq!(resolve(&t.store, text).unwrap().id, id, "{text}");
    }
    assert!(t.error(&"0".repeat(64)).contains("cannot specify 64-byte hexadecimal strings"));
    // Among 17 ids, two begin with the same digit.
    let mut seen = vec![id.hex()[..1].to_owned()];
    let twice = (0..16).find_map(|n| {
        let (descriptor, id) = t.image(&[t.layer(&format!("file{n}"))]);
        t.name(&format!("app{n}"), descriptor);
        let first = id.hex()[..1].to_owned();
        if seen.contains(&first) {
            Some(first)
        } else {
            seen.push(first);
            None
        }
    });
    assert!(t.error(&twice.unwrap()).contains("ambiguous"));
}

#[test]
fn of_several_platforms_the_one_of_this_machine_is_taken() {
    let t = Try::new();
    let platform = |architecture: &str| {
        Some(Platform {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: None,
            extra: spec::Extra::new(),
        })
    };
    let (mut other, _) = t.image(&[t.layer("other")]);
    other.platform = platform("s390x");
    let (mut ours, id) = t.image(&[t.layer("ours")]);
    ours.platform = platform(spec::architecture());
    let put = |manifests| t.layout.put_json(media::INDEX, &Index { manifests, ..Index::default() }).unwrap();
    t.name("app", put(vec![other.clone(), ours]));
    assert_eq!(resolve(&t.store, "app").unwrap().id, id);
    t.name("foreign", put(vec![other]));
    assert!(t.error("foreign").contains("it has linux/s390x"), "{}", t.error("foreign"));
}

#[test]
fn a_damaged_image_says_what_does_not_fit() {
    let t = Try::new();
    let (diff_id, layer) = t.layer("a");
    t.name("app", t.image_of(vec![diff_id, diff_id], vec![layer]).0);
    assert_eq!(t.error("app"), "image 'app:latest' is damaged");
    let below = resolve(&t.store, "app").unwrap_err().below();
    assert_eq!(below.because.as_deref(), Some("it has 2 diff ids, and 1 layers"));
}

#[test]
fn a_damaged_manifest_of_one_image_does_not_hide_the_others() {
    let t = Try::new();
    let (cut, _) = t.image(&[t.layer("a")]);
    std::fs::write(t.layout.blob_path(&cut.digest), "{").unwrap();
    t.name("cut", cut);
    let (descriptor, id) = t.image(&[t.layer("b")]);
    let of_container = || crate::image::of_container(&t.store, &id.to_string(), "app").map(|image| image.id);
    assert_eq!(of_container().unwrap(), id, "no manifest of the index names it");
    t.name("whole", descriptor);
    assert_eq!(of_container().unwrap(), id);
    assert_eq!(resolve(&t.store, &id.hex()).unwrap().id, id);
}

#[test]
fn a_layer_that_lacks_owners_is_kept_while_a_container_lives() {
    let mut t = Try::new();
    let (diff_id, blob) = t.layer("a");
    let dir = layer_dir(&t.store.layers(), &diff_id);
    let mark = dir.with_file_name("single-id");
    std::fs::write(&mark, "").unwrap();
    let container = t.store.containers().join("live");
    std::fs::create_dir(&container).unwrap();
    let lock = Lock::exclusive(&container.join("lock")).unwrap();
    // So that no child is needed.
    t.store = Store::at(t.store.root().to_owned(), Privilege::Rootful).unwrap();
    unpack(&t.store, &t.layout, "app", &diff_id, &blob).unwrap();
    assert!(mark.exists(), "its lower directory is as it was");
    drop(lock);
    assert!(!any_lives(&t.store));
    // Only root can give files the owners that it was told.
    if nix::unistd::geteuid().is_root() {
        unpack(&t.store, &t.layout, "app", &diff_id, &blob).unwrap();
        assert!(!mark.exists() && dir.join("a").exists());
    }
}
