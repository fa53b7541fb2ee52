//! Our tars and layouts, judged by GNU tar, umoci and skopeo; and theirs, read by us.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use images::{
    Compression, Digest, ImageConfig, Layout, Manifest, Owners, PackOptions, Reference, RootFs,
    UnpackOptions, media, pack_layer, unpack_layer,
};

const PLAIN: PackOptions =
    PackOptions { owners: Owners::Single, mtime: None, compression: Compression::None };

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success())
}

/// Runs it, and gives its standard output.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A directory with what tools like to get wrong. Below it, `tree`.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join("tree").join(path);
    fs::create_dir_all(at("usr/lib/a directory with a name of some length")).unwrap();
    fs::write(at("usr/lib/file"), vec![1; 5000]).unwrap();
    fs::write(at("usr/lib/exact"), vec![2; 512]).unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at(&format!("usr/lib/{}", "l".repeat(200))), "long name").unwrap();
    fs::write(at("umlaut-ä"), "").unwrap();
    fs::hard_link(at("usr/lib/file"), at("usr/second")).unwrap();
    symlink("usr/lib", at("lib")).unwrap();
    symlink("x".repeat(150), at("long link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    for (path, mode) in
        [("usr/lib/exact", 0o4755), ("empty", 0o400), ("usr/lib", 0o1777), ("umlaut-ä", 0o2644)]
    {
        fs::set_permissions(at(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    dir
}

/// One line a file: name, mode, size, time, links, target or digest. Owners are left to other tests.
fn told(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let stat = fs::symlink_metadata(&path).unwrap();
        let what = match stat.file_type() {
            t if t.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
            t if t.is_file() => Digest::of(&fs::read(&path).unwrap()).to_string(),
            _ => String::new(),
        };
        let name = path.strip_prefix(root).unwrap().display();
        lines.push(format!("{name} {:o} {} {} {what}", stat.mode(), stat.mtime(), stat.nlink()));
        if stat.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
    }
    lines.sort();
    lines
}

#[test]
fn gnu_tar_extracts_what_we_pack() {
    kit::require!(has("tar"), "no-tar", "GNU tar is the judge");
    let dir = tree();
    let (packed, into) = (dir.path().join("layer.tar"), dir.path().join("into"));
    pack_layer(&dir.path().join("tree"), fs::File::create(&packed).unwrap(), &PLAIN).unwrap();
    fs::create_dir(&into).unwrap();
    run(Command::new("tar").arg("-xpf").arg(&packed).arg("-C").arg(&into));
    assert_eq!(told(&into), told(&dir.path().join("tree")));
}

#[test]
fn we_unpack_what_gnu_tar_packs_in_its_formats() {
    kit::require!(has("tar"), "no-tar", "GNU tar is the judge");
    let dir = tree();
    let tree = dir.path().join("tree");
    for format in ["gnu", "pax", "oldgnu"] {
        let (packed, into) = (dir.path().join(format!("{format}.tar.gz")), dir.path().join(format));
        run(Command::new("tar")
            .arg(format!("--format={format}"))
            .arg("-czf")
            .arg(&packed)
            .arg("-C")
            .arg(&tree)
            .arg("."));
        fs::create_dir(&into).unwrap();
        let options = UnpackOptions::rootless(Owners::Single);
        unpack_layer(fs::File::open(&packed).unwrap(), &into, &options).unwrap();
        assert_eq!(told(&into), told(&tree), "{format}");
    }
}

/// A layout with one image of one layer, named `hostbox:latest`.
fn image_of(dir: &Path) -> Layout {
    let layout = Layout::open_or_create(&dir.join("images")).unwrap();
    let gzip = PackOptions { compression: Compression::Gzip(6), ..PLAIN };
    let pack = |writer: &mut dyn std::io::Write| {
        Ok::<_, images::Error>(pack_layer(&dir.join("tree"), writer, &gzip).unwrap())
    };
    let (layer, packed) = layout.put_with(media::LAYER_GZIP, pack).unwrap();
    let rootfs = RootFs { diff_ids: vec![packed.diff_id], ..RootFs::default() };
    let config =
        ImageConfig { rootfs, created: Some("2024-01-01T00:00:00Z".to_owned()), ..ImageConfig::default() };
    let config = layout.put_json(media::CONFIG, &config).unwrap();
    let manifest = layout.put_json(media::MANIFEST, &Manifest::new(config, vec![layer])).unwrap();
    layout.set_reference(&"hostbox".parse().unwrap(), manifest).unwrap();
    layout
}

#[test]
fn skopeo_reads_the_layout_in_place() {
    kit::require!(has("skopeo"), "no-skopeo", "skopeo is the judge");
    let dir = tree();
    let layout = image_of(dir.path());
    let name: Reference = "hostbox".parse().unwrap();
    let digest = layout.resolve(&name).unwrap().unwrap().digest;
    let image = format!("oci:{}:hostbox:latest", dir.path().join("images").display());
    let told = run(Command::new("skopeo").args(["inspect", "--format", "{{.Digest}}"]).arg(&image));
    assert_eq!(told.trim(), digest.to_string());
    // A copy computes every digest and diff id again.
    let copy = dir.path().join("copy");
    run(Command::new("skopeo").args(["copy", "--quiet", &image]).arg(format!("oci:{}:mine", copy.display())));
    let copied = Layout::open_or_create(&copy).unwrap();
    assert_eq!(copied.resolve(&"mine".parse().unwrap()).unwrap().unwrap().digest, digest);
}

#[test]
fn umoci_unpacks_the_same_tree() {
    kit::require!(has("umoci"), "no-umoci", "umoci is the judge");
    let dir = tree();
    let layout = image_of(dir.path());
    let bundle = dir.path().join("bundle");
    let image = format!("{}:hostbox:latest", dir.path().join("images").display());
    run(Command::new("umoci").args(["unpack", "--rootless", "--image", &image]).arg(&bundle));
    let into = dir.path().join("into");
    fs::create_dir(&into).unwrap();
    let manifest: Manifest =
        layout.read_json(&layout.resolve(&"hostbox".parse().unwrap()).unwrap().unwrap()).unwrap();
    let blob = layout.blob(&manifest.layers[0].digest).unwrap();
    unpack_layer(blob, &into, &UnpackOptions::rootless(Owners::Single)).unwrap();
    assert_eq!(told(&into), told(&bundle.join("rootfs")));
}
