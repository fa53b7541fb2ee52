//! Odd files of a host: links in chains and circles, hard links, files that are too large, damaged, or for others.
#![allow(clippy::unwrap_used)]

mod fake;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chroot::{Refusal, needs_of};
use fake::made::{NO_LIMIT, assembled, assert_whole, only_refusal, refusal};
use fake::{AARCH64, Elf, LIB, LOADER, PROGRAM, Tree};

/// A host with nothing but a loader.
fn plain() -> Tree {
    let host = Tree::new();
    host.elf("/lib64/ld-linux-x86-64.so.2", &LOADER);
    host
}

const LD: &str = "lib64/ld-linux-x86-64.so.2";

#[test]
fn a_chain_of_links_to_a_library_is_made_again_link_by_link() {
    let host = plain();
    host.elf("/bin/p", &Elf { needed: &["liba.so.1"], ..PROGRAM })
        .link("/lib64/liba.so.1", "../opt/a/current/liba.so.1")
        .link("/opt/a/current", "/opt/a/../a/versions/./2")
        .link("/opt/a/versions/2", "2.7")
        .link("/opt/a/versions/2.7/liba.so.1", "sub/../liba.so.1.7")
        .elf("/opt/a/versions/2.7/liba.so.1.7", &LIB)
        .file("/opt/a/versions/2.7/sub/unneeded", b"");
    let into = assert_whole(
        &host,
        &["/bin/p"],
        &[
            "bin/p",
            LD,
            "lib64/liba.so.1 -> ../opt/a/current/liba.so.1",
            "opt/a/current -> /opt/a/../a/versions/./2",
            "opt/a/versions/2 -> 2.7",
            "opt/a/versions/2.7/liba.so.1 -> sub/../liba.so.1.7",
            "opt/a/versions/2.7/liba.so.1.7",
        ],
    );
    // The way leads through it, so the kernel wants it there.
    assert!(into.path().join("opt/a/versions/2.7/sub").is_dir());
}

#[test]
fn a_link_in_a_circle_is_told_with_the_errno() {
    let host = plain();
    host.elf("/bin/p", &Elf { needed: &["liba.so"], ..PROGRAM })
        .link("/lib64/liba.so", "liba.so.1")
        .link("/lib64/liba.so.1", "../lib64/liba.so")
        .link("/bin/q", "r")
        .link("/bin/r", "q");
    let why = refusal(&host, "/bin/p");
    let begin =
        "/bin/p needs the library liba.so, which is in none of /lib64, /usr/lib64; /lib64/liba.so: openat(";
    assert!(why.starts_with(begin), "{why}");
    assert!(why.ends_with(", \"/lib64/liba.so\") : ELOOP (Too many symbolic links encountered)"), "{why}");
    let why = refusal(&host, "/bin/q");
    assert!(why.ends_with(", \"/bin/q\") : ELOOP (Too many symbolic links encountered)"), "{why}");
}

#[test]
fn links_that_climb_over_the_root_stay_in_the_tree() {
    let host = plain();
    host.elf("/bin/p", &PROGRAM).link("/bin/up", "../../../../../bin/p");
    assert_whole(&host, &["/bin/up"], &["bin/p", "bin/up -> ../../../../../bin/p", LD]);
}

#[test]
fn hard_links_stay_one_file_and_count_once() {
    let host = plain();
    host.elf("/bin/busybox", &PROGRAM).hole("/bin/busybox", 1 << 20);
    let names: Vec<String> = (0..300).map(|n| format!("/bin/applet{n}")).collect();
    for name in &names {
        host.hard_link(name, "/bin/busybox");
    }
    let programs: Vec<&str> = names.iter().map(String::as_str).collect();
    let (into, report) = assembled(&host, &programs, 2 << 20);
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    let stat = |name: &str| into.path().join(&name[1..]).metadata().unwrap();
    assert_eq!(stat("/bin/applet0").nlink(), 300);
    assert_eq!(stat("/bin/applet0").ino(), stat("/bin/applet299").ino());
    assert!(report.bytes < 2 << 20, "{}", report.bytes);
    // Each name is a source: one of them may be replaced by another program.
    assert_eq!(report.sources.len(), 301);
}

