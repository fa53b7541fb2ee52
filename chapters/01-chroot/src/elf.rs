//! What a program says about itself: the parts of ELF that the kernel and the loader read.
//!
//! The kernel reads PT_INTERP: the loader that it starts in place of the program. The loader
//! reads PT_DYNAMIC: the libraries that it has to find. Source: elf(5), ld.so(8).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use object::elf::{self, DynamicTag, FileHeader32, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{ReadCache, StringTable};
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
    },
    /// It doesn't begin with 0x7f `ELF`.
    #[error("not ELF")]
    NotElf,
    /// An object file or a core dump.
    #[error("ELF, but neither a program nor a library (e_type {e_type})")]
    NotLoadable {
        /// `e_type` of the header.
        e_type: u16,
    },
    /// It contradicts itself, or ends too early.
    #[error("damaged ELF: {0}")]
    Damaged(#[from] object::Error),
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
        let mut start = Vec::new();
        file.rewind()?;
        // binfmt_script.c: the kernel looks at the first 256 bytes for the interpreter.
        file.take(256).read_to_end(&mut start)?;
        if let Some(line) = start.strip_prefix(b"#!") {
            return Err(ElfError::Script { interpreter: script_interpreter(line) });
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

fn script_interpreter(line: &[u8]) -> PathBuf {
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii_start();
    let word = line.split(|b| matches!(b, b' ' | b'\t' | 0)).next().unwrap_or_default();
    OsStr::from_bytes(word).into()
}

fn parse<'a, H, R>(data: R) -> Result<Elf, ElfError>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let e_type = header.e_type(endian);
    if e_type != elf::ET_EXEC && e_type != elf::ET_DYN {
        return Err(ElfError::NotLoadable { e_type: e_type.0 });
    }
    let segments = header.program_headers(endian, data)?;
    let (mut interpreter, mut dynamic) = (None, &[][..]);
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, data)? {
            interpreter = Some(PathBuf::from(OsStr::from_bytes(path)));
        }
        if let Some(entries) = segment.dynamic(endian, data)? {
            dynamic = entries;
        }
    }
    let entries: Vec<(DynamicTag, u64)> = dynamic
        .iter()
        .map(|d| (d.tag(endian), d.val(endian)))
        .take_while(|(tag, _)| *tag != elf::DT_NULL)
        .collect();
    let names = names(&entries, segments, endian, data)?;
    let one = |tag| names.iter().find(|(t, _)| *t == tag).map(|(_, name)| name.clone());
    let runpath = one(elf::DT_RUNPATH);
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
        needed: names.iter().filter(|(t, _)| *t == elf::DT_NEEDED).map(|(_, n)| n.clone()).collect(),
        rpath: one(elf::DT_RPATH).filter(|_| runpath.is_none()),
        runpath,
        soname: one(elf::DT_SONAME),
    })
}

/// The entries whose value is the place of a name in the string table.
fn names<'a, P, R>(
    entries: &[(DynamicTag, u64)],
    segments: &[P],
    endian: Endianness,
    data: R,
) -> Result<Vec<(DynamicTag, OsString)>, ElfError>
where
    P: ProgramHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    const NAMES: [DynamicTag; 4] = [elf::DT_NEEDED, elf::DT_RPATH, elf::DT_RUNPATH, elf::DT_SONAME];
    let value = |tag| entries.iter().find(|(t, _)| *t == tag).map(|(_, v)| *v);
    let (Some(address), Some(size)) = (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) else {
        return Ok(Vec::new());
    };
    // DT_STRTAB is an address in memory; the PT_LOAD around it says where that is in the file.
    let offset = segments.iter().filter(|s| s.p_type(endian) == elf::PT_LOAD).find_map(|s| {
        let within = address.checked_sub(s.p_vaddr(endian).into())?;
        (within < s.p_filesz(endian).into()).then(|| within.checked_add(s.p_offset(endian).into()))?
    });
    let Some((start, end)) = offset.and_then(|o| Some((o, o.checked_add(size)?))) else {
        return Ok(Vec::new());
    };
    let table = StringTable::new(data, start, end);
    let mut found = Vec::new();
    for (tag, place) in entries.iter().filter(|(tag, _)| NAMES.contains(tag)) {
        let place = u32::try_from(*place).unwrap_or(u32::MAX);
        let name = table.get(place).map_err(|()| std::io::Error::from(std::io::ErrorKind::InvalidData))?;
        found.push((*tag, OsStr::from_bytes(name).to_owned()));
    }
    Ok(found)
}
