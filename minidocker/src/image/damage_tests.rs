use super::*;
use crate::image::load::tests::Try;
use crate::image::resolve;
use crate::store::Privilege;

/// How a file can be lost or damaged, and what is said of it.
const HARMS: [(&str, &str); 8] = [
    ("lost", "ENOENT (No such file or directory)"),
    ("empty", "it holds 0 bytes of digest sha256:e3b0"),
    ("cut", "it holds 10 bytes of digest"),
    ("changed", "of digest sha256:"),
    ("directory", "EISDIR (Is a directory)"),
    ("fifo", "it holds 0 bytes of digest sha256:e3b0"),
    ("link to itself", "ELOOP (Too many symbolic links encountered)"),
    ("link to nowhere", "ENOENT (No such file or directory)"),
];

fn harm(path: &Path, how: &str) {
    use std::os::unix::fs::symlink;
    let mut text = std::fs::read(path).unwrap();
    std::fs::remove_file(path).unwrap();
    match how {
        "lost" => {}
        "empty" => std::fs::write(path, "").unwrap(),
        "cut" => std::fs::write(path, &text[..10]).unwrap(),
        "changed" => {
            *text.last_mut().unwrap() ^= 1;
            std::fs::write(path, text).unwrap();
        }
        "directory" => std::fs::create_dir(path).unwrap(),
        "fifo" => nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        "link to itself" => symlink(path, path).unwrap(),
        _ => symlink("/no/such/file", path).unwrap(),
    }
}

#[test]
fn a_lost_or_damaged_blob_is_named_with_the_reason_and_the_way_to_bring_the_image_back() {
    for what in ["manifest", "config"] {
        for (how, why) in HARMS {
            let t = Try::new();
            let (descriptor, id) = t.image(&[t.layer("a")]);
            let digest = if what == "manifest" { descriptor.digest } else { id };
            t.name("app", descriptor);
            let path = t.layout.blob_path(&digest);
            harm(&path, how);
            let error = resolve(&t.store, "app").unwrap_err();
            assert_eq!(error.to_string(), "image 'app:latest' is damaged", "{what} {how}");
            let (because, remedy) = (error.below().because.unwrap(), error.below().remedy.unwrap());
            assert!(because.starts_with(&format!("{}: ", path.display())), "{because}");
            assert!(because.contains(why), "{what} {how}: {because}");
            let images = t.store.images();
            let told = format!(
                "rm -rf {}; skopeo copy FROM oci:{}:app:latest brings the image in again",
                path.display(),
                images.display()
            );
            assert_eq!(remedy, told);
        }
    }
}

#[test]
fn a_lost_or_damaged_layer_is_named_when_it_has_to_be_unpacked() {
    for (how, _) in HARMS {
        let mut t = Try::new();
        // So that no child is needed.
        t.store = Store::at(t.store.root().to_owned(), Privilege::Rootful).unwrap();
        // Its files are root's, which comes before the end of the blob tells that it was changed.
        if how == "changed" && !rustix::process::geteuid().is_root() {
            continue;
        }
        let (diff_id, layer) = t.layer("a");
        t.name("app", t.image(&[(diff_id, layer.clone())]).0);
        let path = t.layout.blob_path(&layer.digest);
        harm(&path, how);
        assert!(resolve(&t.store, "app").is_ok(), "{how}: nobody needs the blob");
        std::fs::remove_dir_all(t.store.layers().join(diff_id.hex())).unwrap();
        let error = resolve(&t.store, "app").unwrap_err();
        assert_eq!(error.to_string(), "image 'app:latest' is damaged", "{how}");
        assert!(error.below().because.unwrap().starts_with(&format!("{}: ", path.display())), "{how}");
    }
}

#[test]
fn a_name_that_may_be_an_unreadable_manifests_says_so() {
    let t = Try::new();
    let (descriptor, _) = t.image(&[t.layer("a")]);
    harm(&t.layout.blob_path(&descriptor.digest), "lost");
    t.name("app", descriptor);
    let error = resolve(&t.store, "cafe").unwrap_err();
    assert!(error.to_string().starts_with("Unable to find image 'cafe:latest' locally"), "{error}");
    assert!(error.below().because.is_some_and(|why| why.contains("ENOENT")));
    assert_eq!(resolve(&t.store, "tea").unwrap_err().below(), crate::store::Below::default());
}

#[test]
fn a_damaged_list_of_images_is_refused_and_moving_it_aside_begins_a_new_one_that_is_told() {
    for (how, _) in HARMS {
        let t = Try::new();
        t.name("app", t.image(&[t.layer("a")]).0);
        let path = t.store.images().join("index.json");
        harm(&path, if how == "changed" { "empty" } else { how });
        if how == "lost" {
            let (_, told) = layout(&t.store).unwrap();
            assert!(told[0].starts_with(&format!("the list of images {} was lost", path.display())));
            assert_eq!(layout(&t.store).unwrap().1, Vec::<String>::new(), "told once");
            assert!(t.error("app").starts_with("Unable to find image"));
            continue;
        }
        let error = resolve(&t.store, "app").unwrap_err();
        let is_kept = path.symlink_metadata().is_ok();
        assert!(is_kept && error.to_string().contains(path.to_str().unwrap()), "{how}: {error}");
        let remedy = error.below().remedy.unwrap();
        assert!(remedy.starts_with(&format!("mv {0} {0}.broken; ", path.display())), "{how}: {remedy}");
        std::fs::rename(&path, path.with_extension("json.broken")).unwrap();
        assert_eq!(layout(&t.store).unwrap().1.len(), 1, "{how}");
        assert!(t.error("app").starts_with("Unable to find image"), "{how}");
    }
}

#[test]
fn a_new_store_and_one_without_blobs_have_lost_nothing() {
    let t = Try::new();
    std::fs::remove_dir_all(t.store.images()).unwrap();
    std::fs::create_dir(t.store.images()).unwrap();
    assert_eq!(layout(&t.store).unwrap().1, Vec::<String>::new());
    std::fs::remove_file(t.store.images().join("index.json")).unwrap();
    assert_eq!(layout(&t.store).unwrap().1, Vec::<String>::new());
    // Both are gone, and blobs are there.
    t.layer("a");
    for file in ["index.json", "oci-layout"] {
        std::fs::remove_file(t.store.images().join(file)).unwrap();
    }
    assert_eq!(layout(&t.store).unwrap().1.len(), 1);
}

#[test]
fn a_damaged_oci_layout_is_refused_and_moving_it_aside_loses_no_image() {
    for how in ["empty", "cut", "directory", "fifo", "link to itself"] {
        let t = Try::new();
        let (descriptor, id) = t.image(&[t.layer("a")]);
        t.name("app", descriptor);
        let path = t.store.images().join("oci-layout");
        harm(&path, how);
        let error = resolve(&t.store, "app").unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{how}: {error}");
        let told = format!(
            "mv {0} {0}.broken; the next command writes it again, and no image is lost",
            path.display()
        );
        assert_eq!(error.below().remedy, Some(told), "{how}");
        std::fs::rename(&path, path.with_extension("broken")).unwrap();
        assert_eq!(resolve(&t.store, "app").unwrap().id, id, "{how}");
    }
}
