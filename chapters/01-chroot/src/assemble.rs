//! A root file system made from programs of the host: each program, its interpreter, and all
//! libraries that the two of them would look for.
//!
//! Every file lies where it really lies on the host, and every link on the way to it is made
//! again: `/lib64/ld-linux-x86-64.so.2` may need `lib64 -> usr/lib64`, and a link from a soname
//! to a file. So each path that a program was linked with leads to the same file as before, a
//! file that two names lead to is there once, and nothing has to know how a distribution merged
//! its directories.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{File, Metadata, Permissions};
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
    /// When it was changed last, in nanoseconds since 1970: what its maker says, 1 s in a store of NixOS.
    pub mtime_ns: i64,
    /// When the kernel last saw a change of the file, its mode, owner or names, in nanoseconds since 1970.
    pub ctime_ns: i64,
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
    /// Every file that was copied. When one of them has another size or time, the root is stale.
    pub sources: Vec<Source>,
    /// Every link that was made.
    pub links: Vec<PathBuf>,
    /// Every program that was left out.
    pub refused: Vec<Refused>,
    /// The sum of the sizes of `sources`, where hard links to one file count once.
    pub bytes: u64,
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
    let (there, copies) = (HashSet::new(), HashMap::new());
    let mut work = Work { tree, into, limit_bytes, there, copies, report: Report::default() };
    for program in programs {
        match needs(&work.tree, program).map_err(Failed::from).and_then(|n| work.add(&n)) {
            Ok(()) => {}
            Err(Failed::Program(why)) => work.report.refused.push(Refused { program: program.clone(), why }),
            Err(Failed::All(e)) => return Err(e),
        }
    }
    Ok(work.report)
}

