//! A root file system made from programs of the host: each program, its interpreter, and all
//! libraries that the two of them would look for.
//!
//! Every file lies where it really lies on the host, and every link on the way to it is made
//! again: `/lib64/ld-linux-x86-64.so.2` may need `lib64 -> usr/lib64`, and a link from a soname
//! to a file. So each path that a program was linked with leads to the same file as before, a
//! file that two names lead to is there once, and nothing has to know how a distribution merged
//! its directories.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sys::{Errno, SysError};

use crate::Root;
use crate::closure::{Needs, Refusal, needs};
use crate::root::{failed, fd_path};
use crate::tree::Tree;

/// A file of the host that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path in the host's root and in the new one, without links.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// When it was changed last, in nanoseconds since 1970.
    pub mtime_ns: i64,
}

/// A program that is not in the new root.
#[derive(Debug)]
pub struct Refused {
    /// As it was asked for.
    pub program: PathBuf,
    /// Why it is not there.
    pub why: Refusal,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Report {
    /// Every file that was copied. When one of them has another size or mtime, the root is stale.
    pub sources: Vec<Source>,
    /// Every link that was made.
    pub links: Vec<PathBuf>,
    /// Every program that was left out.
    pub refused: Vec<Refused>,
    /// The sum of the sizes of `sources`.
    pub bytes: u64,
}

/// Why there is no new root.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A call on the new root failed.
    #[error("{path}: {cause}")]
    Target {
        /// The path inside the new root.
        path: PathBuf,
        /// The call.
        cause: SysError,
    },
    /// The new root can't take more: its disk is full, or it is read-only.
    #[error("write {path}: {cause}")]
    Write {
        /// The path inside the new root.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
}

/// Looks for an executable regular file `name` in `dirs`, in their order, in the tree `host_root`.
#[must_use]
pub fn find_program(host_root: &Path, name: &OsStr, dirs: &[&Path]) -> Option<PathBuf> {
    let tree = Tree::new(host_root);
    dirs.iter().map(|dir| dir.join(name)).find(|path| {
        let real = tree.resolve(path).map(|found| tree.on_host(&found.real));
        let meta = real.and_then(std::fs::metadata);
        meta.is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    })
}

/// Copies `programs` (absolute paths in the tree `host_root`) with all that they need into the
/// directory `into`. A program is taken as a whole or, with its reason in the report, not at all:
/// also when all files together would have more than `limit_bytes`. Files get the mode of their
/// source without set-uid, set-gid and sticky bits, directories 0755, and all belong to us.
///
/// # Errors
/// [`AssembleError`], when `into` can't be written.
pub fn assemble(
    host_root: &Path,
    programs: &[PathBuf],
    into: &Path,
    limit_bytes: u64,
) -> Result<Report, AssembleError> {
    let mut work = Work::new(host_root, into, limit_bytes)?;
    for program in programs {
        let added = needs(&work.tree, program).map_err(Failed::Program).and_then(|n| work.add(&n));
        match added {
            Ok(()) => {}
            Err(Failed::Program(why)) => work.report.refused.push(Refused { program: program.clone(), why }),
            Err(Failed::All(e)) => return Err(e),
        }
    }
    Ok(work.report)
}

/// A failure that ends one program, or all.
enum Failed {
    Program(Refusal),
    All(AssembleError),
}

struct Work {
    tree: Tree,
    into: Root,
    limit_bytes: u64,
    dirs: HashSet<PathBuf>,
    files: HashSet<PathBuf>,
    links: HashSet<PathBuf>,
    report: Report,
}

impl Work {
    fn new(host_root: &Path, into: &Path, limit_bytes: u64) -> Result<Self, AssembleError> {
        let open = |cause| AssembleError::Target { path: into.to_owned(), cause };
        Ok(Self {
            tree: Tree::new(host_root),
            into: Root::open(into).map_err(open)?,
            limit_bytes,
            dirs: HashSet::new(),
            files: HashSet::new(),
            links: HashSet::new(),
            report: Report::default(),
        })
    }

    fn add(&mut self, needs: &Needs) -> Result<(), Failed> {
        let gone = |path: &Path, cause| Failed::Program(Refusal::Unreadable { path: path.to_owned(), cause });
        let mut new = Vec::new();
        let (mut links, mut detours) = (Vec::new(), Vec::new());
        let mut new_bytes = 0;
        for path in &needs.paths {
            let found = self.tree.resolve(path).map_err(|e| gone(path, e))?;
            links.extend(found.links);
            detours.extend(found.detours);
            if self.files.contains(&found.real) || new.iter().any(|(real, _)| *real == found.real) {
                continue;
            }
            let file = self.tree.open(&found.real).map_err(|e| gone(path, e))?;
            new_bytes += file.metadata().map_err(|e| gone(path, e))?.len();
            new.push((found.real, file));
        }
        let left_bytes = self.limit_bytes.saturating_sub(self.report.bytes);
        if new_bytes > left_bytes {
            return Err(Failed::Program(Refusal::TooLarge { new_bytes, left_bytes }));
        }
        for (real, file) in new {
            self.copy(&real, file)?;
        }
        for (path, text) in links {
            self.link(&path, &text)?;
        }
        for dir in detours {
            self.dir(&dir)?;
        }
        Ok(())
    }

