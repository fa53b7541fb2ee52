//! What the reader says about ELF files of this host, of other machines, and about other files.
#![allow(clippy::unwrap_used)]

mod fake;

use std::path::{Path, PathBuf};

use chroot::elf::{Elf, ElfError, Linkage};
use fake::{AARCH64, I386, LIB, PROGRAM, S390X, Tree};

fn read(path: &Path) -> Result<Elf, ElfError> {
    Elf::read(&std::fs::File::open(path).unwrap())
}

fn read_bytes(bytes: &[u8]) -> Result<Elf, ElfError> {
    let tree = Tree::new();
    tree.file("file", bytes);
    read(&tree.path().join("file"))
}

#[test]
fn a_program_of_this_host_is_dynamic_and_for_this_machine() {
    let elf = read(Path::new("/bin/sh")).unwrap();
    assert_eq!(elf.linkage, Linkage::Dynamic);
    assert!(elf.interpreter.unwrap().is_absolute());
    assert!(elf.needed.iter().any(|n| n.to_string_lossy().starts_with("libc.")));
    assert_eq!(elf.abi, read(&std::env::current_exe().unwrap()).unwrap().abi);
}

#[test]
fn all_fields_are_read_for_both_classes_and_both_byte_orders() {
    for (machine, is_64, is_little) in
        [(fake::X86_64, true, true), (AARCH64, true, true), (I386, false, true), (S390X, true, false)]
    {
        let fake = fake::Elf {
            machine,
            is_64,
            is_little,
            needed: &["libm.so.6", "libc.so.6"],
            runpath: Some("$ORIGIN/../lib"),
            soname: Some("me.so"),
            ..PROGRAM
        };
        let elf = read_bytes(&fake.bytes()).unwrap();
        assert_eq!((elf.abi.machine, elf.abi.is_64, elf.abi.is_little_endian), (machine, is_64, is_little));
        assert_eq!(elf.needed, ["libm.so.6", "libc.so.6"]);
        assert_eq!(elf.interpreter, Some(PathBuf::from("/lib64/ld-linux-x86-64.so.2")));
        assert_eq!((elf.runpath, elf.rpath), (Some("$ORIGIN/../lib".into()), None));
        assert_eq!(elf.soname, Some("me.so".into()));
    }
}

#[test]
fn linkage_tells_programs_from_libraries() {
    let linkage = |elf: fake::Elf<'_>| read_bytes(&elf.bytes()).unwrap().linkage;
    assert_eq!(linkage(PROGRAM), Linkage::Dynamic);
    assert_eq!(linkage(fake::Elf { e_type: 2, ..LIB }), Linkage::Static);
    assert_eq!(linkage(fake::Elf { is_pie: true, ..LIB }), Linkage::StaticPie);
    assert_eq!(linkage(LIB), Linkage::Library);
}

#[test]
fn runpath_hides_rpath() {
    let both = fake::Elf { rpath: Some("/a"), runpath: Some("/b"), ..LIB };
    let elf = read_bytes(&both.bytes()).unwrap();
    assert_eq!((elf.rpath, elf.runpath), (None, Some("/b".into())));
    let old = read_bytes(&fake::Elf { rpath: Some("/a"), ..LIB }.bytes()).unwrap();
    assert_eq!(old.rpath, Some("/a".into()));
}

#[test]
fn a_script_is_named_with_its_interpreter() {
    for (text, interpreter, argument) in [
        ("#!/bin/sh\necho", "/bin/sh", ""),
        ("#! /usr/bin/env python3\n", "/usr/bin/env", "python3"),
        ("#!\t/bin/awk\t-f  -v x \n", "/bin/awk", "-f  -v x"),
        ("#!\r/bin/sh\n", "\r/bin/sh", ""),
        ("#! \x0c/sh x\n", "\x0c/sh", "x"),
        ("#!", "", ""),
    ] {
        match read_bytes(text.as_bytes()) {
            Err(ElfError::Script { interpreter: found, argument: behind }) => {
                assert_eq!((found.as_path(), behind.to_str()), (Path::new(interpreter), Some(argument)));
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

#[test]
fn other_files_and_damaged_ones_are_errors() {
    let good = fake::Elf { needed: &["libc.so.6"], ..PROGRAM }.bytes();
    assert!(matches!(read_bytes(b""), Err(ElfError::NotElf)));
    assert!(matches!(read_bytes(b"PK\x03\x04 and more"), Err(ElfError::NotElf)));
    let object = fake::Elf { e_type: 1, ..LIB }.bytes();
    assert!(matches!(read_bytes(&object), Err(ElfError::NotLoadable(1))));
    assert!(matches!(read_bytes(b"\x7fELF"), Err(ElfError::Damaged(_))));
    // However it is cut, and whichever byte is wrong: an answer, never a panic.
    for end in 4..good.len() {
        let _ = read_bytes(&good[..end]);
        let mut bad = good.clone();
        bad[end] ^= 0xff;
        let _ = read_bytes(&bad);
    }
    let cut = read_bytes(&good[..good.len() - 1]).unwrap_err();
    let text = format!("cut off: it ends before the {} bytes of which its headers speak", good.len());
    assert_eq!(cut.to_string(), text);
}