/// A failure that ends one program, or all.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Failed {
    Program(#[from] Refusal),
    All(#[from] SysError),
}

struct Work {
    tree: Root,
    into: Root,
    limit_bytes: u64,
    /// The files, links and directories that we have made.
    there: HashSet<PathBuf>,
    /// The files among them by what they are on the host: device and inode. A busybox may have
    /// hundreds of names, each a hard link.
    copies: HashMap<(u64, u64), PathBuf>,
    report: Report,
}

impl Work {
    fn add(&mut self, needs: &[PathBuf]) -> Result<(), Failed> {
        let (mut new, mut links, mut detours, mut sizes) = (vec![], vec![], vec![], HashMap::new());
        for path in needs {
            let (file, found) = self.tree.open_file(path).map_err(Refusal::Unreadable)?;
            links.extend(found.links);
            detours.extend(found.detours);
            if !self.there.contains(&found.real) && !new.iter().any(|(real, _, _)| *real == found.real) {
                let meta = file.metadata().map_err(|_| Refusal::Changed(path.clone()))?;
                sizes.insert((meta.dev(), meta.ino()), meta.len());
                new.push((found.real, file, meta));
            }
        }
        sizes.retain(|inode, _| !self.copies.contains_key(inode));
        let new_bytes = sizes.into_values().fold(0, u64::saturating_add);
        let left_bytes = self.limit_bytes.saturating_sub(self.report.bytes);
        if new_bytes > left_bytes {
            return Err(Refusal::TooLarge { new_bytes, left_bytes }.into());
        }
        // The program last: one whose library can't be copied is not left without it.
        new.into_iter().rev().try_for_each(|(real, file, meta)| self.file(&real, file, &meta))?;
        links.iter().try_for_each(|(path, text)| self.link(path, text))?;
        detours.iter().try_for_each(|dir| self.dir(dir).map(drop))
    }

    fn file(&mut self, real: &Path, from: File, meta: &Metadata) -> Result<(), Failed> {
        let (parent, name) = self.parent(real)?;
        match self.copies.get(&(meta.dev(), meta.ino())).cloned() {
            Some(first) => {
                let (old_parent, old) = self.parent(&first)?;
                rustix::fs::linkat(&old_parent, old, &parent, name, AtFlags::empty())
                    .named("linkat", format_args!("{first:?}, {real:?}"))?;
            }
            None => {
                copy(&parent, name, real, from, meta)?;
                self.copies.insert((meta.dev(), meta.ino()), real.to_owned());
                self.report.bytes += meta.len();
            }
        }
        self.there.insert(real.to_owned());
        let ns = |seconds, rest| seconds * 1_000_000_000 + rest;
        self.report.sources.push(Source {
            path: real.to_owned(),
            size_bytes: meta.len(),
            mtime_ns: ns(meta.mtime(), meta.mtime_nsec()),
            ctime_ns: ns(meta.ctime(), meta.ctime_nsec()),
        });
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

/// What a copy fails with when the side that is written is at fault.
const FULL: [Errno; 4] = [Errno::ENOSPC, Errno::EDQUOT, Errno::EROFS, Errno::EFBIG];

/// Copies one file, which must not change meanwhile.
fn copy(parent: &OwnedFd, name: &OsStr, real: &Path, mut from: File, meta: &Metadata) -> Result<(), Failed> {
    let how = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(parent, name, how, Mode::from_raw_mode(0o700))
        .named("openat", format_args!("{real:?}, O_CREAT|O_EXCL"))?;
    let mut to = File::from(fd);
    let copied = std::io::copy(&mut from, &mut to).and_then(|n| {
        to.set_permissions(Permissions::from_mode(meta.mode() & 0o777))?;
        Ok(n == meta.len() && from.metadata()?.modified()? == meta.modified()?)
    });
    if matches!(copied, Ok(true)) {
        return Ok(());
    }
    // Best effort: the directory is the caller's, who throws it away on an error.
    let _ = rustix::fs::unlinkat(parent, name, AtFlags::empty());
    match copied.named("copy_file_range", format_args!("{real:?}")) {
        Err(e) if FULL.contains(&e.errno()) => Err(e.into()),
        Err(cause) => Err(Refusal::Unreadable(cause).into()),
        Ok(_) => Err(Refusal::Changed(real.to_owned()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(host: &Path, into: &Path) -> Work {
        let (tree, into) = (Root::open(host).unwrap(), Root::open(into).unwrap());
        let (there, copies) = (HashSet::new(), HashMap::new());
        Work { tree, into, limit_bytes: 1 << 30, there, copies, report: Report::default() }
    }

    #[test]
    fn a_program_that_vanishes_before_it_is_copied_is_named() {
        let (host, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut work = work(host.path(), into.path());
        let Err(Failed::Program(Refusal::Unreadable(cause))) = work.add(&["/gone".into()]) else { panic!() };
        assert_eq!(cause.errno(), Errno::ENOENT);
        assert!(cause.args().contains("/gone"), "{cause}");
    }

    #[test]
    fn a_file_that_has_another_size_than_it_said_is_refused_and_leaves_nothing() {
        let into = tempfile::tempdir().unwrap();
        let mut work = work(Path::new("/"), into.path());
        // It says 0 bytes and has more, as a file that grows while it is read.
        let growing = File::open("/proc/version").unwrap();
        let meta = growing.metadata().unwrap();
        let result = work.file(Path::new("/bin/p"), growing, &meta);
        let Err(Failed::Program(why)) = result else { panic!() };
        assert_eq!(why.to_string(), "/bin/p changed while it was read");
        assert!(!into.path().join("bin/p").exists());
        assert!(work.report.sources.is_empty());
    }

    #[test]
    fn a_file_that_is_cut_after_it_was_looked_at_is_refused() {
        let (host, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut work = work(host.path(), into.path());
        std::fs::write(host.path().join("p"), "long").unwrap();
        let file = File::options().read(true).write(true).open(host.path().join("p")).unwrap();
        let meta = file.metadata().unwrap();
        file.set_len(2).unwrap();
        let result = work.file(Path::new("/p"), file, &meta);
        assert!(matches!(result, Err(Failed::Program(Refusal::Changed(path))) if path == Path::new("/p")));
        assert!(!into.path().join("p").exists());
    }

    #[test]
    fn a_file_of_the_same_size_that_was_written_meanwhile_is_refused() {
        let (host, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut work = work(host.path(), into.path());
        std::fs::write(host.path().join("p"), "one").unwrap();
        let file = File::options().read(true).write(true).open(host.path().join("p")).unwrap();
        let meta = file.metadata().unwrap();
        file.set_modified(meta.modified().unwrap() + std::time::Duration::from_nanos(1)).unwrap();
        let result = work.file(Path::new("/p"), file, &meta);
        assert!(matches!(result, Err(Failed::Program(Refusal::Changed(_)))));
    }

    #[test]
    fn a_program_whose_library_cannot_be_copied_is_not_left_there_without_it() {
        let (host, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut work = work(host.path(), into.path());
        std::fs::write(host.path().join("p"), "program").unwrap();
        // Something is in its way, which stands for whatever may hinder a copy.
        std::fs::write(host.path().join("a.so"), "library").unwrap();
        std::fs::create_dir(into.path().join("a.so")).unwrap();
        let Err(Failed::All(cause)) = work.add(&["/p".into(), "/a.so".into()]) else { panic!() };
        assert_eq!(cause.errno(), Errno::EEXIST);
        assert!(!into.path().join("p").exists());
    }
}