    fn copy(&mut self, real: &Path, mut from: File) -> Result<(), Failed> {
        let changed = || Failed::Program(Refusal::Changed { path: real.to_owned() });
        let meta = from.metadata().map_err(|_| changed())?;
        let (parent, name) = self.parent(real)?;
        let how = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, name, how, Mode::from_raw_mode(0o700))
            .map_err(|e| target(real, failed("openat", format!("{name:?}, O_CREAT|O_EXCL"), e)))?;
        let mut to = File::from(fd);
        // From here on it must be whole, or gone again.
        let copied = rewind(&mut from).and_then(|()| std::io::copy(&mut from, &mut to));
        let mode = std::fs::Permissions::from_mode(meta.mode() & 0o777);
        match copied.and_then(|n| to.set_permissions(mode).map(|()| n)) {
            Ok(n) if n == meta.len() => {}
            other => {
                // Best effort: the directory is the caller's, who throws it away on an error.
                let _ = rustix::fs::unlinkat(&parent, name, rustix::fs::AtFlags::empty());
                return Err(match other {
                    Err(cause) if is_ours(&cause) => {
                        Failed::All(AssembleError::Write { path: real.to_owned(), cause })
                    }
                    _ => changed(),
                });
            }
        }
        self.files.insert(real.to_owned());
        self.report.bytes += meta.len();
        self.report.sources.push(Source {
            path: real.to_owned(),
            size_bytes: meta.len(),
            mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        });
        Ok(())
    }

    fn link(&mut self, path: &Path, text: &Path) -> Result<(), Failed> {
        if !self.links.insert(path.to_owned()) {
            return Ok(());
        }
        let (parent, name) = self.parent(path)?;
        rustix::fs::symlinkat(text, &parent, name)
            .map_err(|e| target(path, failed("symlinkat", format!("{text:?}, {name:?}"), e)))?;
        self.report.links.push(path.to_owned());
        Ok(())
    }

    /// The directory above a path without links, and the name in it.
    fn parent<'p>(&mut self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), Failed> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok((self.dir(parent)?, name)),
            _ => Err(target(path, SysError::new("openat", format!("{path:?}, O_CREAT"), Errno::EISDIR))),
        }
    }

    /// A directory, made where it is missing.
    fn dir(&mut self, path: &Path) -> Result<OwnedFd, Failed> {
        let above: Vec<&Path> = path.ancestors().collect();
        for dir in above.into_iter().rev().skip(1) {
            if self.dirs.insert(dir.to_owned()) {
                let made = self.into.make_dir_all(dir, 0o755).map_err(|e| target(dir, e))?;
                // The umask took bits away, and the process has only one umask.
                rustix::fs::chmod(fd_path(made.as_fd()), Mode::from_raw_mode(0o755))
                    .map_err(|e| target(dir, failed("chmod", format!("{dir:?}, 0755"), e)))?;
            }
        }
        self.into.make_dir_all(path, 0o755).map_err(|e| target(path, e))
    }
}

fn target(path: &Path, cause: SysError) -> Failed {
    Failed::All(AssembleError::Target { path: path.to_owned(), cause })
}

/// Whether a failed copy is the fault of the side that is written.
fn is_ours(e: &std::io::Error) -> bool {
    use ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(e.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem | FileTooLarge)
}

fn rewind(file: &mut File) -> Result<(), std::io::Error> {
    use std::io::Seek;
    file.rewind()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_vanishes_before_it_is_copied_is_named() {
        let (host, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut work = Work::new(host.path(), into.path(), 1 << 20).unwrap();
        let needs = Needs { paths: vec!["/gone".into()] };
        let Err(Failed::Program(Refusal::Unreadable { path, cause })) = work.add(&needs) else { panic!() };
        assert_eq!((path.as_path(), cause.kind()), (Path::new("/gone"), ErrorKind::NotFound));
    }

    #[test]
    fn a_file_that_has_another_size_than_it_said_is_refused_and_leaves_nothing() {
        let into = tempfile::tempdir().unwrap();
        let mut work = Work::new(Path::new("/"), into.path(), 1 << 20).unwrap();
        // It says 0 bytes and has more, as a file that grows while it is read.
        let growing = File::open("/proc/version").unwrap();
        let result = work.copy(Path::new("/bin/p"), growing);
        assert!(
            matches!(result, Err(Failed::Program(Refusal::Changed { path })) if path == Path::new("/bin/p"))
        );
        assert!(!into.path().join("bin/p").exists());
        assert!(work.report.sources.is_empty());
    }
}
