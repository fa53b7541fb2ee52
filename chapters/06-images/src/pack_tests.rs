use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use std::os::fd::OwnedFd;

use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, Mode};

use super::*;
use crate::{UnpackOptions, unpack_layer};

const PLAIN: PackOptions =
    PackOptions { owners: Owners::Single, mtime: None, compression: Compression::None };

fn pack(dir: &Path, options: &PackOptions) -> (Vec<u8>, Packed) {
    let mut bytes = Vec::new();
    let packed = pack_layer(dir, &mut bytes, options).unwrap();
    (bytes, packed)
}

fn xattr(path: &Path, key: &str) -> Option<Vec<u8>> {
    let mut value = vec![0_u8; 256];
    let n = rustix::fs::lgetxattr(path, key, &mut value[..]).ok()?;
    value.truncate(n);
    Some(value)
}

fn set_xattr(path: &Path, key: &str, value: &[u8]) {
    rustix::fs::setxattr(path, key, value, rustix::fs::XattrFlags::empty()).unwrap();
}

/// What can be told of a tree: one line a file.
fn told(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(path) = todo.pop() {
        let full = root.join(&path);
        let stat = fs::symlink_metadata(&full).unwrap();
        let what = match stat.file_type() {
            t if t.is_symlink() => format!("-> {}", fs::read_link(&full).unwrap().display()),
            t if t.is_file() => format!("{:?}", fs::read(&full).unwrap()),
            _ => String::new(),
        };
        let user = xattr(&full, "user.k");
        let times = if stat.is_dir() && path.as_os_str().is_empty() { 0 } else { stat.mtime() };
        lines.push(format!(
            "{} {:o} {times} {} {} {user:?} {what}",
            path.display(),
            stat.mode(),
            stat.rdev(),
            stat.nlink()
        ));
        if stat.is_dir() {
            todo.extend(fs::read_dir(&full).unwrap().map(|e| path.join(e.unwrap().file_name())));
        }
    }
    lines.sort();
    lines
}

fn set_time(path: &Path, seconds: i64) {
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// One of each, with odd names, modes and times.
fn full_tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let at = |path: &str| tree.path().join(path);
    fs::create_dir_all(at("dir/empty")).unwrap();
    fs::write(at("dir/file"), "some text").unwrap();
    fs::write(at("dir/set-uid"), "").unwrap();
    fs::hard_link(at("dir/file"), at("a second name")).unwrap();
    fs::write(at(&"long".repeat(50)), "long").unwrap();
    symlink("dir/file", at("link")).unwrap();
    symlink("/nowhere/at/all".repeat(10), at("dir/broken")).unwrap();
    fs::write(at("umlaut-ä\n"), vec![7; 100_000]).unwrap();
    rustix::fs::mkfifoat(CWD, at("fifo"), Mode::from_raw_mode(0o640)).unwrap();
    set_xattr(&at("dir/file"), "user.k", b"a\nb\0");
    set_xattr(&at("dir"), "user.k", b"of a directory");
    fs::set_permissions(at("dir/set-uid"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::set_permissions(at("dir/empty"), fs::Permissions::from_mode(0o1777)).unwrap();
    for (path, seconds) in
        [("dir/file", 5), ("link", 1_600_000_000), ("fifo", -7), ("dir/empty", 12), ("dir", 13)]
    {
        set_time(&at(path), seconds);
    }
    tree
}

#[test]
fn what_is_packed_and_unpacked_is_the_same_tree() {
    let tree = full_tree();
    for compression in [Compression::None, Compression::Gzip(6)] {
        let (bytes, packed) = pack(tree.path(), &PackOptions { compression, ..PLAIN });
        let into = tempfile::tempdir().unwrap();
        let done = unpack_layer(&bytes[..], into.path(), &UnpackOptions::rootless(Owners::Single)).unwrap();
        assert_eq!((done.diff_id, done.entries), (packed.diff_id, packed.entries));
        assert_eq!(told(into.path()), told(tree.path()));
    }
}

#[test]
fn the_same_files_are_the_same_bytes_in_whatever_order_they_were_made() {
    let options = PackOptions { mtime: Some(3), ..PLAIN };
    let packed = |names: &[&str]| {
        let tree = tempfile::tempdir().unwrap();
        fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in names {
            fs::create_dir_all(tree.path().join(name).parent().unwrap()).unwrap();
            fs::write(tree.path().join(name), name).unwrap();
        }
        pack(tree.path(), &options)
    };
    let (one, other) = (packed(&["a/x", "b", "c", "a/y"]), packed(&["c", "a/y", "b", "a/x"]));
    assert_eq!(one.0, other.0);
    assert_eq!(one.1.diff_id, Digest::of(&one.0));
    assert_eq!(one.1.size, one.0.len() as u64);
}

#[test]
fn overlays_marks_become_whiteouts_and_come_back() {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir(tree.path().join("etc")).unwrap();
    fs::write(tree.path().join("etc/new"), "").unwrap();
    set_xattr(&tree.path().join("etc"), "user.overlay.opaque", b"y");
    let whiteout = |dir: &OwnedFd| {
        let kind = FileType::CharacterDevice;
        sys::mknodat(dir.as_fd(), Path::new("gone"), kind, Mode::empty(), (0, 0)).unwrap();
    };
    whiteout(&fs::File::open(tree.path()).unwrap().into());
    let (bytes, _) = pack(tree.path(), &PLAIN);
    let mut tar = crate::tarfile::TarReader::new(&bytes[..]);
    let mut names = Vec::new();
    while let Some(entry) = tar.next_entry().unwrap() {
        assert_eq!(entry.xattrs, []);
        names.push(String::from_utf8(entry.name).unwrap());
    }
    assert_eq!(names, ["./", "etc/", "etc/.wh..wh..opq", "etc/new", ".wh.gone"]);
    let into = tempfile::tempdir().unwrap();
    unpack_layer(&bytes[..], into.path(), &UnpackOptions::rootless(Owners::Single)).unwrap();
    assert_eq!(xattr(&into.path().join("etc"), "user.overlay.opaque"), Some(b"y".to_vec()));
    assert_eq!(fs::symlink_metadata(into.path().join("gone")).unwrap().rdev(), 0);
}

#[test]
fn a_kept_owner_goes_back_into_the_tar() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("f"), "").unwrap();
    fs::write(tree.path().join("g"), "").unwrap();
    set_xattr(&tree.path().join("f"), OWNER_XATTR, b"12:34");
    let (bytes, _) = pack(tree.path(), &PLAIN);
    let mut tar = crate::tarfile::TarReader::new(&bytes[..]);
    let mut owners = Vec::new();
    while let Some(entry) = tar.next_entry().unwrap() {
        owners.push((entry.uid, entry.gid));
        assert_eq!(entry.xattrs, []);
    }
    assert_eq!(owners, [(0, 0), (12, 34), (0, 0)]);
}

