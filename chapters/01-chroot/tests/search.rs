//! The loaders' rules, each on a faked tree. Source: ld.so(8), and musl's ldso/dynlink.c.
#![allow(clippy::unwrap_used)]

mod fake;

use std::path::Path;

use chroot::{Refusal, needs_of};
use fake::{AARCH64, Elf, I386, LIB, PROGRAM, Tree, ld_so_cache};

const ARCH_DIR: &str = "/lib/x86_64-linux-gnu";

/// All paths behind the program and the interpreter.
fn libraries(tree: &Tree, program: &str) -> Vec<String> {
    let needs = needs_of(tree.path(), Path::new(program)).unwrap();
    needs[2..].iter().map(|p| p.display().to_string()).collect()
}

fn refusal(tree: &Tree, program: &str) -> Refusal {
    needs_of(tree.path(), Path::new(program)).unwrap_err()
}

#[test]
fn default_directories_are_those_that_stand_in_the_loader() {
    let debian = fake::DEBIAN_DIRS;
    let store = "/nix/store/1-glibc/lib/ld-linux-x86-64.so.2";
    let ld = "/lib64/ld-linux-x86-64.so.2";
    for (interpreter, real, dirs, lib) in [
        // Debian, Fedora, Arch, a Debian before the merge of /usr, NixOS
        (ld, "/usr/lib/x86_64-linux-gnu/ld.so", debian, "/lib/x86_64-linux-gnu/a.so"),
        (ld, "/usr/lib64/ld-2.38.so", &["/lib64/", "/usr/lib64/"], "/usr/lib64/a.so"),
        (ld, "/usr/lib/ld-2.38.so", &["/usr/lib/"], "/usr/lib/a.so"),
        (ld, "/lib/x86_64-linux-gnu/ld-2.28.so", debian, "/usr/lib/x86_64-linux-gnu/a.so"),
        (store, "/nix/store/1-glibc/lib/ld.so", &["/nix/store/1-glibc/lib/"], "/nix/store/1-glibc/lib/a.so"),
        // One that tells nothing: where it lies, it was installed.
        (ld, "/opt/libc/ld.so", &[], "/opt/libc/a.so"),
    ] {
        let tree = Tree::new();
        tree.elf(real, &Elf { texts: dirs, ..LIB }).link(interpreter, real).elf(lib, &LIB);
        tree.elf("/bin/p", &Elf { interpreter: Some(interpreter), needed: &["a.so"], ..PROGRAM });
        assert_eq!(libraries(&tree, "/bin/p"), [lib], "{real}");
    }
}

#[test]
fn a_directory_that_the_loader_does_not_know_is_not_searched() {
    let tree = Tree::new();
    tree.elf("/lib64/ld-linux-x86-64.so.2", &fake::LOADER).elf("/usr/lib/a.so", &LIB);
    tree.elf("/bin/p", &Elf { needed: &["a.so"], ..PROGRAM });
    let Refusal::Library(missing) = refusal(&tree, "/bin/p") else { panic!() };
    assert_eq!(missing.searched, ["/lib64", "/usr/lib64"].map(Path::new));
}

#[test]
fn libraries_of_libraries_are_found_once_and_the_loader_is_not_searched() {
    let tree = Tree::debian();
    let ld = "ld-linux-x86-64.so.2";
    tree.elf("usr/bin/p", &Elf { needed: &["a.so", "b.so"], ..PROGRAM })
        .elf(&format!("{ARCH_DIR}/a.so"), &Elf { needed: &["c.so", ld], ..LIB })
        .elf(&format!("{ARCH_DIR}/b.so"), &Elf { needed: &["c.so", "a.so"], ..LIB })
        .elf(&format!("{ARCH_DIR}/c.so"), &LIB);
    let expected = ["a.so", "b.so", "c.so"].map(|n| format!("{ARCH_DIR}/{n}"));
    assert_eq!(libraries(&tree, "/bin/p"), expected);
}

