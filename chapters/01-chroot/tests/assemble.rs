//! A root assembled from a faked host.
#![allow(clippy::unwrap_used)]

mod fake;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chroot::elf::ElfError;
use chroot::{Refusal, assemble};
use fake::made::{NO_LIMIT, assembled, listing, only_refusal};
use fake::{Elf, LIB, PROGRAM, Tree, ld_so_cache};

const ARCH_DIR: &str = "/usr/lib/x86_64-linux-gnu";

#[test]
fn files_lie_where_they_really_lie_and_links_lead_there() {
    let host = Tree::debian();
    host.elf("usr/bin/busybox", &Elf { needed: &["liba.so.1"], ..PROGRAM })
        .link("usr/bin/ls", "busybox")
        .link("etc/alternatives/list", "/bin/ls")
        .link("usr/bin/list", "/etc/alternatives/list")
        .elf(&format!("{ARCH_DIR}/liba.so.1.2"), &LIB)
        .link(&format!("{ARCH_DIR}/liba.so.1"), "liba.so.1.2");
    let (into, report) = assembled(&host, &["/bin/list", "/usr/bin/busybox", "/bin/list"], NO_LIMIT);
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    let expected = [
        "bin -> usr/bin",
        "etc/alternatives/list -> /bin/ls",
        "lib -> usr/lib",
        "lib64 -> usr/lib64",
        "usr/bin/busybox",
        "usr/bin/list -> /etc/alternatives/list",
        "usr/bin/ls -> busybox",
        "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "usr/lib/x86_64-linux-gnu/liba.so.1 -> liba.so.1.2",
        "usr/lib/x86_64-linux-gnu/liba.so.1.2",
        "usr/lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    ];
    assert_eq!(listing(into.path()), expected.iter().map(ToString::to_string).collect());
    assert_eq!((report.sources.len(), report.links.len()), (3, 8));
}

#[test]
fn a_way_through_another_directory_is_kept() {
    let host = Tree::debian();
    host.elf("opt/bin/p", &Elf { needed: &["a.so"], runpath: Some("/srv/x/../y"), ..PROGRAM })
        .elf("srv/y/a.so", &LIB)
        .file("srv/x/other", b"");
    let (into, report) = assembled(&host, &["/opt/bin/p"], NO_LIMIT);
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    assert!(into.path().join("srv/x/../y/a.so").is_file());
}

#[test]
fn sources_are_told_with_size_and_mtime() {
    let host = Tree::debian();
    host.elf("usr/bin/p", &PROGRAM);
    let (into, report) = assembled(&host, &["/bin/p"], NO_LIMIT);
    let sum: u64 = report.sources.iter().map(|s| s.size_bytes).sum();
    assert_eq!(report.bytes, sum);
    for source in &report.sources {
        let meta = host.path().join(source.path.strip_prefix("/").unwrap()).metadata().unwrap();
        assert_eq!(source.size_bytes, meta.size());
        assert_eq!(source.mtime_ns, meta.mtime() * 1_000_000_000 + meta.mtime_nsec());
        let copy = into.path().join(source.path.strip_prefix("/").unwrap());
        assert_eq!(copy.metadata().unwrap().size(), meta.size());
    }
}

#[test]
fn set_uid_bits_are_dropped() {
    let host = Tree::debian();
    host.elf("usr/bin/su", &PROGRAM).chmod("usr/bin/su", 0o6755);
    let (into, _) = assembled(&host, &["/bin/su"], NO_LIMIT);
    let mode = into.path().join("usr/bin/su").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    let dir = into.path().join("usr/bin").metadata().unwrap().permissions().mode();
    assert_eq!(dir & 0o7777, 0o755);
}

#[test]
fn a_script_is_refused_and_the_others_go_on() {
    let host = Tree::debian();
    host.file("usr/bin/ldd", b"#!/bin/bash\n").elf("usr/bin/p", &PROGRAM);
    let (into, report) = assembled(&host, &["/bin/ldd", "/bin/p"], NO_LIMIT);
    assert!(matches!(only_refusal(&report), Refusal::Elf(ElfError::Script { .. })));
    assert_eq!(report.refused[0].program, Path::new("/bin/ldd"));
    assert_eq!(report.refused[0].why.to_string(), "a script, run by /bin/bash");
    assert!(into.path().join("usr/bin/p").is_file());
    assert!(!into.path().join("usr/bin/ldd").exists());
}

#[test]
fn a_library_as_a_program_is_refused() {
    let host = Tree::debian();
    host.elf("usr/lib/a.so", &LIB);
    let (_, report) = assembled(&host, &["/usr/lib/a.so"], NO_LIMIT);
    assert!(matches!(only_refusal(&report), Refusal::NotAProgram));
}

#[test]
fn what_is_not_there_or_no_regular_file_is_refused() {
    let host = Tree::debian();
    host.link("usr/bin/gone", "nowhere").file("usr/bin/dir/x", b"");
    for program in ["/bin/none", "/bin/gone", "/bin/dir"] {
        let (into, report) = assembled(&host, &[program], NO_LIMIT);
        assert!(matches!(only_refusal(&report), Refusal::Unreadable(_)), "{program}");
        assert!(listing(into.path()).is_empty());
    }
}

#[test]
fn what_does_not_fit_is_left_out_as_a_whole() {
    let host = Tree::debian();
    let long = "x".repeat(4000);
    host.elf("usr/bin/p", &PROGRAM)
        .elf("usr/bin/q", &Elf { needed: &["big.so"], ..PROGRAM })
        .elf("usr/bin/r", &PROGRAM)
        .elf(&format!("{ARCH_DIR}/big.so"), &Elf { soname: Some(&long), ..LIB });
    let (_, all) = assembled(&host, &["/bin/p", "/bin/q", "/bin/r"], NO_LIMIT);
    let big = all.sources.iter().find(|s| s.path.ends_with("big.so")).unwrap().size_bytes;
    let (into, report) = assembled(&host, &["/bin/p", "/bin/q", "/bin/r"], all.bytes - big);
    assert!(matches!(only_refusal(&report), Refusal::TooLarge { new_bytes, left_bytes }
        if *new_bytes > big && new_bytes > left_bytes));
    assert!(report.bytes <= all.bytes - big);
    assert!(into.path().join("usr/bin/r").is_file());
    assert!(!into.path().join("usr/bin/q").exists());
}

#[test]
fn the_cache_comes_along_where_the_loader_would_be_lost_without_it() {
    let host = Tree::debian();
    host.elf("usr/bin/p", &Elf { needed: &["a.so"], ..PROGRAM }).elf("/opt/a.so", &LIB);
    host.file("/etc/ld.so.cache", &ld_so_cache(&[("a.so", "/opt/a.so", 0)], true));
    let (into, _) = assembled(&host, &["/bin/p"], NO_LIMIT);
    assert!(into.path().join("etc/ld.so.cache").is_file());
    assert!(into.path().join("opt/a.so").is_file());
}

#[test]
fn a_file_that_is_there_already_is_not_written_over() {
    let (host, into) = (Tree::debian(), Tree::new());
    host.elf("usr/bin/p", &PROGRAM);
    into.file("usr/bin/p", b"mine");
    let result = assemble(host.path(), &[PathBuf::from("/bin/p")], into.path(), NO_LIMIT);
    let cause = result.unwrap_err();
    assert_eq!(cause.errno(), sys::Errno::EEXIST);
    assert!(cause.args().starts_with("\"/usr/bin/p\""), "{cause}");
    assert_eq!(std::fs::read(into.path().join("usr/bin/p")).unwrap(), b"mine");
}
