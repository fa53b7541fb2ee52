//! Hosts that this machine is not, faked: how each lays out its programs, loaders and libraries.
//!
//! For each of them the new root holds exactly the files and links that are needed, at the same paths,
//! and our own search finds everything again with that root as `/`.
#![allow(clippy::unwrap_used)]

mod fake;

use chroot::Refusal;
use fake::made::{NO_LIMIT, assembled, assert_whole, only_refusal};
use fake::{Elf, I386, LIB, LOADER, PROGRAM, Tree, ld_so_cache};

/// /usr is merged, the loader lies in /usr/lib64, and beside the libraries there are variants for newer processors
/// and those of 32 bits.
fn fedora() -> Tree {
    let host = Tree::new();
    for (name, text) in [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib64", "usr/lib64"), ("lib", "usr/lib")]
    {
        host.link(name, text);
    }
    host.elf("/usr/lib64/ld-linux-x86-64.so.2", &LOADER).link("/usr/sbin", "bin");
    host.elf("/usr/lib64/libc.so.6", &Elf { soname: Some("libc.so.6"), ..LIB });
    host.elf("/usr/bin/ls", &Elf { needed: &["libz.so.1", "libc.so.6"], ..PROGRAM });
    host.elf("/usr/lib/libz.so.1", &Elf { machine: I386, is_64: false, ..LIB });
    host
}

const FEDORA: [&str; 5] = [
    "bin -> usr/bin",
    "lib64 -> usr/lib64",
    "usr/bin/ls",
    "usr/lib64/ld-linux-x86-64.so.2",
    "usr/lib64/libc.so.6",
];

#[test]
fn fedora_gives_the_plain_variant_of_a_library() {
    let host = fedora();
    for dir in ["/usr/lib64", "/usr/lib64/glibc-hwcaps/x86-64-v2", "/usr/lib64/glibc-hwcaps/x86-64-v3"] {
        host.library(dir, "libz.so.1", "libz.so.1.3.1", &LIB);
    }
    let entries = [
        ("libz.so.1", "/lib64/glibc-hwcaps/x86-64-v3/libz.so.1", 1 << 62),
        ("libz.so.1", "/lib64/libz.so.1", 0),
        ("libc.so.6", "/lib64/libc.so.6", 0),
    ];
    host.file("/etc/ld.so.cache", &ld_so_cache(&entries, true));
    let plain = ["usr/lib64/libz.so.1 -> libz.so.1.3.1", "usr/lib64/libz.so.1.3.1"];
    assert_whole(&host, &["/bin/ls"], &[&FEDORA[..], &plain].concat());
    // By way of /sbin it is the same file.
    let (_, report) = assembled(&host, &["/bin/ls", "/sbin/ls"], NO_LIMIT);
    assert_eq!(report.sources.iter().filter(|source| source.path.ends_with("ls")).count(), 1);
}

/// Only the cache leads the loader there, so the cache comes along.
#[test]
fn fedora_with_a_library_for_new_processors_alone() {
    let host = fedora();
    host.elf("/usr/lib64/glibc-hwcaps/x86-64-v3/libz.so.1", &LIB);
    let (_, report) = assembled(&host, &["/bin/ls"], NO_LIMIT);
    assert_eq!(
        only_refusal(&report).to_string(),
        "/bin/ls needs the library libz.so.1, which is in none of /lib64, /usr/lib64"
    );
    let entries = [("libz.so.1", "/lib64/glibc-hwcaps/x86-64-v3/libz.so.1", 1 << 62)];
    host.file("/etc/ld.so.cache", &ld_so_cache(&entries, true));
    let variant = ["etc/ld.so.cache", "usr/lib64/glibc-hwcaps/x86-64-v3/libz.so.1"];
    assert_whole(&host, &["/bin/ls"], &[&FEDORA[..], &variant].concat());
}

/// On the smallest images of Fedora and its kin coreutils is one program, and `ls` a script of one line.
#[test]
fn coreutils_as_one_program_behind_scripts() {
    let host = fedora();
    host.elf("/usr/bin/coreutils", &Elf { needed: &["libc.so.6"], ..PROGRAM });
    for name in ["cat", "id"] {
        let line = format!("#!/usr/bin/coreutils --coreutils-prog-shebang={name}\n");
        host.file(&format!("/usr/bin/{name}"), line.as_bytes());
    }
    let mut expected: Vec<_> = FEDORA.into_iter().filter(|file| !file.ends_with("/ls")).collect();
    expected.extend(["usr/bin/cat", "usr/bin/coreutils", "usr/bin/id"]);
    assert_whole(&host, &["/bin/cat", "/bin/id"], &expected);
    // Without it, or round in a circle, there is an answer too.
    host.file("/usr/bin/env", b"#!/usr/bin/env --coreutils-prog-shebang=env\n");
    host.file("/usr/bin/wc", b"#!/usr/bin/gone --coreutils-prog-shebang=wc\n");
    let (_, report) = assembled(&host, &["/bin/env", "/bin/wc"], NO_LIMIT);
    assert_eq!(report.refused[0].why.to_string(), "a script, run by /usr/bin/env");
    let why = report.refused[1].why.to_string();
    assert!(why.ends_with("\"/usr/bin/gone\") : ENOENT (No such file or directory)"), "{why}");
}

/// musl is loader and libc in one file, and has no cache.
fn alpine() -> Tree {
    let host = Tree::new();
    let interpreter = Some("/lib/ld-musl-x86_64.so.1");
    host.elf("/lib/ld-musl-x86_64.so.1", &LIB)
        .link("/lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1")
        .elf("/bin/busybox", &Elf { interpreter, needed: &["libc.musl-x86_64.so.1"], ..PROGRAM });
    host
}

#[test]
fn alpine_with_a_link_for_each_applet() {
    let host = alpine();
    host.link("/bin/sh", "/bin/busybox")
        .link("/bin/ls", "/bin/busybox")
        .link("/usr/bin/head", "../../bin/busybox");
    assert_whole(
        &host,
        &["/bin/sh", "/bin/ls", "/usr/bin/head"],
        &[
            "bin/busybox",
            "bin/ls -> /bin/busybox",
            "bin/sh -> /bin/busybox",
            "lib/ld-musl-x86_64.so.1",
            "usr/bin/head -> ../../bin/busybox",
        ],
    );
}

#[test]
fn alpine_with_libraries_and_a_path_of_its_own() {
    let host = alpine();
    let interpreter = Some("/lib/ld-musl-x86_64.so.1");
    host.elf("/usr/bin/ip", &Elf { interpreter, needed: &["libelf.so.1", "libmnl.so.0"], ..PROGRAM })
        .elf("/usr/lib/libelf.so.1", &Elf { needed: &["libz.so.1"], ..LIB })
        .elf("/lib/libz.so.1", &LIB);
    let (_, report) = assembled(&host, &["/usr/bin/ip"], NO_LIMIT);
    assert_eq!(
        only_refusal(&report).to_string(),
        "/usr/bin/ip needs the library libmnl.so.0, which is in none of /lib, /usr/local/lib, /usr/lib"
    );
    host.elf("/opt/lib/libmnl.so.0", &LIB).file("/etc/ld-musl-x86_64.path", b"/opt/lib\n/lib:/usr/lib\n");
    assert_whole(
        &host,
        &["/usr/bin/ip"],
        &[
            "etc/ld-musl-x86_64.path",
            "lib/ld-musl-x86_64.so.1",
            "lib/libz.so.1",
            "opt/lib/libmnl.so.0",
            "usr/bin/ip",
            "usr/lib/libelf.so.1",
        ],
    );
}

/// Before the merge: programs and libraries of /bin and /lib are not those of /usr.
#[test]
fn debian_before_the_merge_of_usr() {
    let host = Tree::new();
    let dir = "/lib/x86_64-linux-gnu";
    host.elf(&format!("{dir}/ld-2.28.so"), &Elf { texts: fake::DEBIAN_DIRS, ..LOADER });
    host.link(&format!("{dir}/ld-linux-x86-64.so.2"), "ld-2.28.so");
    host.link("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
    let needed = &["libc.so.6", "ld-linux-x86-64.so.2"];
    host.library(dir, "libselinux.so.1", "libselinux.so.1.0", &Elf { needed, ..LIB });
    host.library(dir, "libc.so.6", "libc-2.28.so", &LIB);
    host.library(dir, "libnss_files.so.2", "libnss_files-2.28.so", &LIB);
    host.library("/usr/lib/x86_64-linux-gnu", "libpcre.so.3", "libpcre.so.3.13.3", &LIB);
    host.elf("/bin/ls", &Elf { needed: &["libselinux.so.1", "libpcre.so.3"], ..PROGRAM });
    host.elf("/usr/bin/head", &PROGRAM);
    assert_whole(
        &host,
        &["/bin/ls", "/usr/bin/head"],
        &[
            "bin/ls",
            "lib/x86_64-linux-gnu/ld-2.28.so",
            "lib/x86_64-linux-gnu/libc-2.28.so",
            "lib/x86_64-linux-gnu/libc.so.6 -> libc-2.28.so",
            // Nobody needs it by name: glibc opens it when it looks a user up.
            "lib/x86_64-linux-gnu/libnss_files-2.28.so",
            "lib/x86_64-linux-gnu/libnss_files.so.2 -> libnss_files-2.28.so",
            "lib/x86_64-linux-gnu/libselinux.so.1 -> libselinux.so.1.0",
            "lib/x86_64-linux-gnu/libselinux.so.1.0",
            "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 -> ld-2.28.so",
            "lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            "usr/bin/head",
            "usr/lib/x86_64-linux-gnu/libpcre.so.3 -> libpcre.so.3.13.3",
            "usr/lib/x86_64-linux-gnu/libpcre.so.3.13.3",
        ],
    );
}

/// A merge by absolute links is the same as one by relative ones: they begin at the tree's own root.
#[test]
fn a_merge_of_usr_by_absolute_links() {
    let host = Tree::new();
    for name in ["bin", "sbin", "lib", "lib64"] {
        host.link(name, &format!("/usr/{name}"));
    }
    host.elf("/usr/lib64/ld-linux-x86-64.so.2", &LOADER).elf("/usr/lib64/liba.so", &LIB);
    host.elf("/usr/bin/ls", &Elf { needed: &["liba.so"], ..PROGRAM });
    assert_whole(
        &host,
        &["/bin/ls"],
        &[
            "bin -> /usr/bin",
            "lib64 -> /usr/lib64",
            "usr/bin/ls",
            "usr/lib64/ld-linux-x86-64.so.2",
            "usr/lib64/liba.so",
        ],
    );
}

/// The coreutils of Ubuntu since 25.10: one program in Rust, reached over two links.
#[test]
fn ubuntu_with_coreutils_in_rust() {
    let host = Tree::debian();
    host.elf("/usr/bin/coreutils", &PROGRAM);
    for name in ["ls", "cat"] {
        host.link(&format!("/usr/bin/{name}"), &format!("../lib/cargo/bin/coreutils/{name}"));
        host.link(&format!("/usr/lib/cargo/bin/coreutils/{name}"), "../../../../bin/coreutils");
    }
    assert_whole(
        &host,
        &["/bin/ls", "/usr/bin/cat"],
        &[
            "bin -> usr/bin",
            "lib -> usr/lib",
            "lib64 -> usr/lib64",
            "usr/bin/cat -> ../lib/cargo/bin/coreutils/cat",
            "usr/bin/coreutils",
            "usr/bin/ls -> ../lib/cargo/bin/coreutils/ls",
            "usr/lib/cargo/bin/coreutils/cat -> ../../../../bin/coreutils",
            "usr/lib/cargo/bin/coreutils/ls -> ../../../../bin/coreutils",
            "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            "usr/lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        ],
    );
}

/// Multiarch: the libraries of two machines lie side by side, and each program gets its own.
#[test]
fn debian_with_a_second_architecture() {
    let host = Tree::debian();
    let i386 = Elf { machine: I386, is_64: false, ..LIB };
    let interpreter = Some("/lib/ld-linux.so.2");
    host.elf("/usr/lib/i386-linux-gnu/ld-linux.so.2", &Elf { texts: &["/lib/i386-linux-gnu/"], ..i386 })
        .link("/usr/lib/ld-linux.so.2", "i386-linux-gnu/ld-linux.so.2")
        .elf("/usr/lib/i386-linux-gnu/libc.so.6", &i386)
        .elf("/usr/lib/x86_64-linux-gnu/libc.so.6", &LIB)
        .elf("/usr/bin/old", &Elf { interpreter, needed: &["libc.so.6"], ..i386 })
        .elf("/usr/bin/new", &Elf { needed: &["libc.so.6"], ..PROGRAM });
    assert_whole(
        &host,
        &["/bin/old", "/bin/new"],
        &[
            "bin -> usr/bin",
            "lib -> usr/lib",
            "lib64 -> usr/lib64",
            "usr/bin/new",
            "usr/bin/old",
            "usr/lib/i386-linux-gnu/ld-linux.so.2",
            "usr/lib/i386-linux-gnu/libc.so.6",
            "usr/lib/ld-linux.so.2 -> i386-linux-gnu/ld-linux.so.2",
            "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            "usr/lib/x86_64-linux-gnu/libc.so.6",
            "usr/lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        ],
    );
    let (_, report) = assembled(&host, &["/lib/i386-linux-gnu/libc.so.6"], NO_LIMIT);
    assert!(matches!(only_refusal(&report), Refusal::NotAProgram));
}