#[test]
fn rpath_counts_for_libraries_of_libraries_and_runpath_does_not() {
    for (is_rpath, found) in [(true, true), (false, false)] {
        let tree = Tree::debian();
        let (rpath, runpath) = if is_rpath { (Some("/opt"), None) } else { (None, Some("/opt")) };
        tree.elf("usr/bin/p", &Elf { needed: &["a.so"], rpath, runpath, ..PROGRAM })
            .elf("/opt/a.so", &Elf { needed: &["b.so"], ..LIB })
            .elf("/opt/b.so", &LIB);
        let result = needs_of(tree.path(), Path::new("/bin/p"));
        assert_eq!(result.is_ok(), found, "rpath: {is_rpath}: {result:?}");
    }
}

#[test]
fn a_library_with_runpath_does_not_look_at_the_rpath_of_the_program() {
    let tree = Tree::debian();
    tree.elf("usr/bin/p", &Elf { needed: &["a.so"], rpath: Some("/opt"), ..PROGRAM })
        .elf("/opt/a.so", &Elf { needed: &["b.so"], runpath: Some("/srv"), ..LIB })
        .elf("/opt/b.so", &LIB)
        .elf("/srv/b.so", &LIB);
    assert_eq!(libraries(&tree, "/bin/p"), ["/opt/a.so", "/srv/b.so"]);
}

#[test]
fn tokens_are_replaced() {
    for (runpath, at) in [
        ("$ORIGIN/../x", "/opt/app/bin/../x"),
        ("${ORIGIN}/y", "/opt/app/bin/y"),
        ("/opt/$LIB", "/opt/lib/x86_64-linux-gnu"),
        ("/opt/${PLATFORM}", "/opt/x86_64"),
        ("/nowhere:$ORIGIN", "/opt/app/bin"),
    ] {
        let tree = Tree::debian();
        // The program is called by a link: $ORIGIN is where it really is.
        tree.elf("/opt/app/bin/p", &Elf { needed: &["a.so"], runpath: Some(runpath), ..PROGRAM })
            .link("usr/bin/p", "/opt/app/bin/p")
            .elf(&format!("{}/a.so", at.replace("bin/..", "")), &LIB);
        assert_eq!(libraries(&tree, "/bin/p"), [format!("{at}/a.so")], "{runpath}");
    }
}

#[test]
fn the_order_is_runpath_then_cache_then_default() {
    let tree = Tree::debian();
    let default = format!("{ARCH_DIR}/a.so");
    tree.elf("usr/bin/p", &Elf { needed: &["a.so"], runpath: Some("/run"), ..PROGRAM });
    tree.elf(&default, &LIB);
    assert_eq!(libraries(&tree, "/bin/p"), [default.as_str()]);
    tree.elf("/cached/a.so", &LIB);
    tree.file("/etc/ld.so.cache", &ld_so_cache(&[("a.so", "/cached/a.so", 0)], true));
    // Only with the cache will the loader find it again, so the cache comes along.
    assert_eq!(libraries(&tree, "/bin/p"), ["/cached/a.so", "/etc/ld.so.cache"]);
    tree.elf("/run/a.so", &LIB);
    assert_eq!(libraries(&tree, "/bin/p"), ["/run/a.so"]);
}

#[test]
fn a_cached_library_in_a_default_directory_needs_no_cache() {
    let tree = Tree::debian();
    let path = format!("{ARCH_DIR}/a.so");
    tree.elf("usr/bin/p", &Elf { needed: &["a.so"], ..PROGRAM }).elf(&path, &LIB);
    tree.file("/etc/ld.so.cache", &ld_so_cache(&[("a.so", &path, 0)], true));
    assert_eq!(libraries(&tree, "/bin/p"), [path]);
}

#[test]
fn of_variants_for_processors_the_plain_one_is_read_and_all_come_along() {
    let tree = Tree::debian();
    let fast = "/opt/glibc-hwcaps/x86-64-v3/a.so";
    tree.elf("usr/bin/p", &Elf { needed: &["a.so"], ..PROGRAM }).elf("/opt/a.so", &LIB).elf(fast, &LIB);
    let entries = [("a.so", fast, 1 << 62), ("a.so", "/opt/a.so", 0)];
    tree.file("/etc/ld.so.cache", &ld_so_cache(&entries, true));
    assert_eq!(libraries(&tree, "/bin/p"), ["/opt/a.so", fast, "/etc/ld.so.cache"]);
}

