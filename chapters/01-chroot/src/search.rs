//! Where a loader looks for libraries: the rules of ld.so(8), in place of ldd(1), which would
//! run the program.
//!
//! glibc: DT_RPATH of the object and of those that needed it; DT_RUNPATH of the object;
//! /etc/ld.so.cache; the directories that were compiled into the loader. musl: the paths of the
//! object and of those that needed it; then the directories of /etc/ld-musl-ARCH.path.
//! LD_LIBRARY_PATH is left out: it is the user's, not the program's.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::Root;
use crate::cache::{self, Entry};
use crate::elf::{Abi, Elf};

/// A library that is not where the loader would look.
#[derive(Debug, Default, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} needs the library {}, which is in none of {}{}", needed_by.display(), library.display(), dirs(searched), files(rejected))]
pub struct MissingLibrary {
    /// The program or library that needs it.
    pub needed_by: PathBuf,
    /// What it needs.
    pub library: OsString,
    /// The directories that were searched, in this order, and at its place /etc/ld.so.cache.
    pub searched: Vec<PathBuf>,
    /// Files of that name which a loader would pass by, and why.
    pub rejected: Vec<(PathBuf, String)>,
}

fn dirs(searched: &[PathBuf]) -> String {
    searched.iter().map(|dir| dir.to_string_lossy()).collect::<Vec<_>>().join(", ")
}

fn files(rejected: &[(PathBuf, String)]) -> String {
    rejected.iter().map(|(path, why)| format!("; {}: {why}", path.display())).collect()
}

/// One file that a program would have in memory.
#[derive(Debug)]
pub(crate) struct Object {
    /// Where the loader found it: links are not resolved.
    pub(crate) path: PathBuf,
    pub(crate) elf: Elf,
    /// What `$ORIGIN` stands for.
    pub(crate) origin: PathBuf,
    /// Which object needed it first.
    pub(crate) needed_by: Option<usize>,
    /// Found by the loader's configuration alone: without that file it would not be found.
    pub(crate) by_config: bool,
}

/// One interpreter, and what it knows without the program.
#[derive(Debug)]
pub(crate) struct Loader<'t> {
    tree: &'t Root,
    abi: Abi,
    is_musl: bool,
    /// /etc/ld.so.cache or /etc/ld-musl-ARCH.path, if there is one.
    pub(crate) config: Option<PathBuf>,
    cache: Vec<Entry>,
    dirs: Vec<PathBuf>,
    /// What `$LIB` stands for.
    lib: PathBuf,
}

/// musl is one file: names that begin so are the loader itself (its ldso/dynlink.c).
const MUSL_OWN: [&str; 7] = ["libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."];

const CACHE: &str = "/etc/ld.so.cache";

impl<'t> Loader<'t> {
    /// `interpreter` is PT_INTERP of a program, `real` the same without links.
    pub(crate) fn new(tree: &'t Root, interpreter: &Path, real: &Path, abi: Abi) -> Self {
        let name = interpreter.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.strip_prefix("ld-musl-").and_then(|rest| rest.split('.').next()) {
            Some(arch) => Self::musl(tree, interpreter, arch, abi),
            None => Self::glibc(tree, real, abi),
        }
    }

    /// Its own directories are compiled into the loader, each with a slash at its end (SYSTEM_DIRS in
    /// glibc's elf/dl-load.c). They stand there as text, so it needs
    /// not be run to tell them: `/lib64/` with Fedora, `/nix/store/…-glibc-2.40/lib/` with NixOS.
    ///
    /// The glibc-hwcaps subdirectories, variants for newer processors, are not searched: the plain
    /// variant runs on every processor, and in a tree that has only that one the loader takes it.
    fn glibc(tree: &'t Root, real: &Path, abi: Abi) -> Self {
        let home = real.parent().unwrap_or(Path::new("/lib"));
        let lib = home.strip_prefix("/usr").or_else(|_| home.strip_prefix("/")).unwrap_or(home);
        let bytes = read(tree, real).unwrap_or_default();
        let texts = bytes.split(|b| !b.is_ascii_graphic()).filter(|text| text.starts_with(b"/"));
        let dirs = texts.filter_map(|text| text.strip_suffix(b"/")).filter(|dir| dir.len() > 3);
        let dirs = once(dirs.map(|dir| OsStr::from_bytes(dir).into()).chain([home.into()]));
        let bytes = read(tree, Path::new(CACHE));
        let cache = bytes.as_deref().map(|b| cache::parse(b, abi.is_little_endian)).unwrap_or_default();
        let config = bytes.map(|_| CACHE.into());
        Self { tree, abi, is_musl: false, config, cache, dirs, lib: lib.to_owned() }
    }

    fn musl(tree: &'t Root, interpreter: &Path, arch: &str, abi: Abi) -> Self {
        // dynlink.c: two components up from the interpreter, so /lib/ld-musl-x86_64.so.1 gives "/".
        let prefix = interpreter.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        let config = prefix.join(format!("etc/ld-musl-{arch}.path"));
        let text = read(tree, &config);
        let dirs = text.as_deref().unwrap_or(b"/lib:/usr/local/lib:/usr/lib").split(|b| b":\n".contains(b));
        let dirs = dirs.filter(|d| !d.is_empty()).map(|d| OsStr::from_bytes(d).into()).collect();
        let config = text.is_some().then_some(config);
        Self { tree, abi, is_musl: true, config, cache: Vec::new(), dirs, lib: "lib".into() }
    }

