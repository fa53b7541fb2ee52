//! What a program says about itself: the parts of ELF that the kernel and the loader read.
//!
//! The kernel reads PT_INTERP: the loader that it starts in place of the program. The loader
//! reads PT_DYNAMIC: the libraries that it has to find. Source: elf(5), ld.so(8).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use object::elf::{self, DynamicTag, FileHeader32, FileHeader64};
use object::read::ReadCache;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, ReadRef};

/// For which machine code was made. A program and its libraries agree in all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abi {
    /// ELFCLASS64, else ELFCLASS32.
    pub is_64: bool,
    /// ELFDATA2LSB, else ELFDATA2MSB.
    pub is_little_endian: bool,
    /// `e_machine`: 62 is x86_64, 183 aarch64 (linux/elf-em.h).
    pub machine: u16,
}

/// How a file is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    /// By its interpreter, which finds the libraries.
    Dynamic,
    /// By the kernel alone, at a fixed address.
    Static,
    /// By the kernel alone, anywhere; it relocates itself.
    StaticPie,
    /// Not at all: a shared library (or a loader).
    Library,
}

/// What matters of an ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// For which machine.
    pub abi: Abi,
    /// How it is started.
    pub linkage: Linkage,
    /// PT_INTERP.
    pub interpreter: Option<PathBuf>,
    /// DT_NEEDED: the libraries, by name, or by path if there is a slash.
    pub needed: Vec<OsString>,
    /// DT_RPATH: directories with colons between them, which count for libraries of libraries too.
    pub rpath: Option<OsString>,
    /// DT_RUNPATH: as DT_RPATH, but for this file's own DT_NEEDED alone. Where it is, DT_RPATH is nothing.
    pub runpath: Option<OsString>,
    /// DT_SONAME: the name under which others need this library.
    pub soname: Option<OsString>,
}

/// Why a file is no ELF program or library.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// It begins with `#!`: the kernel would start another program, which would read this file.
    #[error("a script, run by {}", interpreter.display())]
    Script {
        /// The program behind `#!`.
        interpreter: PathBuf,
        /// What follows it: one argument, blanks and all.
        argument: OsString,
    },
    /// It doesn't begin with 0x7f `ELF`.
    #[error("not ELF")]
    NotElf,
    /// An object file or a core dump.
    #[error("ELF, but neither a program nor a library (e_type {0})")]
    NotLoadable(u16),
    /// It contradicts itself.
    #[error("damaged ELF: {0}")]
    Damaged(#[from] object::Error),
    /// It ends before what it tells the kernel to map: whoever reads there gets SIGBUS.
    #[error("cut off: it ends before the {0} bytes of which its headers speak")]
    CutOff(u64),
    /// It could not be read.
    #[error("read: {0}")]
    Io(#[from] std::io::Error),
}

impl Elf {
    /// Reads the headers of an open file, wherever it is read at the moment.
    ///
    /// # Errors
    /// [`ElfError`].
    pub fn read(mut file: &File) -> Result<Self, ElfError> {
        // binfmt_script.c: the kernel looks at the first 256 bytes for the interpreter.
        let mut start = Vec::with_capacity(256);
        file.rewind()?;
        file.take(256).read_to_end(&mut start)?;
        if let Some(line) = start.strip_prefix(b"#!") {
            // Behind `#!` it skips blanks and tabs, and nothing else that looks white.
            let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
            let line = &line[line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count()..];
            let word = line.split(|b| matches!(b, b' ' | b'\t' | 0)).next().unwrap_or_default();
            let argument = OsStr::from_bytes(line[word.len()..].trim_ascii()).to_owned();
            return Err(ElfError::Script { interpreter: OsStr::from_bytes(word).into(), argument });
        }
        if !start.starts_with(b"\x7fELF") {
            return Err(ElfError::NotElf);
        }
        let data = ReadCache::new(file);
        match start.get(4) {
            Some(&class) if class == elf::ELFCLASS32.0 => parse::<FileHeader32<Endianness>, _>(&data),
            _ => parse::<FileHeader64<Endianness>, _>(&data),
        }
    }
}

fn parse<'a, H: FileHeader<Endian = Endianness>, R: ReadRef<'a>>(data: R) -> Result<Elf, ElfError> {
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let e_type = header.e_type(endian);
    if e_type != elf::ET_EXEC && e_type != elf::ET_DYN {
        return Err(ElfError::NotLoadable(e_type.0));
    }
    let segments = header.program_headers(endian, data)?;
    let (mut interpreter, mut dynamic) = (None, &[][..]);
    for segment in segments {
        let end = segment.p_offset(endian).into().saturating_add(segment.p_filesz(endian).into());
        if segment.p_type(endian) == elf::PT_LOAD && data.len().is_ok_and(|size| end > size) {
            return Err(ElfError::CutOff(end));
        }
        if let Some(path) = segment.interpreter(endian, data)? {
            interpreter = Some(PathBuf::from(OsStr::from_bytes(path)));
        }
        if let Some(entries) = segment.dynamic(endian, data)? {
            dynamic = entries;
        }
    }
    let entries = dynamic.iter().take_while(|d| d.tag(endian) != elf::DT_NULL);
    let entries: Vec<_> = entries.map(|d| (d.tag(endian), d.val(endian))).collect();
    let value = |tag| entries.iter().find(|(t, _)| *t == tag).map(|(_, v)| *v);
    // The string table. DT_STRTAB is an address in memory; the PT_LOAD around it says where that is
    // in the file.
    let place = value(elf::DT_STRTAB).zip(value(elf::DT_STRSZ));
    let mut loaded = segments.iter().filter(|s| s.p_type(endian) == elf::PT_LOAD);
    let table = loaded.find_map(|s| s.data_range(endian, data, place?.0, place?.1).ok()?);
    let text =
        |at: u64| table?.get(usize::try_from(at).ok()?..)?.split(|b| *b == 0).next().map(OsStr::from_bytes);
    let text = |at| text(at).map(OsStr::to_owned).ok_or_else(|| ErrorKind::InvalidData.into());
    let all = |tag: DynamicTag| -> Result<Vec<OsString>, std::io::Error> {
        entries.iter().filter(|(t, _)| *t == tag).map(|(_, place)| text(*place)).collect()
    };
    let one = |tag| all(tag).map(|mut names| names.pop());
    let runpath = one(elf::DT_RUNPATH)?;
    let is_pie = entries.iter().any(|(t, v)| *t == elf::DT_FLAGS_1 && v & elf::DF_1_PIE.0 != 0);
    Ok(Elf {
        abi: Abi {
            is_64: header.is_class_64(),
            is_little_endian: endian == Endianness::Little,
            machine: header.e_machine(endian).0,
        },
        linkage: match (e_type == elf::ET_DYN, &interpreter) {
            (_, Some(_)) => Linkage::Dynamic,
            (false, None) => Linkage::Static,
            (true, None) if is_pie => Linkage::StaticPie,
            (true, None) => Linkage::Library,
        },
        interpreter,
        needed: all(elf::DT_NEEDED)?,
        rpath: one(elf::DT_RPATH)?.filter(|_| runpath.is_none()),
        runpath,
        soname: one(elf::DT_SONAME)?,
    })
}
