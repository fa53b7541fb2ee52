//! Layers unpacked in a user namespace, and stacked by the kernel's overlayfs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tar::{Builder, EntryType, Header};

/// `examples/unpack`, which cargo builds for the tests of this package.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/unpack")
}

/// Runs a script as root of new user and mount namespaces; `$1` is the example, `$2` the directory.
fn in_room(script: &str, dir: &Path) -> String {
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-euc", script, "sh"]).arg(example()).arg(dir);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn has_userns() -> bool {
    Command::new("unshare").args(["-rm", "true"]).output().is_ok_and(|o| o.status.success())
}

/// A tar of empty files and of directories (names that end in a slash), at `dir/name`.
fn layer(dir: &Path, name: &str, files: &[&str]) {
    let mut tar = Builder::new(fs::File::create(dir.join(name)).unwrap());
    for file in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(if file.ends_with('/') { EntryType::Directory } else { EntryType::Regular });
        header.set_mode(0o755);
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_size(0);
        tar.append_data(&mut header, file, std::io::empty()).unwrap();
    }
    tar.finish().unwrap();
}

#[test]
fn whiteouts_of_a_layer_hide_what_is_below() {
    kit::require!(has_userns(), "no-userns", "unshare -rm is refused");
    let dir = tempfile::tempdir().unwrap();
    layer(
        dir.path(),
        "low.tar",
        &["gone", "kept", "dir/", "dir/old", "opaque/", "opaque/old", "again/", "again/old"],
    );
    layer(
        dir.path(),
        "up.tar",
        &[
            ".wh.gone",
            "dir/",
            "dir/new",
            "opaque/",
            "opaque/.wh..wh..opq",
            "opaque/new",
            ".wh.again",
            "again/",
        ],
    );
    let script = r#"
        cd "$2"; mkdir low up merged
        "$1" low.tar low >/dev/null; "$1" up.tar up >/dev/null
        mount -t overlay overlay -o userxattr,lowerdir=up:low merged
        cd merged; find . | sort
    "#;
    let shown = in_room(script, dir.path());
    let want = [".", "./again", "./dir", "./dir/new", "./dir/old", "./kept", "./opaque", "./opaque/new"];
    assert_eq!(shown.lines().collect::<Vec<_>>(), want);
}

#[test]
fn a_layer_of_many_owners_needs_only_one_id() {
    kit::require!(has_userns(), "no-userns", "unshare -rm is refused");
    let dir = tempfile::tempdir().unwrap();
    layer(dir.path(), "layer.tar", &["etc/", "etc/file"]);
    let script = r#"cd "$2"; mkdir into; "$1" layer.tar into >/dev/null; stat -c "%u %g" into/etc/file"#;
    assert_eq!(in_room(script, dir.path()), "0 0\n");
}

#[test]
fn an_owner_without_a_place_in_the_id_map_is_named() {
    kit::require!(has_userns(), "no-userns", "unshare -rm is refused");
    let dir = tempfile::tempdir().unwrap();
    layer(dir.path(), "layer.tar", &["file"]);
    let script = r#"cd "$2"; mkdir into; ! "$1" --keep-owners layer.tar into 2>&1"#;
    let said = in_room(script, dir.path());
    assert!(said.contains("owner 1000:1000 has no place in the id map"), "{said}");
}

#[test]
fn devices_are_left_out_in_a_user_namespace() {
    kit::require!(has_userns(), "no-userns", "unshare -rm is refused");
    let dir = tempfile::tempdir().unwrap();
    let mut tar = Builder::new(fs::File::create(dir.path().join("layer.tar")).unwrap());
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Char);
    header.set_device_major(1).unwrap();
    header.set_device_minor(3).unwrap();
    header.set_size(0);
    header.set_mode(0o666);
    tar.append_data(&mut header, "null", std::io::empty()).unwrap();
    tar.into_inner().unwrap();
    let script = r#"cd "$2"; mkdir into; "$1" layer.tar into; ls into | wc -l"#;
    let said = in_room(script, dir.path());
    assert!(said.contains("left out: null: a device node") && said.ends_with("0\n"), "{said}");
}
