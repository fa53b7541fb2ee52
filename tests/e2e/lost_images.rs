//! Images whose files were lost or damaged: hostbox comes again by itself, all else has a way out that works.

use std::fs;
use std::path::{Path, PathBuf};

use kit::{Minidocker, Who};

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The files of hostbox: its manifest, its configuration, its layer.
fn blobs(md: &Minidocker) -> [PathBuf; 3] {
    let blob = |descriptor: &serde_json::Value| {
        let hex = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        md.root().join("images/blobs/sha256").join(hex)
    };
    let manifest = blob(&json(&md.root().join("images/index.json"))["manifests"][0]);
    let all = json(&manifest);
    [manifest, blob(&all["config"]), blob(&all["layers"][0])]
}

/// What is at `path` is replaced: it is a link to a file that other tests have too.
fn harm(md: &Minidocker, path: &Path, text: Option<&str>) {
    fs::remove_file(path).unwrap();
    if let Some(text) = text {
        fs::write(path, text).unwrap();
        md.who().own(path);
    }
}

#[test]
fn a_hostbox_that_was_lost_or_damaged_is_made_again_and_that_is_told() {
    // Each takes a while, and how a blob can be damaged is a test of room image.
    let cases = [("manifest", None), ("configuration", Some("")), ("layer", Some("[]"))];
    for who in Who::all() {
        for (which, (what, text)) in cases.into_iter().enumerate() {
            let md = kit::ours!(*who);
            md.line("run --name old hostbox sh -c 'echo mine >>/file; cat /file'").ok().stdout_is("mine");
            let blob = blobs(&md)[which].clone();
            harm(&md, &blob, text);
            if what == "layer" {
                // Else nobody needs the blob.
                let unpacked = md.root().join("layers").join(blob.file_name().unwrap());
                fs::rename(unpacked, md.room().join("layer")).unwrap();
            }
            let out = md.line("run --rm hostbox echo hi").ok().stdout_is("hi");
            let told =
                format!("minidocker: hostbox:latest was damaged and is made again: {}: ", blob.display());
            let err = out.err();
            assert!(err.starts_with(&told) && err.lines().count() == 1, "{who:?} {what}: {err}");
            md.line("run --rm hostbox echo hi").ok().quiet();
            if what == "configuration" {
                let out = md.line("start -a old").complains(1, "is damaged");
                crate::advised(&out, "do: make a new container", blob.to_str().unwrap());
            } else {
                md.line("start -a old").ok().quiet();
            }
            md.line("rm old").ok();
            md.nothing_left();
        }
    }
}

#[test]
fn a_damaged_list_of_images_is_moved_aside_and_nothing_is_lost_in_silence() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        md.line("run --name old hostbox true").ok();
        for (file, reason) in [("index.json", "EOF while parsing"), ("oci-layout", "expected value")] {
            let path = md.root().join("images").join(file);
            harm(&md, &path, Some(if file == "index.json" { "" } else { "x" }));
            let out = md.line("run --rm hostbox true");
            let out = out.complains(125, &format!("{} is damaged", path.display()));
            let aside = format!("{}.broken", path.display());
            crate::advised(&out, &format!("do: mv {} {aside}; the next command", path.display()), reason);
            md.line("ps -a").ok().quiet();
            fs::rename(&path, &aside).unwrap();
            let err = md.line("run --rm hostbox true").ok().err();
            let lost = format!("minidocker: the list of images {} was lost", path.display());
            assert_eq!(err.starts_with(&lost), file == "index.json", "{who:?}: {err}");
            md.line("run --rm hostbox true").ok().quiet();
            md.line("start -a old").ok().quiet();
        }
        md.line("rm old").ok();
        md.nothing_left();
    }
}

#[test]
fn a_hostbox_of_the_users_own_is_never_made_over() {
    let md = kit::ours!();
    let path = md.root().join("images/index.json");
    let [manifest, config, _] = blobs(&md);
    // Without our record it counts as the user's.
    let mut own = json(&manifest);
    own["annotations"] = serde_json::json!({});
    let text = own.to_string();
    let mut index = json(&path);
    let digest = format!("sha256:{}", sha256(&md, &text));
    index["manifests"][0]["digest"] = digest.clone().into();
    index["manifests"][0]["size"] = text.len().into();
    fs::write(manifest.with_file_name(&digest[7..]), &text).unwrap();
    harm(&md, &path, Some(&index.to_string()));
    md.line("run --rm hostbox true").ok().quiet();
    harm(&md, &config, Some(""));
    let out = md.line("run --rm hostbox true").complains(125, "image 'hostbox:latest' is damaged");
    let remedy = format!("do: rm -rf {}; skopeo copy FROM oci:", config.display());
    crate::advised(&out, &remedy, &format!("{}: it holds 0 bytes", config.display()));
    assert_eq!(json(&path), index);
}

fn sha256(md: &Minidocker, text: &str) -> String {
    let file = md.room().join("text");
    fs::write(&file, text).unwrap();
    let out = std::process::Command::new("sha256sum").arg(&file).output().unwrap();
    String::from_utf8(out.stdout).unwrap()[..64].to_owned()
}

#[test]
fn a_lost_directory_of_the_store_is_made_again() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        md.line("run --rm hostbox true").ok();
        std::fs::remove_dir_all(md.root().join("images/blobs")).unwrap();
        let _ = md.line("run --rm hostbox echo ran").ok().stdout_is("ran");
        for layer in std::fs::read_dir(md.root().join("layers")).unwrap().flatten() {
            let _ = std::fs::remove_dir_all(layer.path().join("fs"));
        }
        let _ = md.line("run --rm hostbox echo ran").ok().stdout_is("ran");
        md.nothing_left();
    }
}

#[test]
fn a_root_that_can_t_be_a_layer_is_told_with_its_reason() {
    let md = kit::ours!();
    let out = md.line("run --rm --rootfs /proc true").complains(125, "cannot use --rootfs /proc");
    assert!(out.err().contains("because: a file system that the kernel makes up"), "{out:?}");
    md.nothing_left();
}
