//! Arguments and results, as strace(1) prints them.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::fmt::Display;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bitflags::parser::WriteHex;
use rustix::fs::FileType;

use crate::{CloneFlags, ExitStatus, Gid, MntFlags, MsFlags, Pid, Uid};

/// An argument or the result of a call.
pub(crate) trait Shown {
    fn shown(&self) -> String;
}

/// A number, or the name of a constant: printed as it is.
pub(crate) struct Plain<T>(pub(crate) T);

/// What the wrapper formats by itself, when it is asked for.
pub(crate) struct By<F>(pub(crate) F);

macro_rules! shown {
    ($($type:ty $(where [$($generics:tt)*])?: |$value:ident| $text:expr;)*) => {
        $(impl$(<$($generics)*>)? Shown for $type {
            fn shown(&self) -> String {
                let $value = self;
                $text
            }
        })*
    };
}
shown! {
    (): |_nothing| "0".to_owned();
    Infallible: |never| match *never {};
    i32: |n| n.to_string();
    i64: |n| n.to_string();
    usize: |n| n.to_string();
    Gid: |id| id.to_string();
    Pid: |id| id.to_string();
    Uid: |id| id.to_string();
    OwnedFd: |fd| fd.as_raw_fd().to_string();
    BorrowedFd<'_>: |fd| number_and_path(*fd);
    CStr: |text| quoted(text.to_bytes());
    CString: |text| quoted(text.to_bytes());
    Path: |text| quoted(text.as_os_str().as_bytes());
    String: |text| quoted(text.as_bytes());
    str: |text| quoted(text.as_bytes());
    CloneFlags: |set| names(set);
    MntFlags: |set| names(set);
    MsFlags: |set| names(set);
    // Those that mknod(2) makes, by their names of inode(7).
    FileType: |kind| "S_IF".to_owned() + match kind { FileType::Fifo => "IFO", FileType::CharacterDevice => "CHR",
        FileType::BlockDevice => "BLK", FileType::Socket => "SOCK", _ => "REG" };
    rustix::fs::Mode: |mode| format!("0{:02o}", mode.bits());
    rustix::fs::OFlags: |set| format!("O_{}", names(set).replace('|', "|O_")).replace("O_0", "O_RDONLY");
    rustix::mount::FsMountFlags: |set| names(set);
    rustix::mount::MountAttrFlags: |set| names(set);
    rustix::mount::FsOpenFlags: |set| names(set);
    rustix::mount::MoveMountFlags: |set| names(set);
    rustix::mount::OpenTreeFlags: |set| names(set);
    std::process::Child: |child| format!("0 (pid {})", child.id());
    ExitStatus: |status| format!("{status:?}");
    Plain<T> where [T: Display]: |text| text.0.to_string();
    By<F> where [F: Fn() -> String]: |by| (by.0)();
    &T where [T: Shown + ?Sized]: |to| (**to).shown();
    Option<T> where [T: Shown]: |maybe| maybe.as_ref().map_or_else(|| "NULL".to_owned(), T::shown);
    [T] where [T: Shown]: |all| format!("[{}]", list(all.iter().map(|each| each as &dyn Shown)));
}

/// `A, B`.
pub(crate) fn list<'a>(of: impl Iterator<Item = &'a dyn Shown>) -> String {
    of.map(Shown::shown).collect::<Vec<_>>().join(", ")
}

/// `"text"` with the escapes of strace, cut where a line would become unreadable.
fn quoted(text: &[u8]) -> String {
    let cut = &text[..text.len().min(1024)];
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("\"{}\"{dots}", cut.escape_ascii())
}

/// `A|B` of a set of flags, `0` of none.
fn names<F: bitflags::Flags<Bits: WriteHex>>(set: &F) -> String {
    let mut text = String::new();
    match bitflags::parser::to_writer(set, &mut text) {
        Ok(()) if !text.is_empty() => text.replace(" | ", "|"),
        _ => "0".to_owned(),
    }
}

/// `7</proc>`: a descriptor and what it is open on, as `strace -y` prints it.
fn number_and_path(fd: BorrowedFd<'_>) -> String {
    let n = fd.as_raw_fd();
    let path = std::fs::read_link(format!("/proc/self/fd/{n}"));
    path.map_or(n.to_string(), |path| format!("{n}<{}>", path.display()))
}
