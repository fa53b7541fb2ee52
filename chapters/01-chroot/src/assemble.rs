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
use std::fs::{File, Permissions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use sys::{Errno, SysError};

use crate::Root;
use crate::closure::{Refusal, needs};
use crate::root::{Named, fd_path};

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

/// Looks for an executable regular file `name` in `dirs`, in their order, in the tree `host_root`.
#[must_use]
pub fn find_program(host_root: &Path, name: &OsStr, dirs: &[&Path]) -> Option<PathBuf> {
    let tree = Root::open(host_root).ok()?;
    dirs.iter().map(|dir| dir.join(name)).find(|path| {
        let meta = tree.follow(path).map(|found| std::fs::metadata(fd_path(found.fd.as_fd())));
        meta.is_ok_and(|m| m.is_ok_and(|m| m.is_file() && m.mode() & 0o111 != 0))
    })
}

/// Copies `programs` (absolute paths in the tree `host_root`) with all that they need into the
/// directory `into`. A program is taken as a whole or, with its reason in the report, not at all:
/// also when all files together would have more than `limit_bytes`. Files get the mode of their
/// source without set-uid, set-gid and sticky bits, directories 0755, and all belong to us.
///
/// # Errors
/// Calls on `into`: `EEXIST` for what is there already, `ENOSPC`, `EROFS`, `EACCES`. The new root is
/// then incomplete.
pub fn assemble(
    host_root: &Path,
    programs: &[PathBuf],
    into: &Path,
    limit_bytes: u64,
) -> Result<Report, SysError> {
    let (tree, into) = (Root::open(host_root)?, Root::open(into)?);
    let mut work = Work { tree, into, limit_bytes, there: HashSet::new(), report: Report::default() };
    for program in programs {
        match needs(&work.tree, program).map_err(Failed::Program).and_then(|n| work.add(&n)) {
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
    All(SysError),
}

impl From<SysError> for Failed {
    fn from(e: SysError) -> Self {
        Self::All(e)
    }
}

struct Work {
    tree: Root,
    into: Root,
    limit_bytes: u64,
    /// The files, links and directories that we have made.
    there: HashSet<PathBuf>,
    report: Report,
}

impl Work {
    fn add(&mut self, needs: &[PathBuf]) -> Result<(), Failed> {
        let (mut new, mut links, mut detours, mut new_bytes) = (vec![], vec![], vec![], 0);
        for path in needs {
            let gone = |cause| Failed::Program(Refusal::Unreadable { path: path.clone(), cause });
            let (file, found) = self.tree.open_file(path).map_err(gone)?;
            links.extend(found.links);
            detours.extend(found.detours);
            if !self.there.contains(&found.real) && !new.iter().any(|(real, _)| *real == found.real) {
                new_bytes += file.metadata().map_or(0, |m| m.len());
                new.push((found.real, file));
            }
        }
        let left_bytes = self.limit_bytes.saturating_sub(self.report.bytes);
        if new_bytes > left_bytes {
            return Err(Failed::Program(Refusal::TooLarge { new_bytes, left_bytes }));
        }
        new.into_iter().try_for_each(|(real, file)| self.copy(&real, file))?;
        links.iter().try_for_each(|(path, text)| self.link(path, text))?;
        detours.iter().try_for_each(|dir| self.dir(dir).map(drop))
    }

    fn copy(&mut self, real: &Path, mut from: File) -> Result<(), Failed> {
        let changed = || Failed::Program(Refusal::Changed(real.to_owned()));
        let meta = from.metadata().map_err(|_| changed())?;
        let (parent, name) = self.parent(real)?;
        let how = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, name, how, Mode::from_raw_mode(0o700))
            .named("openat", format_args!("{real:?}, O_CREAT|O_EXCL"))?;
        let mut to = File::from(fd);
        let copied = std::io::copy(&mut from, &mut to)
            .and_then(|n| to.set_permissions(Permissions::from_mode(meta.mode() & 0o777)).map(|()| n));
        if !copied.as_ref().is_ok_and(|n| *n == meta.len()) {
            // Best effort: the directory is the caller's, who throws it away on an error.
            let _ = rustix::fs::unlinkat(&parent, name, AtFlags::empty());
            let cause = copied.named("copy_file_range", format_args!("{real:?}")).err();
            return Err(cause.filter(is_ours).map_or_else(changed, Failed::All));
        }
        self.there.insert(real.to_owned());
        self.report.bytes += meta.len();
        let mtime_ns = meta.mtime() * 1_000_000_000 + meta.mtime_nsec();
        self.report.sources.push(Source { path: real.to_owned(), size_bytes: meta.len(), mtime_ns });
        Ok(())
    }

    fn link(&mut self, path: &Path, text: &Path) -> Result<(), Failed> {
        if self.there.insert(path.to_owned()) {
            let (parent, name) = self.parent(path)?;
            rustix::fs::symlinkat(text, &parent, name)
                .named("symlinkat", format_args!("{text:?}, {path:?}"))?;
            self.report.links.push(path.to_owned());
        }
        Ok(())
    }

    /// The directory above a file or link, and the name in it.
    fn parent<'p>(&mut self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), Failed> {
        let dir = self.dir(path.parent().unwrap_or(Path::new("/")))?;
        Ok((dir, path.file_name().unwrap_or_default()))
    }

    /// A directory, made where it is missing.
    fn dir(&mut self, path: &Path) -> Result<OwnedFd, Failed> {
        if let Some(parent) = path.parent().filter(|_| !self.there.contains(path)) {
            self.dir(parent)?;
        }
        let dir = self.into.make_dir_all(path, 0o755)?;
        if self.there.insert(path.to_owned()) && path.parent().is_some() {
            // The umask took bits away, and the process has only one umask.
            rustix::fs::chmod(fd_path(dir.as_fd()), Mode::from_raw_mode(0o755))
                .named("chmod", format_args!("{path:?}, 0755"))?;
        }
        Ok(dir)
    }
}

/// Whether a failed copy is the fault of the side that is written.
fn is_ours(cause: &SysError) -> bool {
    matches!(cause.errno(), Errno::ENOSPC | Errno::EDQUOT | Errno::EROFS | Errno::EFBIG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(host: &Path, into: &Path) -> Work {
        let (tree, into) = (Root::open(host).unwrap(), Root::open(into).unwrap());
        Work { tree, into, limit_bytes: 1 << 20, there: HashSet::new(), report: Report::default() }
    }

    #[test]
    fn a_program_that_vanishes_before_it_is_copied_is_named() {
        let (host, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut work = work(host.path(), into.path());
        let Err(Failed::Program(Refusal::Unreadable { path, cause })) = work.add(&["/gone".into()]) else {
            panic!()
        };
        assert_eq!((path.as_path(), cause.errno()), (Path::new("/gone"), Errno::ENOENT));
    }

    #[test]
    fn a_file_that_has_another_size_than_it_said_is_refused_and_leaves_nothing() {
        let into = tempfile::tempdir().unwrap();
        let mut work = work(Path::new("/"), into.path());
        // It says 0 bytes and has more, as a file that grows while it is read.
        let growing = File::open("/proc/version").unwrap();
        let result = work.copy(Path::new("/bin/p"), growing);
        assert!(
            matches!(result, Err(Failed::Program(Refusal::Changed(path))) if path == Path::new("/bin/p"))
        );
        assert!(!into.path().join("bin/p").exists());
        assert!(work.report.sources.is_empty());
    }
}