#[test]
fn names_of_one_file_in_one_program_count_once_too() {
    let host = plain();
    host.elf("/bin/p", &Elf { needed: &["liba.so", "libb.so"], ..PROGRAM })
        .elf("/lib64/liba.so", &LIB)
        .hole("/lib64/liba.so", 1 << 20)
        .hard_link("/lib64/libb.so", "/lib64/liba.so");
    let (_, report) = assembled(&host, &["/bin/p"], 3 << 19);
    assert!(report.refused.is_empty(), "{:?}", report.refused);
}

#[test]
fn of_what_is_too_large_nothing_is_copied_and_smaller_ones_still_fit() {
    let host = plain();
    host.elf("/bin/small", &PROGRAM)
        .elf("/bin/huge", &Elf { needed: &["liba.so", "libhuge.so"], ..PROGRAM })
        .elf("/bin/late", &Elf { needed: &["liba.so"], ..PROGRAM })
        .elf("/lib64/liba.so", &LIB)
        .elf("/lib64/libhuge.so", &LIB)
        // A hole: it takes no room on the host, and would take no time to copy, but it counts.
        .hole("/lib64/libhuge.so", 1 << 40);
    let limit = 24 << 20;
    let (into, report) = assembled(&host, &["/bin/small", "/bin/huge", "/bin/late"], limit);
    let Refusal::TooLarge { new_bytes, left_bytes } = only_refusal(&report) else { panic!() };
    assert!(*new_bytes > 1 << 40 && *left_bytes < limit, "{new_bytes} {left_bytes}");
    let text = format!("needs {new_bytes} bytes more, and {left_bytes} are left");
    assert_eq!(only_refusal(&report).to_string(), text);
    let found = ["bin/late", "bin/small", LD, "lib64/liba.so"].map(String::from);
    assert_eq!(fake::made::listing(into.path()), found.into());
}

#[test]
fn the_first_programs_are_the_last_to_be_dropped() {
    let host = plain();
    for name in ["/bin/a", "/bin/b", "/bin/c"] {
        host.elf(name, &PROGRAM).hole(name, 10 << 20);
    }
    let (_, report) = assembled(&host, &["/bin/b", "/bin/a", "/bin/c"], 24 << 20);
    assert!(matches!(only_refusal(&report), Refusal::TooLarge { .. }));
    assert_eq!(report.refused[0].program, Path::new("/bin/c"));
}

#[test]
fn a_file_that_ends_too_early_is_refused_wherever_it_ends() {
    let whole = Elf { needed: &["liba.so"], ..PROGRAM }.bytes();
    for (size, text) in [
        (0, "not ELF".to_owned()),
        (3, "not ELF".to_owned()),
        (20, "damaged ELF: ".to_owned()),
        (
            whole.len() - 1,
            format!("cut off: it ends before the {} bytes of which its headers speak", whole.len()),
        ),
    ] {
        let host = plain();
        host.file("/bin/p", &whole[..size]).elf("/lib64/liba.so", &LIB);
        let why = refusal(&host, "/bin/p");
        assert!(why.starts_with(&text), "{size}: {why}");
    }
    let host = plain();
    let library = LIB.bytes();
    host.file("/bin/p", &whole).file("/lib64/liba.so", &library[..library.len() - 1]);
    assert_eq!(
        refusal(&host, "/bin/p"),
        format!(
            "/bin/p needs the library liba.so, which is in none of /lib64, /usr/lib64; \
             /lib64/liba.so: cut off: it ends before the {} bytes of which its headers speak",
            library.len()
        )
    );
}