#[test]
fn a_stale_or_damaged_cache_is_passed_by() {
    let tree = Tree::debian();
    let default = format!("{ARCH_DIR}/a.so");
    tree.elf("usr/bin/p", &Elf { needed: &["a.so"], ..PROGRAM }).elf(&default, &LIB);
    tree.file("/etc/ld.so.cache", &ld_so_cache(&[("a.so", "/gone/a.so", 0)], true));
    assert_eq!(libraries(&tree, "/bin/p"), [default.as_str()]);
    tree.file("/etc/ld.so.cache", b"glibc-ld.so.cache1.1\xff\xff\xff\xff");
    assert_eq!(libraries(&tree, "/bin/p"), [default.as_str()]);
}

#[test]
fn a_library_for_another_machine_is_passed_by() {
    let tree = Tree::debian();
    let i386 = Elf { machine: I386, is_64: false, ..LIB };
    let path = format!("{ARCH_DIR}/a.so");
    tree.elf("usr/bin/p", &Elf { needed: &["a.so"], runpath: Some("/one:/two"), ..PROGRAM })
        .elf("/one/a.so", &i386)
        .elf("/two/a.so", &Elf { machine: AARCH64, ..LIB })
        .elf(&path, &LIB);
    assert_eq!(libraries(&tree, "/bin/p"), [path]);
}

#[test]
fn a_tree_for_aarch64_is_read_on_any_machine() {
    let tree = Tree::new();
    let ld = "/lib/ld-linux-aarch64.so.1";
    let lib = Elf { machine: AARCH64, ..LIB };
    let dirs = &["/lib/aarch64-linux-gnu/", "/usr/lib/aarch64-linux-gnu/"];
    tree.elf("usr/lib/aarch64-linux-gnu/ld.so", &Elf { texts: dirs, ..lib })
        .link("lib", "usr/lib")
        .link(ld, "aarch64-linux-gnu/ld.so")
        .elf("usr/lib/aarch64-linux-gnu/a.so", &lib)
        .elf("/bin/p", &Elf { needed: &["a.so"], interpreter: Some(ld), ..lib });
    assert_eq!(libraries(&tree, "/bin/p"), ["/lib/aarch64-linux-gnu/a.so"]);
}

#[test]
fn a_name_with_a_slash_is_a_path() {
    let tree = Tree::debian();
    tree.elf("usr/bin/p", &Elf { needed: &["/opt/x/a.so"], ..PROGRAM }).elf("/opt/x/a.so", &LIB);
    assert_eq!(libraries(&tree, "/bin/p"), ["/opt/x/a.so"]);
    tree.elf("usr/bin/q", &Elf { needed: &["./a.so"], ..PROGRAM });
    assert!(matches!(refusal(&tree, "/bin/q"), Refusal::Library(m) if m.library == "./a.so"));
}

#[test]
fn a_soname_counts_as_the_name_of_what_is_there() {
    let tree = Tree::debian();
    tree.elf("usr/bin/p", &Elf { needed: &["a.so", "c.so"], runpath: Some("/opt"), ..PROGRAM })
        .elf("/opt/a.so", &Elf { soname: Some("libreal.so.1"), ..LIB })
        .elf("/opt/c.so", &Elf { needed: &["libreal.so.1"], ..LIB });
    assert_eq!(libraries(&tree, "/bin/p"), ["/opt/a.so", "/opt/c.so"]);
}

#[test]
fn separate_nss_libraries_come_with_libc() {
    let tree = Tree::debian();
    let [libc, files] = ["libc.so.6", "libnss_files.so.2"].map(|n| format!("{ARCH_DIR}/{n}"));
    tree.elf("usr/bin/p", &Elf { needed: &["libc.so.6"], ..PROGRAM })
        .elf(&libc, &Elf { soname: Some("libc.so.6"), ..LIB });
    assert_eq!(libraries(&tree, "/bin/p"), [libc.as_str()]);
    tree.elf(&files, &LIB);
    assert_eq!(libraries(&tree, "/bin/p"), [libc, files]);
}

