//! Where a loader looks for libraries: the rules of ld.so(8), in place of ldd(1), which would
//! run the program.
//!
//! glibc: DT_RPATH of the object and of those that needed it; DT_RUNPATH of the object;
//! /etc/ld.so.cache; the directories that were compiled into the loader. musl: the paths of the
//! object and of those that needed it; then the directories of /etc/ld-musl-ARCH.path.
//! LD_LIBRARY_PATH is left out: it is the user's, not the program's.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sys::Errno;

use crate::Root;
use crate::cache::{self, Entry};
use crate::elf::{Abi, Elf};

/// A library that is not where the loader would look.
#[derive(Debug, Default, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} needs the library {}, which is in none of {searched:?}{}", needed_by.display(), library.display(), because(rejected))]
pub struct MissingLibrary {
    /// The program or library that needs it.
    pub needed_by: PathBuf,
    /// What it needs.
    pub library: OsString,
    /// The directories that were searched, in this order.
    pub searched: Vec<PathBuf>,
    /// Files of that name which a loader would pass by, and why.
    pub rejected: Vec<(PathBuf, String)>,
}

fn because(rejected: &[(PathBuf, String)]) -> String {
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

    /// Its own directories are compiled into the loader, and nobody can ask it without running
    /// it. But it is installed in one of them: `/lib/x86_64-linux-gnu` with Debian's multiarch,
    /// `/lib64` with Fedora, `/lib` with Arch. So the directory where the interpreter really is
    /// gives that one, its twin below /usr, and `$LIB`. Too many do no harm: a library for
    /// another machine is passed by, here as in the loader.
    ///
    /// The glibc-hwcaps subdirectories, variants for newer processors, are not searched: the plain
    /// variant runs on every processor, and in a tree that has only that one the loader takes it.
    fn glibc(tree: &'t Root, real: &Path, abi: Abi) -> Self {
        let home = real.parent().unwrap_or(Path::new("/lib"));
        let lib = home.strip_prefix("/usr").or_else(|_| home.strip_prefix("/")).unwrap_or(home);
        let width = if abi.is_64 { "lib64" } else { "lib32" };
        let dirs = [lib, Path::new("lib"), Path::new(width)];
        let dirs = dirs.iter().flat_map(|d| ["/", "/usr"].map(|p| Path::new(p).join(d))).collect();
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

    /// Finds the library `name` that `objects[who]` needs.
    pub(crate) fn find(
        &self,
        objects: &[Object],
        who: usize,
        name: &OsStr,
    ) -> Result<Object, MissingLibrary> {
        let mut missing = MissingLibrary {
            needed_by: objects[who].path.clone(),
            library: name.to_owned(),
            ..MissingLibrary::default()
        };
        if name.as_bytes().contains(&b'/') {
            let path = expand(name, &objects[who].origin, &self.lib, self.abi);
            return self.open(&path, who, &mut missing).ok_or(missing);
        }
        for dir in self.paths_of(objects, who) {
            if let Some(object) = self.look(&dir, name, who, &mut missing) {
                return Ok(object);
            }
        }
        for entry in self.cache.iter().filter(|e| e.name == name) {
            if let Some(object) = self.open(&entry.path, who, &mut missing) {
                let by_config = !self.dirs.contains(&object.origin);
                return Ok(Object { by_config, ..object });
            }
        }
        for dir in &self.dirs {
            if let Some(object) = self.look(dir, name, who, &mut missing) {
                return Ok(Object { by_config: self.is_musl && self.config.is_some(), ..object });
            }
        }
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
        let mut dirs = Vec::new();
        let mut at = Some(who);
        while let Some(n) = at {
            let object = &objects[n];
            dirs.extend(self.split(object.elf.rpath.as_deref(), object));
            if self.is_musl || n == who {
                dirs.extend(self.split(object.elf.runpath.as_deref(), object));
            }
            // glibc: an object with DT_RUNPATH is not interested in the DT_RPATH of those above it.
            at = object.needed_by.filter(|_| self.is_musl || objects[who].elf.runpath.is_none());
        }
        dirs
    }

    fn split(&self, list: Option<&OsStr>, object: &Object) -> Vec<PathBuf> {
        let parts = list.unwrap_or_default().as_bytes().split(|b| *b == b':').filter(|p| !p.is_empty());
        parts.map(|p| expand(OsStr::from_bytes(p), &object.origin, &self.lib, self.abi)).collect()
    }

    fn look(&self, dir: &Path, name: &OsStr, who: usize, missing: &mut MissingLibrary) -> Option<Object> {
        if missing.searched.iter().any(|d| d == dir) {
            return None;
        }
        missing.searched.push(dir.to_owned());
        self.open(&dir.join(name), who, missing)
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
        let file = match self.tree.open_file(path) {
            Err(e) if matches!(e.errno(), Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            other => other.map_err(|e| e.to_string())?.0,
        };
        let elf = Elf::read(&file).map_err(|e| e.to_string())?;
        if elf.abi != self.abi {
            return Err("for another machine".to_owned());
        }
        Ok(Some(elf))
    }
}

/// The bytes of a file of the loader's configuration, if it can be read.
fn read(tree: &Root, path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    tree.open_file(path).ok()?.0.take(64 << 20).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Replaces `$ORIGIN`, `$LIB` and `$PLATFORM`, also with braces (ld.so(8), "Dynamic string tokens").
/// `$PLATFORM` is AT_PLATFORM of getauxval(3), here the plain name of the machine (linux/elf-em.h).
fn expand(text: &OsStr, origin: &Path, lib: &Path, abi: Abi) -> PathBuf {
    let platform = match abi.machine {
        62 => "x86_64",
        183 => "aarch64",
        _ => "i686",
    };
    let mut text = text.to_string_lossy().into_owned();
    let values = [("ORIGIN", origin.to_string_lossy()), ("LIB", lib.to_string_lossy())];
    for (token, value) in values.into_iter().chain([("PLATFORM", platform.into())]) {
        text = text.replace(&format!("${{{token}}}"), &value).replace(&format!("${token}"), &value);
    }
    text.into()
}