#[test]
fn owners_are_kept_on_request_and_root_otherwise() {
    kit::require!(nix::unistd::geteuid().is_root(), "not-root", "other owners and devices are root's");
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("f"), "").unwrap();
    std::os::unix::fs::chown(tree.path().join("f"), Some(3_000_000), Some(7)).unwrap();
    for (owners, want) in [(Owners::Keep, (3_000_000, 7)), (Owners::Single, (0, 0))] {
        let (bytes, _) = pack(tree.path(), &PackOptions { owners, ..PLAIN });
        let mut tar = crate::tarfile::TarReader::new(&bytes[..]);
        tar.next_entry().unwrap();
        let f = tar.next_entry().unwrap().unwrap();
        assert_eq!((f.uid, f.gid), want);
    }
}

#[test]
fn a_socket_is_left_out_and_named() {
    let tree = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("s")).unwrap();
    let (_, packed) = pack(tree.path(), &PLAIN);
    assert_eq!((packed.entries, packed.skipped), (1, vec![PathBuf::from("s")]));
}

#[test]
fn a_missing_directory_is_named() {
    let error = pack_layer(Path::new("/nowhere/at/all"), io::sink(), &PLAIN).unwrap_err();
    assert!(
        matches!(&error, Error::Io { path, source, .. } if path == Path::new("/nowhere/at/all") && source.errno() == sys::Errno::ENOENT),
        "{error:?}"
    );
}

#[test]
fn a_full_disk_is_an_error_of_writing() {
    /// Has room for so many bytes.
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(rustix::io::Errno::NOSPC)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let tree = full_tree();
    fs::write(tree.path().join("big"), vec![1; 900_000]).unwrap();
    for room in [0, 200_000] {
        let error = pack_layer(tree.path(), Full(room), &PLAIN).unwrap_err();
        assert!(matches!(&error, Error::Write(e) if e.errno() == sys::Errno::ENOSPC), "{error:?}");
    }
}

#[test]
fn capabilities_of_a_file_survive_with_its_owner() {
    kit::require!(nix::unistd::geteuid().is_root(), "not-root", "file capabilities and owners are root's");
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("ping"), "").unwrap();
    std::os::unix::fs::chown(tree.path().join("ping"), Some(5), Some(6)).unwrap();
    // linux/capability.h: revision 2, effective; cap_net_raw is bit 13.
    let net_raw = [[1, 0, 0, 2].as_slice(), &0x2000_u32.to_le_bytes(), &[0; 12]].concat();
    set_xattr(&tree.path().join("ping"), "security.capability", &net_raw);
    let (bytes, _) = pack(tree.path(), &PackOptions { owners: Owners::Keep, ..PLAIN });
    let into = tempfile::tempdir().unwrap();
    unpack_layer(&bytes[..], into.path(), &UnpackOptions::root()).unwrap();
    let ping = into.path().join("ping");
    assert_eq!(xattr(&ping, "security.capability"), Some(net_raw));
    assert_eq!(fs::metadata(&ping).unwrap().uid(), 5);
}

#[test]
fn a_capability_for_one_user_namespace_becomes_one_for_all() {
    let mut of_namespace = vec![1, 0, 0, 3];
    of_namespace.resize(24, 9);
    let portable = super::portable(b"security.capability", of_namespace);
    assert_eq!((portable.len(), portable[3]), (20, 2));
    assert_eq!(super::portable(b"user.k", vec![3; 24]), vec![3; 24]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_small_tree_comes_back(files in prop::collection::btree_map(
        "[a-c]{1,2}(/[a-z ]{1,12}){0,2}", (prop::collection::vec(any::<u8>(), 0..700), 0_u32..0o10000), 0..12)) {
        let tree = tempfile::tempdir().unwrap();
        for (name, (contents, mode)) in &files {
            let path = tree.path().join(name);
            // A name may be a directory of another one.
            if fs::create_dir_all(path.parent().unwrap()).is_ok() && fs::write(&path, contents).is_ok() {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o400)).unwrap();
            }
        }
        let (bytes, packed) = pack(tree.path(), &PLAIN);
        prop_assert_eq!(packed.diff_id, Digest::of(&bytes));
        let into = tempfile::tempdir().unwrap();
        unpack_layer(&bytes[..], into.path(), &UnpackOptions::rootless(Owners::Single)).unwrap();
        prop_assert_eq!(told(into.path()), told(tree.path()));
    }
}
