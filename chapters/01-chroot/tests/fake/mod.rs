//! Trees of a foreign host in a temporary directory, with ELF files that hold headers alone.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod made;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// x86_64, aarch64, i386 and s390x in linux/elf-em.h.
pub(crate) const X86_64: u16 = 62;
pub(crate) const AARCH64: u16 = 183;
pub(crate) const I386: u16 = 3;
pub(crate) const S390X: u16 = 22;

/// What an ELF file is to say about itself.
#[derive(Clone, Copy)]
pub(crate) struct Elf<'a> {
    pub(crate) machine: u16,
    pub(crate) is_64: bool,
    pub(crate) is_little: bool,
    pub(crate) interpreter: Option<&'a str>,
    pub(crate) needed: &'a [&'a str],
    pub(crate) rpath: Option<&'a str>,
    pub(crate) runpath: Option<&'a str>,
    pub(crate) soname: Option<&'a str>,
    /// DF_1_PIE.
    pub(crate) is_pie: bool,
    /// ET_DYN is 3, ET_EXEC 2, ET_REL 1.
    pub(crate) e_type: u16,
    /// Texts among its data, each with a zero behind it.
    pub(crate) texts: &'a [&'a str],
}

/// A library for x86_64.
pub(crate) const LIB: Elf<'static> = Elf {
    machine: X86_64,
    is_64: true,
    is_little: true,
    interpreter: None,
    needed: &[],
    rpath: None,
    runpath: None,
    soname: None,
    is_pie: false,
    e_type: 3,
    texts: &[],
};

/// The loader of a glibc that was configured with this directory (Debian's has more of them).
pub(crate) const LOADER: Elf<'static> =
    Elf { soname: Some("ld-linux-x86-64.so.2"), texts: &["/lib64/", "/usr/lib64/"], ..LIB };

/// What Debian compiles into its loader.
pub(crate) const DEBIAN_DIRS: &[&str] =
    &["/lib/x86_64-linux-gnu/", "/usr/lib/x86_64-linux-gnu/", "/lib/", "/usr/lib/"];

/// A program for glibc on x86_64.
pub(crate) const PROGRAM: Elf<'static> =
    Elf { interpreter: Some("/lib64/ld-linux-x86-64.so.2"), is_pie: true, ..LIB };

/// Memory begins here, so that an address is never an offset by chance.
const BASE: u64 = 0x40_0000;

impl Elf<'_> {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (header, segment) = if self.is_64 { (64, 56) } else { (52, 32) };
        let mut names = vec![0];
        let mut entries: Vec<(u64, u64)> = Vec::new();
        let mut name = |tag: u64, text: &str| {
            entries.push((tag, names.len() as u64));
            names.extend_from_slice(text.as_bytes());
            names.push(0);
        };
        self.needed.iter().for_each(|n| name(1, n));
        self.soname.iter().for_each(|n| name(14, n));
        self.rpath.iter().for_each(|n| name(15, n));
        self.runpath.iter().for_each(|n| name(29, n));
        // As in a real one: the list follows other data, and stands there twice.
        let texts = self.texts.iter().chain(self.texts).flat_map(|text| [text.as_bytes(), b"\0"]);
        let texts: Vec<u8> = std::iter::once(&b"\x01\x9c"[..]).chain(texts).flatten().copied().collect();
        let names_at = header + 3 * segment;
        let interpreter_at = names_at + names.len();
        names.extend_from_slice(self.interpreter.unwrap_or_default().as_bytes());
        names.push(0);
        names.extend_from_slice(&texts);
        let dynamic_at = (names_at + names.len()).next_multiple_of(8);
        entries.push((5, BASE + names_at as u64)); // DT_STRTAB
        entries.push((10, (interpreter_at - names_at) as u64)); // DT_STRSZ
        entries.push((0x6fff_fffb, u64::from(self.is_pie) << 27)); // DT_FLAGS_1
        entries.push((0, 0));
        let dynamic_size = entries.len() * if self.is_64 { 16 } else { 8 };
        let end = dynamic_at + dynamic_size;

        let mut out = Writer { bytes: Vec::new(), is_64: self.is_64, is_little: self.is_little };
        out.bytes.extend_from_slice(b"\x7fELF");
        let class = if self.is_64 { 2 } else { 1 };
        out.bytes.extend_from_slice(&[class, if self.is_little { 1 } else { 2 }, 1]);
        out.bytes.resize(16, 0);
        out.number(2, u64::from(self.e_type));
        out.number(2, u64::from(self.machine));
        out.number(4, 1);
        out.words(&[0, header as u64, 0]);
        out.number(4, 0);
        [header, segment, 3, 0, 0, 0].iter().for_each(|n| out.number(2, *n as u64));
        out.segment(1, 0, end);
        // Without an interpreter there is a segment that nobody reads (PT_NULL).
        let kind = if self.interpreter.is_some() { 3 } else { 0 };
        out.segment(kind, interpreter_at, self.interpreter.map_or(0, |i| i.len() + 1));
        out.segment(2, dynamic_at, dynamic_size);
        out.bytes.extend_from_slice(&names);
        out.bytes.resize(dynamic_at, 0);
        entries.iter().for_each(|(tag, value)| out.words(&[*tag, *value]));
        out.bytes
    }
}

