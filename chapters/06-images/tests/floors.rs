//! Layers unpacked on kernels without openat2, statx or copy_file_range.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tar::{Builder, EntryType, Header};

/// As root of the host, and as a plain user who is root of a user namespace.
const USERS: [&[&str]; 2] = [
    &["env"],
    &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "--map-root-user"],
];

/// Files and directories, and files whose parent is a link within the layer, or out of it.
fn layer(path: &Path) {
    let mut tar = Builder::new(fs::File::create(path).unwrap());
    let mut put = |kind: EntryType, name: &str, link: Option<&str>| {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(0);
        match link {
            Some(link) => tar.append_link(&mut header, name, link).unwrap(),
            None => tar.append_data(&mut header, name, std::io::empty()).unwrap(),
        }
    };
    put(EntryType::Directory, "usr/lib/", None);
    put(EntryType::Symlink, "lib", Some("usr/lib"));
    put(EntryType::Symlink, "abs", Some("/usr"));
    put(EntryType::Symlink, "up", Some("../../../../usr/lib"));
    for name in ["lib/a", "abs/lib/b", "up/c", "new/deep/d"] {
        put(EntryType::Regular, name, None);
    }
    put(EntryType::Link, "lib/e", Some("abs/lib/b"));
    tar.finish().unwrap();
}

fn unpack(rules: &[&str], user: &[&str], dir: &Path) -> Output {
    let words = kit::without(rules);
    let script = "rm -rf out; mkdir out && ./unpack layer.tar out && find out | sort";
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(user).args(["sh", "-c", script]).current_dir(dir);
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_layer_is_unpacked_the_same_without_the_newer_calls() {
    kit::require!(kit::may_filter(), "not-root", "a filter without no_new_privs takes root");
    for user in USERS {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let example = kit::example("ch06-images", "unpack");
        layer(&dir.path().join("layer.tar"));
        for words in [["cp", example.to_str().unwrap(), "unpack"], ["chmod", "777", "."]] {
            let mut command = Command::new(words[0]);
            assert!(command.args(&words[1..]).current_dir(dir.path()).status().unwrap().success());
        }
        let usual = unpack(&[], user, dir.path());
        let text = String::from_utf8_lossy(&usual.stdout).into_owned();
        assert!(usual.status.success() && text.contains("out/usr/lib/c\n"), "{usual:?}");
        for rules in
            [&["openat2=ENOSYS"][..], &["openat2=EPERM"], &["statx=ENOSYS", "copy_file_range=ENOSYS"]]
        {
            let out = unpack(rules, user, dir.path());
            assert_eq!(String::from_utf8_lossy(&out.stdout), text, "{rules:?} {user:?}: {out:?}");
        }
        // That the call is made at all is seen where its error is of another kind.
        assert!(!unpack(&["openat2=EIO"], user, dir.path()).status.success(), "{user:?}");
        fs::remove_dir_all(dir.path().join("out")).unwrap();
    }
}
