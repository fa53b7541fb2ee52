//! Removing a tree with a few descriptors, however deep an enemy made it.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Removes `name` in `dir`, and all below it if it is a directory. No link is followed.
///
/// A recursion would hold one descriptor a level, and a layer may have more levels than a process
/// may have descriptors. So the children of a child are moved up until nothing is left below.
pub(crate) fn remove_tree(dir: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        // unlink(2) of a directory: EISDIR on Linux, EPERM by POSIX.
        Err(Errno::ISDIR | Errno::PERM) => {}
        other => return other,
    }
    let top = open(dir, name)?;
    let mut number = 0_u64;
    while let left = subdirectories(&top)?
        && !left.is_empty()
    {
        for name in left {
            let sub = open(top.as_fd(), OsStr::from_bytes(name.to_bytes()))?;
            for below in subdirectories(&sub)? {
                lift(&sub, &below, &top, &mut number)?;
            }
            rustix::fs::unlinkat(&top, &*name, AtFlags::REMOVEDIR)?;
        }
    }
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
}

fn open(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, how, Mode::empty()) {
        // Ours, but closed even to us.
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
            rustix::fs::openat(dir, name, how, Mode::empty())
        }
        other => other,
    }
}

/// Unlinks everything in `dir` that is no directory, and names the rest.
fn subdirectories(dir: &OwnedFd) -> Result<Vec<std::ffi::CString>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            found.push(name.to_owned());
            continue;
        }
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => found.push(name.to_owned()),
            other => other?,
        }
    }
    Ok(found)
}

fn lift(from: &OwnedFd, name: &CStr, to: &OwnedFd, number: &mut u64) -> Result<(), Errno> {
    loop {
        *number += 1;
        match rustix::fs::renameat(from, name, to, format!(".{number}")) {
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            other => return other,
        }
    }
}
