//! All files that one program would have in memory once it runs.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sys::SysError;

use crate::Root;
use crate::elf::{Elf, ElfError, Linkage};
use crate::search::{Loader, MissingLibrary, Object};

/// Why a program can't be taken along.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It, its interpreter or a library can't be opened: mostly ENOENT or EACCES.
    #[error("{0}")]
    Unreadable(#[from] SysError),
    /// A script, or no ELF file at all.
    #[error("{0}")]
    Elf(#[from] ElfError),
    /// A shared library was asked for as a program.
    #[error("a shared library, not a program")]
    NotAProgram,
    /// Its interpreter is for another machine, or no ELF file.
    #[error("interpreter {}: {why}", path.display())]
    Interpreter {
        /// PT_INTERP.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A library is missing.
    #[error("{0}")]
    Library(#[from] MissingLibrary),
    /// A file was replaced, cut or removed while it was copied.
    #[error("{} changed while it was read", .0.display())]
    Changed(PathBuf),
    /// It doesn't fit.
    #[error("needs {new_bytes} bytes more, and {left_bytes} are left")]
    TooLarge {
        /// What this program and its libraries would add.
        new_bytes: u64,
        /// What the limit leaves.
        left_bytes: u64,
    },
}

/// Libraries that glibc opens by itself when users or hosts are looked up (nsswitch.conf(5)).
/// Since 2.34 it has both built in, and these files are empty or missing.
const NSS: [&str; 2] = ["libnss_files.so.2", "libnss_dns.so.2"];

/// Finds what `program` needs in the tree `host_root`: the paths at which kernel and loader look for
/// the program, its interpreter, its libraries, and the loader's configuration where a library is
/// found by that alone. Links are not resolved.
///
/// # Errors
/// [`Refusal`].
pub fn needs_of(host_root: &Path, program: &Path) -> Result<Vec<PathBuf>, Refusal> {
    needs(&Root::open(host_root)?, program)
}

/// How coreutils built as one program installs each name that it has (its configure,
/// `--enable-single-binary=shebangs`): a script of one line, `#!/usr/bin/coreutils` and this with the name.
const ONE_OF_COREUTILS: &[u8] = b"--coreutils-prog-shebang=";

pub(crate) fn needs(tree: &Root, program: &Path) -> Result<Vec<PathBuf>, Refusal> {
    match needs_of_elf(tree, program) {
        Err(Refusal::Elf(ElfError::Script { interpreter, argument }))
            if argument.as_bytes().starts_with(ONE_OF_COREUTILS) =>
        {
            Ok([vec![program.to_owned()], needs_of_elf(tree, &interpreter)?].concat())
        }
        other => other,
    }
}

fn needs_of_elf(tree: &Root, program: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let (real, elf) = read(tree, program)?;
    let mut needs = vec![program.to_owned()];
    let interpreter = match (elf.linkage, &elf.interpreter) {
        (Linkage::Dynamic, Some(interpreter)) => interpreter.clone(),
        (Linkage::Static | Linkage::StaticPie, _) => return Ok(needs),
        _ => return Err(Refusal::NotAProgram),
    };
    let bad = |why| Refusal::Interpreter { path: interpreter.clone(), why };
    let (loader_real, loader_elf) = read(tree, &interpreter).map_err(|why| bad(why.to_string()))?;
    if loader_elf.abi != elf.abi {
        return Err(bad("for another machine".to_owned()));
    }
    needs.push(interpreter.clone());
    let loader = Loader::new(tree, &interpreter, &loader_real, elf.abi);
    let origin = real.parent().unwrap_or(Path::new("/")).to_owned();
    let program = Object { path: program.to_owned(), elf, origin, needed_by: None, by_config: false };
    // The loader is in memory already, and libc needs it by its soname.
    let mut names: Vec<OsString> = loader_elf.soname.into_iter().collect();
    names.extend(interpreter.file_name().map(OsStr::to_owned));
    needs.extend(libraries(&loader, program, names)?);
    Ok(needs)
}

/// Goes through the libraries as the loader does: breadth first, a name that is there once counts
/// for all who need it (so the order decides whose RUNPATH finds it).
fn libraries(loader: &Loader, program: Object, mut names: Vec<OsString>) -> Result<Vec<PathBuf>, Refusal> {
    let mut needs = Vec::new();
    let mut objects = vec![program];
    let mut at = 0;
    while at < objects.len() {
        let mut wanted: Vec<_> = objects[at].elf.needed.iter().map(|name| (name.clone(), true)).collect();
        if objects[at].elf.soname.as_deref() == Some(OsStr::new("libc.so.6")) {
            wanted.extend(NSS.iter().map(|name| (OsString::from(name), false)));
        }
        for (name, is_needed) in wanted {
            if names.contains(&name) || loader.is_own(&name) {
                continue;
            }
            let object = match loader.find(&objects, at, &name) {
                Err(_) if !is_needed => continue,
                other => other?,
            };
            needs.push(object.path.clone());
            if object.by_config {
                needs.extend(loader.variants(&name).into_iter().filter(|p| *p != object.path));
            }
            names.extend(object.elf.soname.clone().filter(|soname| *soname != name));
            names.push(name);
            objects.push(object);
        }
        at += 1;
    }
    if objects.iter().any(|object| object.by_config) {
        needs.extend(loader.config.clone());
    }
    Ok(needs)
}

fn read(tree: &Root, path: &Path) -> Result<(PathBuf, Elf), Refusal> {
    let (file, found) = tree.open_file(path)?;
    Ok((found.real, Elf::read(&file)?))
}
