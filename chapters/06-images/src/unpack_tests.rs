use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

use std::path::PathBuf;

use tar::{Builder, EntryType};

use super::*;
use crate::tarfile::Entry as Record;

/// Where one layer is unpacked, with something beside it that must never change.
struct Try {
    dir: tempfile::TempDir,
}

impl Try {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("layer")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/file"), "the host's").unwrap();
        Self { dir }
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("layer").join(path)
    }

    fn options() -> UnpackOptions {
        UnpackOptions::rootless(Owners::Single)
    }

    fn unpack(&self, files: &[Record]) -> Result<Unpacked, Error> {
        self.unpack_with(files, &Self::options())
    }

    fn unpack_with(&self, files: &[Record], options: &UnpackOptions) -> Result<Unpacked, Error> {
        let bytes = tar_of(files);
        let done = unpack_layer(&bytes[..], &self.at(""), options);
        assert_eq!(fs::read(self.outside().join("file")).unwrap(), b"the host's");
        assert_eq!(fs::read_dir(self.outside()).unwrap().count(), 1, "nothing new outside");
        done
    }

    /// The tar is refused, for a reason with these words, and the entry's name is told.
    fn refuses(&self, files: &[Record], words: &str) {
        match self.unpack(files) {
            Err(Error::Refused { name, why }) => {
                assert!(why.contains(words), "{why}");
                assert_eq!(name, String::from_utf8_lossy(&files.last().unwrap().name));
            }
            other => panic!("{other:?}"),
        }
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }
}

fn tar_of(files: &[Record]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for record in files {
        // A file says its own name.
        let contents: &[u8] = if record.kind == EntryType::Regular { &record.name } else { b"" };
        record.write(&mut tar, contents, contents.len() as u64).unwrap();
    }
    tar.into_inner().unwrap()
}

fn file(name: &str) -> Record {
    Record { name: name.into(), mode: 0o644, mtime: (1_000_000_000, 0), ..Record::default() }
}
fn dir(name: &str) -> Record {
    Record { kind: EntryType::Directory, mode: 0o755, ..file(name) }
}
fn link(name: &str, to: &str) -> Record {
    Record { kind: EntryType::Symlink, link: to.into(), mode: 0o777, ..file(name) }
}
fn hard(name: &str, to: &str) -> Record {
    Record { kind: EntryType::Link, link: to.into(), ..file(name) }
}
fn device(name: &str, major: u32, minor: u32) -> Record {
    Record { kind: EntryType::Char, device: (major, minor), ..file(name) }
}

fn opaque(path: &Path) -> bool {
    let mut value = [0_u8; 2];
    rustix::fs::getxattr(path, "user.overlay.opaque", &mut value[..]) == Ok(1)
}

#[test]
fn dot_dot_in_a_name_is_refused() {
    for name in ["../outside/file", "a/../../outside/file", "..", "a/..", "/../outside/file"] {
        Try::new().refuses(&[file(name)], "..");
        Try::new().refuses(&[dir(name)], "..");
        Try::new().refuses(&[link(name, "x")], "..");
    }
}

#[test]
fn an_absolute_name_is_one_below_the_layer() {
    let t = Try::new();
    let outside = t.outside().join("file").display().to_string();
    t.unpack(&[file(&outside)]).unwrap();
    assert_eq!(fs::read_to_string(t.at(&outside[1..])).unwrap(), outside);
}

#[test]
fn a_link_that_leads_out_is_kept_but_not_followed() {
    for to in ["/", "../outside", "../../../../../../../.."] {
        let t = Try::new();
        let to = if to == "/" { t.outside().display().to_string() } else { to.to_owned() };
        // Inside the layer the link leads to nothing, or to the layer's own root.
        let _ = t.unpack(&[link("escape", &to), file("escape/file")]);
        assert_eq!(fs::read_link(t.at("escape")).unwrap(), Path::new(&to));
    }
}

#[test]
fn an_absolute_link_to_a_directory_leads_into_the_layer() {
    let t = Try::new();
    t.unpack(&[dir("usr"), dir("usr/lib"), link("lib", "/usr/lib"), file("lib/libc.so"), file("lib/../x")])
        .unwrap_err();
    assert_eq!(t.read("usr/lib/libc.so"), "lib/libc.so");
    let up = Try::new();
    up.unpack(&[dir("a"), link("a/up", "../../.."), file("a/up/file")]).unwrap();
    assert_eq!(up.read("file"), "a/up/file");
}

#[test]
fn a_file_in_the_place_of_a_link_replaces_the_link() {
    let t = Try::new();
    let outside = t.outside().join("file").display().to_string();
    t.unpack(&[link("f", &outside), file("f")]).unwrap();
    assert!(fs::symlink_metadata(t.at("f")).unwrap().is_file());
}

