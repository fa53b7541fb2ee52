//! Trying something in a child, which may change itself and end as it likes; and a directory for it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sys::{CloneArgs, Cloned, Errno, ExitStatus, Result, SysError};

/// Where a directory of ours may be made; the root last, for it is often read-only.
const PLACES: [&str; 5] = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/"];

/// Runs `work` in a child. Gives what it says, and how it ended.
pub(super) fn try_in_child(work: impl FnOnce() -> String) -> Result<(String, ExitStatus)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|e| SysError::new("pipe2", "O_CLOEXEC".to_owned(), Errno::from_raw(e.raw_os_error())))?;
    match sys::clone3(&CloneArgs::default())? {
        Cloned::Child => {
            let said = work();
            // Nobody could be told that this failed; the parent reads nothing then.
            let _ = File::from(writer).write_all(said.as_bytes());
            sys::exit_now(0)
        }
        Cloned::Parent { pid, .. } => {
            drop(writer);
            let mut said = String::new();
            let _ = File::from(reader).read_to_string(&mut said);
            Ok((said, sys::waitpid(pid)?))
        }
    }
}

/// As [`try_in_child`], where the words of a child that ended well count, or else the reason why there are none.
pub(super) fn answer_of_child(work: impl FnOnce() -> String) -> std::result::Result<String, String> {
    match try_in_child(work) {
        Ok((said, ExitStatus::Exited(0))) => Ok(said),
        Ok((_, end)) => Err(format!("the child ended by itself: {end:?}")),
        Err(e) => Err(format!("no child: {}: {:?}", e.call(), e.errno())),
    }
}

/// As [`answer_of_child`], where the verdict doesn't hang on it.
pub(super) fn said_by_child(work: impl FnOnce() -> String) -> String {
    answer_of_child(work).unwrap_or_else(|why| why)
}

/// An empty directory that nobody else has, in a place where one can be made.
pub(super) fn private_dir() -> Result<PathBuf> {
    let name = format!("holes-{}", std::process::id());
    let made = |place: &&str| {
        let path = Path::new(place).join(&name);
        sys::mkdir(&path, 0o700).map(|()| path)
    };
    let mut last = None;
    for place in &PLACES {
        match made(place) {
            Ok(path) => return Ok(path),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| SysError::new("mkdir", name, Errno::ENOENT)))
}

/// `allowed`, or the name of the errno.
pub(super) fn outcome<T>(result: &Result<T>) -> String {
    result.as_ref().map_or_else(|e| format!("{:?}", e.errno()), |_| "allowed".to_owned())
}