struct Writer {
    bytes: Vec<u8>,
    is_64: bool,
    is_little: bool,
}

impl Writer {
    fn number(&mut self, size: usize, value: u64) {
        if self.is_little {
            self.bytes.extend_from_slice(&value.to_le_bytes()[..size]);
        } else {
            self.bytes.extend_from_slice(&value.to_be_bytes()[8 - size..]);
        }
    }

    fn words(&mut self, values: &[u64]) {
        values.iter().for_each(|v| self.number(if self.is_64 { 8 } else { 4 }, *v));
    }

    fn segment(&mut self, kind: u64, offset: usize, size: usize) {
        let (offset, size) = (offset as u64, size as u64);
        self.number(4, kind);
        if self.is_64 {
            self.number(4, 5);
        }
        self.words(&[offset, BASE + offset, BASE + offset, size, size]);
        if !self.is_64 {
            self.number(4, 5);
        }
        self.words(&[8]);
    }
}

/// A tree that is thrown away.
pub(crate) struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// As Debian: /lib and /lib64 are links into /usr, the loader's name is a link too.
    pub(crate) fn debian() -> Self {
        let tree = Self::new();
        for name in ["lib", "lib64", "bin"] {
            tree.link(name, &format!("usr/{name}"));
        }
        tree.elf("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", &Elf { texts: DEBIAN_DIRS, ..LOADER });
        tree.link("usr/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
        tree
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    fn place(&self, path: &str) -> PathBuf {
        let path = self.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn file(&self, path: &str, bytes: &[u8]) -> &Self {
        let place = self.place(path);
        std::fs::write(&place, bytes).unwrap();
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    pub(crate) fn elf(&self, path: &str, elf: &Elf<'_>) -> &Self {
        self.file(path, &elf.bytes())
    }

    /// A library whose soname is a link to the file with the whole version.
    pub(crate) fn library(&self, dir: &str, soname: &str, file: &str, elf: &Elf<'_>) -> &Self {
        self.elf(&format!("{dir}/{file}"), &Elf { soname: Some(soname), ..*elf });
        self.link(&format!("{dir}/{soname}"), file)
    }

    pub(crate) fn link(&self, path: &str, text: &str) -> &Self {
        symlink(text, self.place(path)).unwrap();
        self
    }

    /// Another name for the same file.
    pub(crate) fn hard_link(&self, path: &str, old: &str) -> &Self {
        std::fs::hard_link(self.place(old), self.place(path)).unwrap();
        self
    }

    /// Makes a file longer by a hole.
    pub(crate) fn hole(&self, path: &str, size_bytes: u64) -> &Self {
        let file = std::fs::File::options().append(true).open(self.place(path)).unwrap();
        file.set_len(size_bytes).unwrap();
        self
    }

    pub(crate) fn chmod(&self, path: &str, mode: u32) -> &Self {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.path().join(path), permissions).unwrap();
        self
    }
}

/// A cache of glibc 2.2 to 2.36's form: `(name, path, hwcap)`.
pub(crate) fn ld_so_cache(entries: &[(&str, &str, u64)], is_little: bool) -> Vec<u8> {
    let mut out = Writer { bytes: b"glibc-ld.so.cache1.1".to_vec(), is_64: true, is_little };
    let mut names: Vec<u8> = Vec::new();
    let first_name = 48 + 24 * entries.len();
    out.number(4, entries.len() as u64);
    out.number(4, 0);
    out.number(4, if is_little { 2 } else { 3 });
    out.bytes.resize(48, 0);
    for (name, path, hwcap) in entries {
        out.number(4, 0x0303);
        for text in [name, path] {
            out.number(4, (first_name + names.len()) as u64);
            names.extend_from_slice(text.as_bytes());
            names.push(0);
        }
        out.number(4, 0);
        out.number(8, *hwcap);
    }
    out.bytes.extend_from_slice(&names);
    out.bytes
}