#[test]
fn a_library_by_its_path_is_looked_for_there_alone() {
    let host = plain();
    host.elf("/opt/bin/p", &Elf { needed: &["$ORIGIN/../lib/liba.so"], ..PROGRAM })
        .elf("/opt/lib/liba.so", &LIB);
    // The program is called by a link; $ORIGIN is where it really is.
    host.link("/bin/p", "/opt/bin/p");
    let found = ["bin/p -> /opt/bin/p", LD, "opt/bin/p", "opt/lib/liba.so"];
    assert_whole(&host, &["/bin/p"], &found);
    host.elf("/bin/q", &Elf { needed: &["/srv/libb.so"], ..PROGRAM }).elf("/lib64/libb.so", &LIB);
    let text = "/bin/q needs the library /srv/libb.so, which is in none of /srv";
    assert_eq!(refusal(&host, "/bin/q"), text);
    host.elf("/srv/libb.so", &Elf { machine: AARCH64, ..LIB });
    assert_eq!(refusal(&host, "/bin/q"), format!("{text}; /srv/libb.so: for another machine"));
    host.elf("/bin/r", &Elf { needed: &["lib/libc.so"], ..PROGRAM });
    assert_eq!(
        refusal(&host, "/bin/r"),
        "/bin/r needs the library lib/libc.so, which is in none of lib; lib/libc.so: not an absolute path"
    );
}

#[test]
fn every_place_is_told_in_the_order_of_the_search_and_once() {
    let host = plain();
    let runpath = Some("/opt/$LIB:/lib64:$ORIGIN/lib");
    host.elf("/bin/p", &Elf { needed: &["liba.so"], runpath, ..PROGRAM });
    host.file("/etc/ld.so.cache", &fake::ld_so_cache(&[("liba.so", "/gone/liba.so", 0)], true));
    assert_eq!(
        refusal(&host, "/bin/p"),
        "/bin/p needs the library liba.so, which is in none of /opt/lib64, /lib64, /bin/lib, \
         /etc/ld.so.cache, /usr/lib64"
    );
}

#[test]
fn an_interpreter_that_is_missing_or_no_loader_is_told() {
    let host = Tree::new();
    host.elf("/bin/p", &PROGRAM);
    let why = refusal(&host, "/bin/p");
    assert!(why.starts_with("interpreter /lib64/ld-linux-x86-64.so.2: openat("), "{why}");
    assert!(why.ends_with(") : ENOENT (No such file or directory)"), "{why}");
    host.file("/lib64/ld-linux-x86-64.so.2", b"text");
    assert_eq!(refusal(&host, "/bin/p"), "interpreter /lib64/ld-linux-x86-64.so.2: not ELF");
}

/// Whether the kernel can run it is not asked: binfmt_misc may lead to an emulator.
#[test]
fn static_programs_are_taken_alone_for_whatever_machine() {
    let host = Tree::new();
    host.elf("/bin/static", &Elf { e_type: 2, ..LIB })
        .elf("/bin/pie", &Elf { is_pie: true, ..LIB })
        .elf("/bin/arm", &Elf { e_type: 2, machine: AARCH64, ..LIB });
    let programs = ["/bin/static", "/bin/pie", "/bin/arm"];
    assert_whole(&host, &programs, &["bin/arm", "bin/pie", "bin/static"]);
}

/// glibc before 2.34 opens them when a user or a host is looked up; what they need comes along as well.
#[test]
fn the_libraries_of_nsswitch_come_with_libc_where_they_are() {
    let libc = Elf { soname: Some("libc.so.6"), ..LIB };
    let host = plain();
    host.elf("/bin/id", &Elf { needed: &["libc.so.6"], ..PROGRAM }).elf("/lib64/libc.so.6", &libc);
    assert_whole(&host, &["/bin/id"], &["bin/id", LD, "lib64/libc.so.6"]);
    host.elf("/usr/lib64/libnss_files.so.2", &Elf { needed: &["libc.so.6"], ..LIB })
        .elf("/usr/lib64/libnss_dns.so.2", &Elf { needed: &["libresolv.so.2", "libc.so.6"], ..LIB })
        .elf("/lib64/libresolv.so.2", &LIB);
    let needs = needs_of(host.path(), Path::new("/bin/id")).unwrap();
    assert!(needs.contains(&"/lib64/libresolv.so.2".into()), "{needs:?}");
    let nss = ["usr/lib64/libnss_dns.so.2", "usr/lib64/libnss_files.so.2", "lib64/libresolv.so.2"];
    assert_whole(&host, &["/bin/id"], &[&["bin/id", LD, "lib64/libc.so.6"][..], &nss].concat());
    let (_, report) = assembled(&host, &["/bin/id"], NO_LIMIT);
    assert_eq!(report.sources.len(), 6);
}
