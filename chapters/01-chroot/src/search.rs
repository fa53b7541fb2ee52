//! Where a loader looks for libraries: the rules of ld.so(8), in place of ldd(1), which would
//! run the program.
//!
//! glibc: DT_RPATH of the object and of those that needed it; DT_RUNPATH of the object;
//! /etc/ld.so.cache; the directories that were compiled into the loader. musl: the paths of the
//! object and of those that needed it; then the directories of /etc/ld-musl-ARCH.path.
//! LD_LIBRARY_PATH is left out: it is the user's, not the program's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::cache::{self, Entry};
use crate::elf::{Abi, Elf};
use crate::tree::Tree;

/// A library that is not where the loader would look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
}

/// A library that was found.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) object: Object,
    /// Found by the loader's configuration alone: without that file it would not be found.
    pub(crate) by_config: bool,
}

/// One interpreter, and what it knows without the program.
#[derive(Debug)]
pub(crate) struct Loader {
    tree: Tree,
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

impl Loader {
    /// `interpreter` is PT_INTERP of a program, `real` the same without links.
    pub(crate) fn new(tree: &Tree, interpreter: &Path, real: &Path, abi: Abi) -> Self {
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
    fn glibc(tree: &Tree, real: &Path, abi: Abi) -> Self {
        let home = real.parent().unwrap_or(Path::new("/lib"));
        let lib = home.strip_prefix("/usr").or_else(|_| home.strip_prefix("/")).unwrap_or(home);
        let width = if abi.is_64 { "lib64" } else { "lib32" };
        let mut dirs: Vec<PathBuf> = Vec::new();
        for name in [lib, Path::new("lib"), Path::new(width)] {
            for dir in [Path::new("/").join(name), Path::new("/usr").join(name)] {
                if !dirs.contains(&dir) {
                    dirs.push(dir);
                }
            }
        }
        let bytes = read(tree, Path::new(CACHE));
        let cache = bytes.as_deref().map(|b| cache::parse(b, abi.is_little_endian)).unwrap_or_default();
        let config = bytes.map(|_| CACHE.into());
        Self { tree: tree.clone(), abi, is_musl: false, config, cache, dirs, lib: lib.to_owned() }
    }

    fn musl(tree: &Tree, interpreter: &Path, arch: &str, abi: Abi) -> Self {
        // dynlink.c: two components up from the interpreter, so /lib/ld-musl-x86_64.so.1 gives "/".
        let prefix = interpreter.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        let config = prefix.join(format!("etc/ld-musl-{arch}.path"));
        let text = read(tree, &config);
        let dirs = text.as_deref().unwrap_or(b"/lib:/usr/local/lib:/usr/lib");
        let dirs = dirs.split(|b| matches!(b, b':' | b'\n')).filter(|d| !d.is_empty());
        Self {
            tree: tree.clone(),
            abi,
            is_musl: true,
            config: text.is_some().then_some(config),
            cache: Vec::new(),
            dirs: dirs.map(|d| OsStr::from_bytes(d).into()).collect(),
            lib: "lib".into(),
        }
    }

    /// Whether the loader itself answers for this name.
    pub(crate) fn is_own(&self, name: &OsStr) -> bool {
        self.is_musl && MUSL_OWN.iter().any(|own| name.as_bytes().starts_with(own.as_bytes()))
    }

    /// Finds the library `name` that `objects[who]` needs.
    pub(crate) fn find(&self, objects: &[Object], who: usize, name: &OsStr) -> Result<Hit, MissingLibrary> {
        let mut missing = MissingLibrary {
            needed_by: objects[who].path.clone(),
            library: name.to_owned(),
            searched: Vec::new(),
            rejected: Vec::new(),
        };
        let hit = |object, by_config| Hit { object, by_config };
        if name.as_bytes().contains(&b'/') {
            let path = expand(name, &objects[who].origin, &self.lib, self.abi);
            return self.try_path(&path, who, &mut missing).map(|o| hit(o, false)).ok_or(missing);
        }
        for dir in self.paths_of(objects, who) {
            if let Some(object) = self.try_dir(&dir, name, who, &mut missing) {
                return Ok(hit(object, false));
            }
        }
        for entry in self.cache.iter().filter(|e| e.name == name) {
            if let Some(object) = self.try_path(&entry.path, who, &mut missing) {
                let by_config = !entry.path.parent().is_some_and(|dir| self.is_default(dir));
                return Ok(hit(object, by_config));
            }
        }
        for dir in &self.dirs {
            if let Some(object) = self.try_dir(dir, name, who, &mut missing) {
                return Ok(hit(object, self.is_musl && self.config.is_some()));
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

    fn is_default(&self, dir: &Path) -> bool {
        self.dirs.iter().any(|d| d == dir)
    }

    /// The directories that the objects themselves name.
    fn paths_of(&self, objects: &[Object], who: usize) -> Vec<PathBuf> {
        let own = &objects[who];
        let mut dirs = Vec::new();
        // glibc: an object with DT_RUNPATH is not interested in the DT_RPATH of those above it.
        if self.is_musl || own.elf.runpath.is_none() {
            let mut at = Some(own);
            while let Some(object) = at {
                dirs.extend(self.split(object.elf.rpath.as_deref(), object));
                if self.is_musl {
                    dirs.extend(self.split(object.elf.runpath.as_deref(), object));
                }
                at = object.needed_by.map(|n| &objects[n]);
            }
        } else {
            dirs.extend(self.split(own.elf.runpath.as_deref(), own));
        }
        dirs
    }

    fn split(&self, list: Option<&OsStr>, object: &Object) -> Vec<PathBuf> {
        let parts = list.unwrap_or_default().as_bytes().split(|b| *b == b':').filter(|p| !p.is_empty());
        parts.map(|p| expand(OsStr::from_bytes(p), &object.origin, &self.lib, self.abi)).collect()
    }

    fn try_dir(&self, dir: &Path, name: &OsStr, who: usize, missing: &mut MissingLibrary) -> Option<Object> {
        if missing.searched.iter().any(|d| d == dir) {
            return None;
        }
        missing.searched.push(dir.to_owned());
        self.try_path(&dir.join(name), who, missing)
    }

    fn try_path(&self, path: &Path, who: usize, missing: &mut MissingLibrary) -> Option<Object> {
        let origin = path.parent().unwrap_or(Path::new("/")).to_owned();
        match self.read(path) {
            Ok(elf) => elf.map(|elf| Object { path: path.to_owned(), elf, origin, needed_by: Some(who) }),
            Err(why) => {
                missing.rejected.push((path.to_owned(), why));
                None
            }
        }
    }

    /// Nothing if there is no such file; an error if the loader would pass it by.
    fn read(&self, path: &Path) -> Result<Option<Elf>, String> {
        // A relative path would begin at the user's working directory.
        if !path.is_absolute() {
            return Err("not an absolute path".to_owned());
        }
        let Ok(found) = self.tree.resolve(path) else { return Ok(None) };
        let file = self.tree.open(&found.real).map_err(|e| e.to_string())?;
        let elf = Elf::read(&file).map_err(|e| e.to_string())?;
        if elf.abi != self.abi {
            return Err("for another machine".to_owned());
        }
        Ok(Some(elf))
    }
}

fn read(tree: &Tree, path: &Path) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = tree.open(&tree.resolve(path).ok()?.real).ok()?;
    file.take(64 << 20).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Replaces `$ORIGIN`, `$LIB` and `$PLATFORM`, also with braces (ld.so(8), "Dynamic string tokens").
/// `$PLATFORM` is AT_PLATFORM of getauxval(3), here the plain name of the machine.
fn expand(text: &OsStr, origin: &Path, lib: &Path, abi: Abi) -> PathBuf {
    // linux/elf-em.h
    let platform = match (abi.machine, abi.is_64) {
        (62, _) => "x86_64",
        (183, _) => "aarch64",
        (3, _) => "i686",
        (40, _) => "v7l",
        (243, true) => "riscv64",
        _ => "",
    };
    let values =
        [("ORIGIN", origin.as_os_str()), ("LIB", lib.as_os_str()), ("PLATFORM", OsStr::new(platform))];
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let token = (*first == b'$').then(|| {
            values.iter().find_map(|(name, value)| {
                let braced = format!("{{{name}}}");
                let after = tail.strip_prefix(braced.as_bytes()).or(tail.strip_prefix(name.as_bytes()));
                after.map(|after| (*value, after))
            })
        });
        match token.flatten() {
            Some((value, after)) => {
                out.extend_from_slice(value.as_bytes());
                rest = after;
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    OsStr::from_bytes(&out).into()
}