#[test]
fn a_directory_in_the_place_of_a_link_replaces_the_link() {
    let t = Try::new();
    let outside = t.outside().display().to_string();
    t.unpack(&[link("d", &outside), Record { mode: 0o700, ..dir("d") }, file("d/inside")]).unwrap();
    assert!(fs::symlink_metadata(t.at("d")).unwrap().is_dir());
    assert_eq!(t.read("d/inside"), "d/inside");
}

#[test]
fn a_link_in_the_place_of_a_directory_gets_none_of_its_metadata() {
    let t = Try::new();
    let outside = t.outside().display().to_string();
    let before = fs::metadata(t.outside()).unwrap();
    t.unpack(&[Record { mode: 0o700, ..dir("d") }, file("d/x"), link("d", &outside)]).unwrap();
    let after = fs::metadata(t.outside()).unwrap();
    assert_eq!((before.mode(), before.mtime_nsec()), (after.mode(), after.mtime_nsec()));
    assert!(fs::symlink_metadata(t.at("d")).unwrap().is_symlink());
}

#[test]
fn a_hard_link_out_of_the_layer_is_refused() {
    for to in ["../outside/file", "/../outside/file", "a/../../outside/file"] {
        Try::new().refuses(&[hard("h", to)], "leaves the layer");
    }
    let t = Try::new();
    let outside = t.outside().join("file").display().to_string();
    t.refuses(&[hard("h", &outside)], "no file of this layer");
    t.refuses(
        &[link("out", &t.outside().display().to_string()), hard("h", "out/file")],
        "no file of this layer",
    );
    Try::new().refuses(&[hard("h", "/etc/passwd")], "no file of this layer");
}

#[test]
fn a_hard_link_to_a_link_is_one_to_the_link_itself() {
    let t = Try::new();
    let outside = t.outside().join("file").display().to_string();
    t.unpack(&[link("l", &outside), hard("h", "l")]).unwrap();
    assert_eq!(fs::read_link(t.at("h")).unwrap(), Path::new(&outside));
    assert_eq!(fs::metadata(t.outside().join("file")).unwrap().nlink(), 1);
}

#[test]
fn a_hard_link_to_itself_keeps_the_file() {
    let t = Try::new();
    t.unpack(&[file("f"), hard("f", "f"), hard("./f", "/f")]).unwrap();
    assert_eq!(t.read("f"), "f");
}

#[test]
fn a_hard_link_to_a_directory_is_refused_by_the_kernel() {
    let error = Try::new().unpack(&[dir("d"), hard("h", "d")]).unwrap_err();
    assert!(
        matches!(&error, Error::Make { source, .. } if (source.call(), source.errno()) == ("linkat", sys::Errno::EPERM)),
        "{error:?}"
    );
}

#[test]
fn overlays_own_attributes_are_refused() {
    for key in ["trusted.overlay.opaque", "user.overlay.redirect", "trusted.overlay.overlay.opaque"] {
        let xattrs = vec![(key.into(), b"y".to_vec())];
        Try::new().refuses(&[Record { xattrs: xattrs.clone(), ..dir("d") }], "overlayfs");
        Try::new().refuses(&[Record { xattrs, ..file("f") }], "overlayfs");
    }
}

#[test]
fn a_device_0_0_is_refused() {
    Try::new().refuses(&[device("etc", 0, 0)], "0:0");
}

#[test]
fn devices_are_left_out_and_named_where_only_root_makes_them() {
    let t = Try::new();
    let done = t.unpack(&[device("null", 1, 3), file("f")]).unwrap();
    assert!(!t.at("null").exists() && t.at("f").exists());
    assert_eq!(done.skipped.len(), 1);
    assert!(done.skipped[0].starts_with("null: a device node"), "{:?}", done.skipped);
}

#[test]
fn root_makes_devices_and_owners() {
    kit::require!(nix::unistd::geteuid().is_root(), "not-root", "other owners and devices are root's");
    let t = Try::new();
    let owned = Record { uid: 12, gid: 34, mode: 0o6755, ..file("f") };
    let records =
        [device("null", 1, 3), owned, Record { uid: 5, ..dir("d") }, Record { gid: 6, ..link("l", "x") }];
    let done = t.unpack_with(&records, &UnpackOptions::root()).unwrap();
    assert_eq!(done.skipped, Vec::<String>::new());
    let null = fs::metadata(t.at("null")).unwrap();
    assert!(null.file_type().is_char_device() && null.rdev() == rustix::fs::makedev(1, 3));
    let f = fs::metadata(t.at("f")).unwrap();
    assert_eq!((f.uid(), f.gid(), f.mode() & 0o7777), (12, 34, 0o6755));
    assert_eq!(fs::metadata(t.at("d")).unwrap().uid(), 5);
    assert_eq!(fs::symlink_metadata(t.at("l")).unwrap().gid(), 6);
}

