//! Hosts that keep each package in a directory of its own, below a store: NixOS and Guix, faked.
#![allow(clippy::unwrap_used)]

mod fake;

use fake::made::{assert_whole, refusal};
use fake::{Elf, LIB, LOADER, PROGRAM, Tree};

/// Programs are links of a profile, or of a generation, into a store; so are loader and libraries.
#[test]
fn nixos() {
    let (glibc, acl) = ("/nix/store/g-glibc-2.40/lib", "/nix/store/a-acl-2.3/lib");
    let loader = "/nix/store/g-glibc-2.40/lib/ld-linux-x86-64.so.2";
    let interpreter = Some(loader);
    let host = Tree::new();
    host.elf(loader, &Elf { texts: &["/nix/store/g-glibc-2.40/lib/"], ..LOADER })
        .elf(&format!("{glibc}/libc.so.6"), &Elf { soname: Some("libc.so.6"), ..LIB })
        .elf("/lib64/libc.so.6", &LIB);
    host.library(acl, "libacl.so.1", "libacl.so.1.1.2301", &Elf { needed: &["libc.so.6"], ..LIB });
    let program = Elf { interpreter, needed: &["libc.so.6"], runpath: Some(glibc), ..PROGRAM };
    let runpath = Some("/nix/store/a-acl-2.3/lib:/nix/store/g-glibc-2.40/lib");
    host.elf("/nix/store/b-bash/bin/bash", &program)
        .link("/nix/store/b-bash/bin/sh", "bash")
        .link("/bin/sh", "/nix/store/b-bash/bin/sh")
        .elf(
            "/nix/store/c-coreutils/bin/coreutils",
            &Elf { needed: &["libacl.so.1", "libc.so.6"], runpath, ..program },
        )
        .link("/run/current-system", "/nix/store/n-nixos-system")
        .link("/nix/store/n-nixos-system/sw", "/nix/store/s-system-path");
    for name in ["ls", "cat"] {
        let there = format!("/nix/store/c-coreutils/bin/{name}");
        host.link(&there, "coreutils").link(&format!("/nix/store/s-system-path/bin/{name}"), &there);
    }
    let sw = ["/bin/sh", "/run/current-system/sw/bin/ls", "/run/current-system/sw/bin/cat"];
    assert_whole(
        &host,
        &sw,
        &[
            "bin/sh -> /nix/store/b-bash/bin/sh",
            "nix/store/a-acl-2.3/lib/libacl.so.1 -> libacl.so.1.1.2301",
            "nix/store/a-acl-2.3/lib/libacl.so.1.1.2301",
            "nix/store/b-bash/bin/bash",
            "nix/store/b-bash/bin/sh -> bash",
            "nix/store/c-coreutils/bin/cat -> coreutils",
            "nix/store/c-coreutils/bin/coreutils",
            "nix/store/c-coreutils/bin/ls -> coreutils",
            "nix/store/g-glibc-2.40/lib/ld-linux-x86-64.so.2",
            "nix/store/g-glibc-2.40/lib/libc.so.6",
            "nix/store/n-nixos-system/sw -> /nix/store/s-system-path",
            "nix/store/s-system-path/bin/cat -> /nix/store/c-coreutils/bin/cat",
            "nix/store/s-system-path/bin/ls -> /nix/store/c-coreutils/bin/ls",
            "run/current-system -> /nix/store/n-nixos-system",
        ],
    );
}

/// Without RUNPATH nothing of the rest of the machine is taken: a store's loader knows the store alone.
#[test]
fn nixos_does_not_mix_with_another_system_on_the_same_disk() {
    let loader = "/nix/store/g-glibc/lib/ld-linux-x86-64.so.2";
    let interpreter = Some(loader);
    let host = Tree::debian();
    host.elf(loader, &Elf { texts: &["/nix/store/g-glibc/lib/"], ..LOADER })
        .elf("/usr/lib/x86_64-linux-gnu/liba.so", &LIB)
        .elf("/nix/store/p/bin/p", &Elf { interpreter, needed: &["liba.so"], ..PROGRAM });
    assert_eq!(
        refusal(&host, "/nix/store/p/bin/p"),
        "/nix/store/p/bin/p needs the library liba.so, which is in none of /nix/store/g-glibc/lib"
    );
}

/// A wrapper: a script that sets variables and executes the program, which has another name. What it needs
/// stands nowhere, so it is refused by name.
#[test]
fn nixos_wrappers_are_refused() {
    let host = Tree::new();
    host.file(
        "/nix/store/w/bin/ls",
        b"#! /nix/store/b-bash/bin/bash -e\nexec -a \"$0\" .ls-wrapped \"$@\"\n",
    );
    host.link("/run/current-system/sw/bin/ls", "/nix/store/w/bin/ls");
    let why = refusal(&host, "/run/current-system/sw/bin/ls");
    assert_eq!(why, "a script, run by /nix/store/b-bash/bin/bash");
}

#[test]
fn guix() {
    let loader = "/gnu/store/g-glibc-2.39/lib/ld-linux-x86-64.so.2";
    let interpreter = Some(loader);
    let host = Tree::new();
    let runpath = Some("/gnu/store/g-glibc-2.39/lib:/gnu/store/c-gcc-lib/lib:$ORIGIN/../lib");
    host.elf(loader, &Elf { texts: &["/gnu/store/g-glibc-2.39/lib/"], ..LOADER })
        .elf("/gnu/store/g-glibc-2.39/lib/libc.so.6", &Elf { soname: Some("libc.so.6"), ..LIB })
        .elf("/gnu/store/u-coreutils/lib/libown.so", &LIB)
        .elf(
            "/gnu/store/u-coreutils/bin/ls",
            &Elf { interpreter, needed: &["libown.so", "libc.so.6"], runpath, ..PROGRAM },
        )
        .link("/gnu/store/p-profile/bin", "/gnu/store/u-coreutils/bin")
        .link("/gnu/store/s-system/profile", "/gnu/store/p-profile")
        .link("/run/current-system", "/var/guix/profiles/system")
        .link("/var/guix/profiles/system", "system-42-link")
        .link("/var/guix/profiles/system-42-link", "/gnu/store/s-system");
    assert_whole(
        &host,
        &["/run/current-system/profile/bin/ls"],
        &[
            "gnu/store/g-glibc-2.39/lib/ld-linux-x86-64.so.2",
            "gnu/store/g-glibc-2.39/lib/libc.so.6",
            "gnu/store/p-profile/bin -> /gnu/store/u-coreutils/bin",
            "gnu/store/s-system/profile -> /gnu/store/p-profile",
            "gnu/store/u-coreutils/bin/ls",
            "gnu/store/u-coreutils/lib/libown.so",
            "run/current-system -> /var/guix/profiles/system",
            "var/guix/profiles/system -> system-42-link",
            "var/guix/profiles/system-42-link -> /gnu/store/s-system",
        ],
    );
}
