//! What can go wrong below the store's root, and what is told below the first line.

use std::error::Error;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sys::{Errno, SysError};

/// The lines below the first one of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Below {
    /// The failed call, as strace(1) shows it.
    pub call: Option<String>,
    /// Why.
    pub because: Option<String>,
    /// What to do next.
    pub remedy: Option<String>,
}

impl Below {
    /// Of the system call at the root of `error`; without one there is nothing.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        chain(error).find_map(|e| e.downcast_ref::<SysError>()).map_or_else(Self::default, Self::of_call)
    }

    fn of_call(call: &SysError) -> Self {
        let (because, remedy) = security::advice(call).unzip();
        Self { call: Some(call.to_string()), because, remedy }
    }

    /// Two lines, without a call.
    #[must_use]
    pub fn advice(because: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { call: None, because: Some(because.into()), remedy: Some(remedy.into()) }
    }
}

/// An error and its causes.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |e| (**e).source())
}

/// An error with its causes in one line, each in the words of `said`. The `call` has a line of its own
/// below, and a cause that its effect quotes already isn't said twice.
pub(crate) fn in_one_line(
    error: &(dyn Error + 'static),
    call: Option<&str>,
    said: fn(&(dyn Error + 'static)) -> String,
) -> String {
    let mut line = said(error);
    for cause in chain(error).skip(1).map(said) {
        if call != Some(&cause) && !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// What a call on a file is for.
pub(crate) fn verb(call: &str) -> &str {
    match call {
        "openat" => "open",
        "mkdir" | "symlink" => "make",
        "fcntl" => "lock",
        "unlink" | "unlinkat" => "remove",
        "fsync" => "sync",
        "stat" => "look at",
        "getdents64" => "list",
        "readlink" => "read",
        "getcwd" => "tell the working directory, for",
        "chmod" => "change the mode of",
        // read, write, rename
        other => other,
    }
}

/// What a call on a file of the store was for.
fn tried(call: &SysError) -> String {
    let verb = verb(call.call());
    match paths(call).as_slice() {
        [] => "a call of the store failed".to_owned(),
        [path] => format!("cannot {verb} {path}"),
        [.., to] => format!("cannot replace {to}"),
    }
}

/// The arguments between quotes.
fn paths(call: &SysError) -> Vec<&str> {
    call.args().split('"').skip(1).step_by(2).collect()
}

/// What can go wrong below the store's root. What is to be told besides the first line: [`StoreError::below`].
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Neither `MINIDOCKER_ROOT` nor a home directory says where the store is.
    #[error("there is no place for the store")]
    NoHome,
    /// The store belongs to another user.
    #[error("the store {path} is another user's", path = .path.display())]
    Foreign {
        /// The store's root.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// Others may write to a directory of the store.
    #[error("others may write to the store {path}", path = .path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its mode, with the sticky bit.
        mode: u32,
    },
    /// The store's directories can't be made or used.
    #[error("cannot use the store {root}", root = .root.display())]
    Unusable {
        /// The store's root.
        root: PathBuf,
        /// The call that failed.
        source: SysError,
    },
    /// A record is not JSON of the expected shape: truncated, empty or edited.
    #[error("{path} is damaged", path = .path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// A record was written by a newer minidocker.
    #[error("{path} was written by a newer minidocker", path = .path.display())]
    Newer {
        /// The record.
        path: PathBuf,
        /// Its version.
        found: String,
        /// Our version.
        known: String,
    },
    /// The store's files are owned under another id map than the one that this user has now.
    #[error("the store {path} was made under another id map", path = .path.display())]
    OtherIdMap {
        /// The store's root.
        path: PathBuf,
        /// The map recorded.
        theirs: Box<str>,
        /// The map now.
        ours: Box<str>,
        /// Why the recorded one can't be had now, where that is known.
        why: Option<Box<str>>,
    },
    /// The work under the id map failed, in the child that has that map.
    #[error("{message}")]
    InIdMap {
        /// What it says.
        message: String,
        /// The failed call there.
        below: Box<Below>,
    },
    /// A system call failed.
    #[error("{}", tried(.0))]
    Sys(#[from] SysError),
}

impl StoreError {
    /// One file operation that failed, as strace shows the call that it makes: `mkdir("path", 0700)`.
    pub(crate) fn io(
        call: &'static str,
        path: impl AsRef<Path>,
        rest: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let first = if call == "openat" { "AT_FDCWD, " } else { "" };
        let comma = if rest.is_empty() { "" } else { ", " };
        move |e| Self::call(call, &format!("{first}{:?}{comma}{rest}", path.as_ref()))(e)
    }

    /// As [`StoreError::io`], with all arguments.
    pub(crate) fn call(call: &'static str, args: &str) -> impl FnOnce(std::io::Error) -> Self {
        move |e| {
            let errno = e.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            Self::Sys(SysError::new(call, args.to_owned(), errno))
        }
    }

    /// The errno, where a system call failed right here.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Sys(e) | Self::Unusable { source: e, .. } => Some(e.errno()),
            _ => None,
        }
    }

    /// Whether there is no room to write: no block, no inode, no quota.
    #[must_use]
    pub fn is_full_disk(&self) -> bool {
        matches!(self.errno(), Some(Errno::ENOSPC | Errno::EDQUOT))
    }

    /// The lines below the first one.
    #[must_use]
    pub fn below(&self) -> Below {
        match self {
            Self::NoHome => Below::advice(
                "HOME is not set and this user has no home directory",
                "set MINIDOCKER_ROOT to a directory of your own",
            ),
            Self::Foreign { owner, us, .. } => Below::advice(
                format!("it belongs to uid {owner}, and this is uid {us}"),
                "set MINIDOCKER_ROOT to a directory of your own",
            ),
            Self::Open { path, mode } => Below::advice(
                format!("its mode is {mode:04o}: they could put directories of theirs into it"),
                format!("chmod go-w {}, or set MINIDOCKER_ROOT to a directory of your own", path.display()),
            ),
            Self::Unusable { source, .. } => {
                let because = match source.errno() {
                    _ if source.call() == "getcwd" => {
                        Some("the directory that it is relative to was removed")
                    }
                    Errno::ENOTDIR | Errno::EEXIST => Some("a file stands where a directory is wanted"),
                    Errno::EROFS => Some("it lies on a file system that is mounted read-only"),
                    _ => None,
                };
                let told = Below::of(source);
                Below {
                    because: because.map(str::to_owned).or(told.because),
                    remedy: Some("set MINIDOCKER_ROOT to a directory that this user may write to".to_owned()),
                    ..told
                }
            }
            Self::Damaged { reason, .. } => Below { because: Some(reason.clone()), ..Below::default() },
            Self::Newer { found, known, .. } => Below::advice(
                format!("it has version {found}, and this minidocker knows {known}"),
                "use the newer minidocker",
            ),
            Self::OtherIdMap { theirs, ours, why: None, .. } => Below::advice(
                format!("its files have owners by the map {theirs}, and this user's is {ours} now"),
                "restore the lines in /etc/subuid and /etc/subgid, or set MINIDOCKER_ROOT to a new directory",
            ),
            Self::OtherIdMap { theirs, why: Some(why), .. } => Below::advice(
                format!("its files have owners by the map {theirs}, and only one id is mapped now: {why}"),
                "change that, or set MINIDOCKER_ROOT to a new directory",
            ),
            Self::InIdMap { below, .. } => Below::clone(below),
            Self::Sys(call) => {
                let told = Below::of(call);
                match paths(call).last().filter(|_| call.errno() == Errno::EISDIR) {
                    Some(path) => Below {
                        because: Some("a directory stands in the place of the file".to_owned()),
                        remedy: Some(format!("mv {path} {path}.old; the file is made again")),
                        ..told
                    },
                    None => told,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_is_told_by_what_was_tried_and_the_call_stands_below() {
        let failed = |call: &'static str, args: &str, errno| {
            StoreError::call(call, args)(std::io::Error::from_raw_os_error(errno as i32))
        };
        let cases = [
            ("openat", "AT_FDCWD, \"/s/images.lock\", O_RDWR|O_CREAT", "cannot open /s/images.lock"),
            ("write", "\"/s/request.7.tmp\"", "cannot write /s/request.7.tmp"),
            ("rename", "\"/s/state.7.tmp\", \"/s/state.json\"", "cannot replace /s/state.json"),
            ("mkdir", "\"/s/containers\", 0700", "cannot make /s/containers"),
            ("fcntl", "\"/s/lock\", F_OFD_SETLKW", "cannot lock /s/lock"),
            ("getdents64", "\"/s/containers\"", "cannot list /s/containers"),
            ("pipe2", "O_CLOEXEC", "a call of the store failed"),
        ];
        for (call, args, words) in cases {
            let error = failed(call, args, Errno::EIO);
            assert_eq!(error.to_string(), words);
            let below = error.below().call.unwrap();
            assert_eq!(below, format!("{call}({args}) : EIO (I/O error)"));
            assert_eq!(in_one_line(&error, Some(&below), ToString::to_string), words);
        }
    }

    #[test]
    fn a_directory_in_the_place_of_a_file_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::create_dir(&path).unwrap();
        let error = crate::store::replace_file(&path, b"{}", 0o600, false).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot replace {}", path.display()));
        let below = error.below();
        assert_eq!(below.because.as_deref(), Some("a directory stands in the place of the file"));
        let aside = path.with_extension("json.old");
        let told = format!("mv {} {}; the file is made again", path.display(), aside.display());
        assert_eq!(below.remedy, Some(told));
        std::fs::rename(&path, aside).unwrap();
        crate::store::replace_file(&path, b"{}", 0o600, false).unwrap();
    }
}