#[test]
fn with_one_id_the_owner_is_kept_beside_the_file() {
    let t = Try::new();
    t.unpack(&[Record { uid: 12, gid: 34, mode: 0o400, ..file("f") }, file("g")]).unwrap();
    let owner = |path: &str| {
        let mut value = [0_u8; 16];
        rustix::fs::getxattr(t.at(path), OWNER_XATTR, &mut value[..]).map(|n| value[..n].to_vec())
    };
    assert_eq!(owner("f"), Ok(b"12:34".to_vec()));
    assert_eq!(owner("g"), Err(rustix::io::Errno::NODATA));
    assert_eq!(fs::metadata(t.at("f")).unwrap().mode() & 0o7777, 0o400);
}

#[test]
fn a_file_replaces_a_directory_and_a_directory_a_file() {
    let t = Try::new();
    t.unpack(&[dir("a"), dir("a/b"), file("a/b/c"), file("a"), file("x"), dir("x"), file("x/y")]).unwrap();
    assert_eq!((t.read("a"), t.read("x/y")), ("a".to_owned(), "x/y".to_owned()));
}

#[test]
fn a_directory_named_twice_keeps_what_is_in_it() {
    let t = Try::new();
    t.unpack(&[dir("d"), file("d/f"), Record { mode: 0o711, mtime: (5, 0), ..dir("d") }]).unwrap();
    assert_eq!(t.read("d/f"), "d/f");
    let d = fs::metadata(t.at("d")).unwrap();
    assert_eq!((d.mode() & 0o7777, d.mtime()), (0o711, 5));
}