    /// Whether the loader itself answers for this name.
    pub(crate) fn is_own(&self, name: &OsStr) -> bool {
        self.is_musl && MUSL_OWN.iter().any(|own| name.as_bytes().starts_with(own.as_bytes()))
    }

    /// Finds the library `name` that `there[who]` needs.
    pub(crate) fn find(&self, there: &[Object], who: usize, name: &OsStr) -> Result<Object, MissingLibrary> {
        let mut missing = MissingLibrary {
            needed_by: there[who].path.clone(),
            library: name.to_owned(),
            ..MissingLibrary::default()
        };
        if name.as_bytes().contains(&b'/') {
            let path = self.expand(name.as_bytes(), &there[who].origin);
            missing.searched.extend(path.parent().map(Path::to_owned));
            return self.open(&path, who, &mut missing).ok_or(missing);
        }
        let own = self.paths_of(there, who);
        let below = |dir: &PathBuf| dir.join(name);
        let cached = self.cache.iter().filter(|entry| entry.name == name).map(|entry| entry.path.clone());
        for path in once(own.iter().map(below).chain(cached).chain(self.dirs.iter().map(below))) {
            if let Some(object) = self.open(&path, who, &mut missing) {
                let is_default = !self.is_musl && self.dirs.contains(&object.origin);
                let by_config = self.config.is_some() && !is_default && !own.contains(&object.origin);
                return Ok(Object { by_config, ..object });
            }
        }
        let cache = self.config.iter().filter(|_| !self.is_musl);
        missing.searched = once(own.iter().chain(cache).chain(&self.dirs).cloned());
        Err(missing)
    }

    /// All files that the cache has for `name`: where a tree keeps the cache, it keeps these too,
    /// for the loader takes the variant that suits the processor.
    pub(crate) fn variants(&self, name: &OsStr) -> Vec<PathBuf> {
        let same = self.cache.iter().filter(|e| e.name == name);
        same.map(|e| e.path.clone()).filter(|path| matches!(self.read(path), Ok(Some(_)))).collect()
    }

    /// The directories that the objects themselves name.
    fn paths_of(&self, objects: &[Object], who: usize) -> Vec<PathBuf> {
        // glibc: an object with DT_RUNPATH is not interested in the DT_RPATH of those above it.
        let goes_on = self.is_musl || objects[who].elf.runpath.is_none();
        let above = |n: &usize| objects[*n].needed_by.filter(|_| goes_on);
        let lists = std::iter::successors(Some(who), above).flat_map(|n| {
            let Object { elf, origin, .. } = &objects[n];
            let runpath = elf.runpath.iter().filter(move |_| self.is_musl || n == who);
            elf.rpath.iter().chain(runpath).map(move |list| (list.as_bytes(), origin))
        });
        let dirs = lists.flat_map(|(list, origin)| list.split(|b| *b == b':').map(move |dir| (dir, origin)));
        dirs.filter(|(dir, _)| !dir.is_empty()).map(|(dir, origin)| self.expand(dir, origin)).collect()
    }

    /// Replaces `$ORIGIN`, `$LIB` and `$PLATFORM`, also with braces (ld.so(8), "Dynamic string tokens").
    /// `$PLATFORM` is AT_PLATFORM of getauxval(3), here the plain name of the machine (linux/elf-em.h).
    fn expand(&self, text: &[u8], origin: &Path) -> PathBuf {
        let platforms = [(62, "x86_64"), (183, "aarch64"), (self.abi.machine, "i686")];
        let platform = platforms.iter().find(|(machine, _)| *machine == self.abi.machine);
        let platform = ("PLATFORM", platform.map_or("", |(_, name)| name).into());
        let mut text = String::from_utf8_lossy(text).into_owned();
        let values = [("ORIGIN", origin.to_string_lossy()), ("LIB", self.lib.to_string_lossy()), platform];
        for (token, value) in values {
            text = text.replace(&format!("${{{token}}}"), &value).replace(&format!("${token}"), &value);
        }
        text.into()
    }

    fn open(&self, path: &Path, who: usize, missing: &mut MissingLibrary) -> Option<Object> {
        let origin = path.parent().unwrap_or(Path::new("/")).to_owned();
        let elf = self.read(path).unwrap_or_else(|why| {
            missing.rejected.push((path.to_owned(), why));
            None
        })?;
        Some(Object { path: path.to_owned(), elf, origin, needed_by: Some(who), by_config: false })
    }

    /// Nothing if there is no such file; an error if the loader would pass it by.
    fn read(&self, path: &Path) -> Result<Option<Elf>, String> {
        // A relative path would begin at the user's working directory.
        if !path.is_absolute() {
            return Err("not an absolute path".to_owned());
        }
        let Some(file) = self.tree.find_file(path).map_err(|e| e.to_string())? else { return Ok(None) };
        let elf = Elf::read(&file).map_err(|e| e.to_string())?;
        if elf.abi != self.abi {
            return Err("for another machine".to_owned());
        }
        Ok(Some(elf))
    }
}

/// What the loader reads before it searches, if it can be read.
fn read(tree: &Root, path: &Path) -> Option<Vec<u8>> {
    tree.read_bytes(path, 64 << 20).ok()?
}

/// The same in the same order, each only where it stands first.
fn once(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    paths.filter(|path| seen.insert(path.clone())).collect()
}
