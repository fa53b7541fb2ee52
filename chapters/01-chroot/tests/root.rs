//! Paths inside a root, where the tree does what it can to lead out.
#![allow(clippy::unwrap_used)]

mod fake;

use std::os::fd::OwnedFd;
use std::path::Path;

use chroot::{READ_LIMIT_BYTES, Root};
use fake::Tree;
use rustix::fs::{FileType, Mode, OFlags, fstat};
use sys::Errno;

fn root(tree: &Tree) -> Root {
    Root::open(tree.path()).unwrap()
}

fn same(fd: &OwnedFd, path: &Path) -> bool {
    let (ours, theirs) = (fstat(fd).unwrap(), rustix::fs::stat(path).unwrap());
    (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
}

#[test]
fn a_root_is_a_directory() {
    let tree = Tree::new();
    tree.file("file", b"");
    assert_eq!(Root::open(&tree.path().join("file")).unwrap_err().errno(), Errno::ENOTDIR);
    assert_eq!(Root::open(&tree.path().join("none")).unwrap_err().errno(), Errno::ENOENT);
}

#[test]
fn no_path_leads_out() {
    let tree = Tree::new();
    tree.file("etc/inside", b"").link("abs", "/etc").link("up", "../../../../etc").link("dev", "/abs");
    for path in ["/etc/inside", "etc/inside", "abs/inside", "up/inside", "dev/inside", "../../etc/inside"] {
        let found = root(&tree).open_in(Path::new(path), OFlags::PATH).unwrap();
        assert!(same(&found, &tree.path().join("etc/inside")), "{path}");
    }
    for path in ["/", "", "..", "../..", "etc/.."] {
        let found = root(&tree).open_in(Path::new(path), OFlags::PATH).unwrap();
        assert!(same(&found, tree.path()), "{path:?}");
    }
    // The host has /etc/passwd.
    let none = root(&tree).open_in(Path::new("/abs/passwd"), OFlags::PATH).unwrap_err();
    assert_eq!(none.errno(), Errno::ENOENT);
}

#[test]
fn missing_directories_are_made_inside_also_behind_links() {
    let outside = Tree::new();
    let tree = Tree::new();
    tree.link("dev", outside.path().to_str().unwrap()).link("up", "../../x/y");
    let made = root(&tree).make_dir_all(Path::new("/dev/shm"), 0o755).unwrap();
    let inside = tree.path().join(outside.path().strip_prefix("/").unwrap()).join("shm");
    assert!(same(&made, &inside));
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    let made = root(&tree).make_dir_all(Path::new("up/z"), 0o755).unwrap();
    assert!(same(&made, &tree.path().join("x/y/z")));
}

#[test]
fn what_is_in_the_way_is_told() {
    let tree = Tree::new();
    tree.file("file", b"").link("loop", "loop");
    let errno = |path: &str| root(&tree).make_dir_all(Path::new(path), 0o755).unwrap_err().errno();
    assert_eq!(errno("file"), Errno::ENOTDIR);
    assert_eq!(errno("file/below"), Errno::ENOTDIR);
    assert_eq!(errno("loop/below"), Errno::ELOOP);
}

#[test]
fn make_file_makes_a_file_and_leaves_one_that_is_there() {
    let tree = Tree::new();
    tree.file("etc/hosts", b"127.0.0.1").link("etc/resolv.conf", "../run/resolv.conf");
    for (path, is) in
        [("/etc/hosts", "etc/hosts"), ("/a/b/c", "a/b/c"), ("/etc/resolv.conf", "run/resolv.conf")]
    {
        let made = root(&tree).make_file(Path::new(path)).unwrap();
        assert!(same(&made, &tree.path().join(is)), "{path}");
        assert_eq!(FileType::from_raw_mode(fstat(&made).unwrap().st_mode), FileType::RegularFile);
    }
    assert_eq!(std::fs::read(tree.path().join("etc/hosts")).unwrap(), b"127.0.0.1");
}

#[test]
fn read_takes_regular_files_up_to_its_limit() {
    let tree = Tree::new();
    let root = root(&tree);
    let read = |path: &str| root.read(Path::new(path));
    assert_eq!(read("/etc/passwd").unwrap(), None);
    tree.file("etc/passwd", b"root:x:0:0:\xff").link("link", "/etc/passwd");
    assert_eq!(read("/link").unwrap().as_deref(), Some("root:x:0:0:\u{fffd}"));
    assert_eq!(read("/etc/passwd/x").unwrap(), None);
    let errno = |path: &str| read(path).unwrap_err().errno();
    assert_eq!(errno("/etc"), Errno::EINVAL);
    // Opening this for reading would wait for a writer for ever.
    rustix::fs::mknodat(rustix::fs::CWD, tree.path().join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(errno("/fifo"), Errno::EINVAL);
    let big = std::fs::File::create(tree.path().join("big")).unwrap();
    big.set_len(READ_LIMIT_BYTES).unwrap();
    assert_eq!(read("/big").unwrap().map(|t| t.len() as u64), Some(READ_LIMIT_BYTES));
    big.set_len(READ_LIMIT_BYTES + 1).unwrap();
    assert_eq!(errno("/big"), Errno::EFBIG);
}