#[test]
fn musl_looks_in_its_own_file_and_is_its_own_libc() {
    let ld = "/lib/ld-musl-x86_64.so.1";
    let tree = Tree::new();
    tree.elf(ld, &LIB)
        .elf("/usr/local/lib/a.so", &LIB)
        .elf("/bin/p", &Elf { interpreter: Some(ld), needed: &["libc.musl-x86_64.so.1", "a.so"], ..PROGRAM });
    assert_eq!(libraries(&tree, "/bin/p"), ["/usr/local/lib/a.so"]);
    tree.elf("/opt/musl/a.so", &LIB).file("/etc/ld-musl-x86_64.path", b"/none\n/opt/musl:/usr/local/lib\n");
    assert_eq!(libraries(&tree, "/bin/p"), ["/opt/musl/a.so", "/etc/ld-musl-x86_64.path"]);
}

#[test]
fn with_musl_runpath_counts_for_libraries_of_libraries() {
    let ld = "/lib/ld-musl-x86_64.so.1";
    let tree = Tree::new();
    let program = Elf { interpreter: Some(ld), needed: &["a.so"], runpath: Some("/opt"), ..PROGRAM };
    tree.elf(ld, &LIB).elf("/bin/p", &program);
    tree.elf("/opt/a.so", &Elf { needed: &["b.so"], ..LIB }).elf("/opt/b.so", &LIB);
    assert_eq!(libraries(&tree, "/bin/p"), ["/opt/a.so", "/opt/b.so"]);
}

#[test]
fn a_missing_library_is_named_with_who_needs_it_and_where_it_was_looked_for() {
    let tree = Tree::debian();
    tree.elf("usr/bin/p", &Elf { needed: &["a.so"], ..PROGRAM })
        .elf(&format!("{ARCH_DIR}/a.so"), &Elf { needed: &["gone.so"], runpath: Some("/opt"), ..LIB })
        .elf("/opt/gone.so", &Elf { machine: AARCH64, ..LIB });
    let Refusal::Library(missing) = refusal(&tree, "/bin/p") else { panic!() };
    assert_eq!(missing.needed_by, Path::new(ARCH_DIR).join("a.so"));
    assert_eq!(missing.library, "gone.so");
    let searched: Vec<_> = missing.searched.iter().map(|d| d.to_str().unwrap()).collect();
    let usr = format!("/usr{ARCH_DIR}");
    assert_eq!(searched, ["/opt", ARCH_DIR, &usr, "/lib", "/usr/lib"]);
    assert_eq!(missing.rejected, [("/opt/gone.so".into(), "for another machine".to_owned())]);
    assert_eq!(
        missing.to_string(),
        "/lib/x86_64-linux-gnu/a.so needs the library gone.so, which is in none of /opt, /lib/x86_64-linux-gnu, \
         /usr/lib/x86_64-linux-gnu, /lib, /usr/lib; /opt/gone.so: for another machine"
    );
}

#[test]
fn a_missing_or_foreign_interpreter_is_named() {
    let tree = Tree::new();
    tree.elf("/bin/p", &PROGRAM);
    let text = refusal(&tree, "/bin/p").to_string();
    assert!(text.starts_with("interpreter /lib64/ld-linux-x86-64.so.2: "), "{text}");
    tree.elf("/lib64/ld-linux-x86-64.so.2", &Elf { machine: AARCH64, ..LIB });
    assert_eq!(
        refusal(&tree, "/bin/p").to_string(),
        "interpreter /lib64/ld-linux-x86-64.so.2: for another machine"
    );
}

#[test]
fn absolute_links_of_the_tree_lead_into_the_tree() {
    let tree = Tree::debian();
    // On this host /etc/hostname and the like exist; in the tree the link has no end.
    tree.elf("usr/bin/p", &Elf { needed: &["a.so"], ..PROGRAM });
    tree.link(&format!("{ARCH_DIR}/a.so"), "/bin/sh");
    assert!(matches!(refusal(&tree, "/bin/p"), Refusal::Library(_)));
    tree.link("/usr/bin/loop", "loop");
    let Refusal::Unreadable(cause) = refusal(&tree, "/bin/loop") else { panic!() };
    assert_eq!(cause.errno(), sys::Errno::ELOOP);
}

#[test]
fn static_programs_need_nothing() {
    let tree = Tree::new();
    tree.elf("/bin/s", &Elf { e_type: 2, ..LIB }).elf("/bin/pie", &Elf { is_pie: true, ..LIB });
    for program in ["/bin/s", "/bin/pie"] {
        assert_eq!(needs_of(tree.path(), Path::new(program)).unwrap(), [Path::new(program)]);
    }
}