#[test]
fn closed_directories_are_filled_and_closed_again() {
    let t = Try::new();
    let closed = Record { mode: 0o000, mtime: (5, 0), ..dir("d") };
    t.unpack(&[closed, file("d/f"), Record { mode: 0o1777, ..dir("tmp") }]).unwrap();
    let d = fs::metadata(t.at("d")).unwrap();
    assert_eq!((d.mode() & 0o7777, d.mtime()), (0o000, 5));
    assert_eq!(fs::metadata(t.at("tmp")).unwrap().mode() & 0o7777, 0o1777);
    // Or nobody but root could remove it.
    fs::set_permissions(t.at("d"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(t.read("d/f"), "d/f");
}

#[test]
fn the_root_of_the_layer_has_metadata_too() {
    let t = Try::new();
    t.unpack(&[Record { mode: 0o750, mtime: (9, 0), ..dir("./") }, file("./f")]).unwrap();
    let root = fs::metadata(t.at("")).unwrap();
    assert_eq!((root.mode() & 0o7777, root.mtime()), (0o750, 9));
    Try::new().refuses(&[link("/", "/etc")], "root of the layer");
    Try::new().refuses(&[file(".")], "root of the layer");
}

#[test]
fn parents_that_the_tar_does_not_name_are_made() {
    let t = Try::new();
    t.unpack(&[file("a/b/c")]).unwrap();
    assert_eq!(fs::metadata(t.at("a/b")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn fifos_are_made_and_sockets_unknown() {
    let t = Try::new();
    t.unpack(&[Record { kind: EntryType::Fifo, mode: 0o620, ..file("p") }]).unwrap();
    let p = fs::metadata(t.at("p")).unwrap();
    assert!(p.file_type().is_fifo() && p.mode() & 0o7777 == 0o620);
    Try::new().refuses(&[Record { kind: EntryType::new(b'V'), ..dir("label") }], "no layer has");
}

#[test]
fn a_whiteout_becomes_overlays() {
    let t = Try::new();
    t.unpack(&[dir("etc"), file("etc/.wh.passwd"), file(".wh.gone")]).unwrap();
    for path in ["etc/passwd", "gone"] {
        let stat = fs::symlink_metadata(t.at(path)).unwrap();
        assert!(stat.file_type().is_char_device() && stat.rdev() == 0, "{path}");
    }
    assert!(!t.at("etc/.wh.passwd").exists());
}

#[test]
fn an_opaque_whiteout_marks_its_directory() {
    let t = Try::new();
    t.unpack(&[dir("etc"), file("etc/.wh..wh..opq"), dir("var")]).unwrap();
    assert!(opaque(&t.at("etc")) && !opaque(&t.at("var")));
    assert_eq!(fs::read_dir(t.at("etc")).unwrap().count(), 0);
    assert!(!crate::hides_all_below(&t.at("")));
    let all = Try::new();
    all.unpack(&[file(".wh..wh..opq"), file("f")]).unwrap();
    assert!(crate::hides_all_below(&all.at("")));
}

#[test]
fn a_whiteout_does_not_hide_what_its_own_layer_brings() {
    let t = Try::new();
    t.unpack(&[file("f"), file(".wh.f"), file(".wh.g"), file("g")]).unwrap();
    assert_eq!((t.read("f"), t.read("g")), ("f".to_owned(), "g".to_owned()));
    // A directory would be merged with the one below, which is gone.
    let d = Try::new();
    d.unpack(&[dir("a"), file("a/x"), file(".wh.a"), file(".wh.b"), dir("b"), file("b/y")]).unwrap();
    assert!(opaque(&d.at("a")) && opaque(&d.at("b")));
    assert_eq!((d.read("a/x"), d.read("b/y")), ("a/x".to_owned(), "b/y".to_owned()));
}

#[test]
fn whiteouts_of_nothing_are_refused_and_notes_of_aufs_skipped() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh..."] {
        Try::new().refuses(&[file(name)], "whiteout of no file");
    }
    let t = Try::new();
    t.unpack(&[file(".wh..wh.aufs"), dir(".wh..wh.plnk"), file("f")]).unwrap();
    assert_eq!(fs::read_dir(t.at("")).unwrap().count(), 1);
}

#[test]
fn more_bytes_than_allowed_are_refused() {
    let t = Try::new();
    let options = UnpackOptions { max_bytes: 5, ..Try::options() };
    t.unpack_with(&[file("123"), file("45")], &options).unwrap();
    let error = t.unpack_with(&[file("123"), file("456")], &options).unwrap_err();
    assert!(matches!(error, Error::TooBig { limit: 5, .. }), "{error:?}");
}

#[test]
fn a_tree_deeper_than_descriptors_or_paths_reach_is_replaced() {
    let t = Try::new();
    // Each link is a shorter way to the depth reached so far.
    let mut files = Vec::new();
    let mut base = "d".to_owned();
    for hop in 0..20 {
        let mut path = base.clone();
        for _ in 0..100 {
            files.push(dir(&path));
            path.push_str("/d");
        }
        files.push(dir(&path));
        base = format!("l{hop}");
        files.push(link(&base, &path));
    }
    files.push(file("d"));
    t.unpack(&files).unwrap();
    assert_eq!(t.read("d"), "d");
}

#[test]
fn the_diff_id_is_of_every_byte_and_compression_makes_no_difference() {
    let tar = tar_of(&[file("f")]);
    let mut padded = tar.clone();
    padded.resize(10_240, 0);
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let diff_id = |bytes: &[u8]| {
        let t = Try::new();
        unpack_layer(bytes, &t.at(""), &Try::options()).unwrap().diff_id
    };
    assert_eq!(diff_id(&tar), Digest::of(&tar));
    assert_eq!(diff_id(&padded), Digest::of(&padded));
    assert_eq!(diff_id(&gzip(&padded)), Digest::of(&padded));
    // Two members one after the other are one stream (RFC 1952, 2.2).
    let two = [gzip(&padded[..700]), gzip(&padded[700..])].concat();
    assert_eq!(diff_id(&two), Digest::of(&padded));
}

#[test]
fn a_compression_that_is_not_read_is_named() {
    let t = Try::new();
    let error = unpack_layer(&b"\x28\xb5\x2f\xfd rest"[..], &t.at(""), &Try::options()).unwrap_err();
    let Error::Read { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("zstd"), "{source}");
}

#[test]
fn an_empty_stream_is_an_empty_layer() {
    let t = Try::new();
    let done = unpack_layer(&b""[..], &t.at(""), &Try::options()).unwrap();
    assert_eq!((done.entries, done.diff_id), (0, Digest::of(b"")));
}

#[test]
fn a_link_that_stands_there_already_is_not_followed() {
    let t = Try::new();
    symlink(t.outside(), t.at("d")).unwrap();
    symlink(t.outside().join("file"), t.at("f")).unwrap();
    t.unpack(&[file("f")]).unwrap();
    assert!(t.unpack(&[file("d/file")]).is_err());
}

#[test]
fn a_full_disk_is_no_fault_of_the_layer() {
    let (t, options) = (Try::new(), Try::options());
    let place = Place::open(&t.at(""), &options).unwrap();
    let mut full = fs::File::options().write(true).open("/dev/full").unwrap();
    let error = place.fill(&mut full, &mut &b"text"[..]).unwrap_err();
    let Error::Make { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!((source.call(), source.errno()), ("write", sys::Errno::ENOSPC));
    // A directory opens for reading, and read(2) says EISDIR.
    let error = place.fill(&mut full, &mut fs::File::open("/").unwrap()).unwrap_err();
    assert!(matches!(&error, Error::Read { .. }), "{error:?}");
}
