//! One call: made, counted, told.

use std::os::fd::{AsRawFd, OwnedFd};

use crate::{Errno, Pid, SysError, event};

/// What strace prints behind the equals sign.
pub(crate) trait Shown {
    fn shown(&self) -> String {
        "0".to_owned()
    }
}

impl Shown for () {}
impl Shown for Pid {
    fn shown(&self) -> String {
        self.to_string()
    }
}
impl Shown for OwnedFd {
    fn shown(&self) -> String {
        self.as_raw_fd().to_string()
    }
}
impl Shown for usize {
    fn shown(&self) -> String {
        self.to_string()
    }
}

/// Makes one call. `args` is evaluated only for an error or a listener.
pub(crate) fn call<T: Shown, E: Into<SysErrno>>(
    name: &'static str,
    args: impl Fn() -> String,
    run: impl FnOnce() -> Result<T, E>,
) -> Result<T, SysError> {
    let seq = event::next_seq();
    let result = match inject(name, seq) {
        Some(errno) => Err(errno),
        None => run().map_err(|e| e.into().0),
    };
    if event::sink_is_set() {
        let shown = match &result {
            Ok(value) => value.shown(),
            Err(e) => format!("-1 {e:?} ({})", e.desc()),
        };
        event::emit(seq, name, args(), shown);
    }
    result.map_err(|errno| SysError::new(name, args(), errno))
}

/// An errno from either of the libraries below us.
pub(crate) struct SysErrno(pub(crate) Errno);

impl From<Errno> for SysErrno {
    fn from(e: Errno) -> Self {
        Self(e)
    }
}
impl From<rustix::io::Errno> for SysErrno {
    fn from(e: rustix::io::Errno) -> Self {
        Self(Errno::from_raw(e.raw_os_error()))
    }
}
impl From<std::io::Error> for SysErrno {
    fn from(e: std::io::Error) -> Self {
        Self(e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }
}

/// What [`inject`] was told to do.
#[cfg(debug_assertions)]
struct Order {
    role: String,
    at: String,
    what: String,
}

/// Fault injection for the tests, in debug builds alone: `MINIDOCKER_INJECT=role:n:ERRNO`
/// lets the n-th call of a role fail, `role:n:KILL` kills the process before it;
/// in place of n stands the name of a call as well (`child:pivot_root:EPERM`).
#[cfg(debug_assertions)]
fn inject(name: &str, seq: u32) -> Option<Errno> {
    use std::sync::OnceLock;
    static ORDER: OnceLock<Option<Order>> = OnceLock::new();
    let order = ORDER.get_or_init(|| {
        let text = std::env::var("MINIDOCKER_INJECT").ok()?;
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        Some(Order { role: parts.next()?, at: parts.next()?, what: parts.next()? })
    });
    let order = order.as_ref()?;
    let role = format!("{:?}", event::role()).to_lowercase();
    if order.role != role || (order.at != name && order.at != seq.to_string()) {
        return None;
    }
    if order.what == "KILL" {
        // SAFETY: kill(2) takes two integers and touches no memory of ours.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        // Pid 1 of a namespace can't kill itself (pid_namespaces(7)); abort(3) ends in an instruction
        // whose fault the kernel lets nobody survive.
        std::process::abort();
    }
    errno_by_name(&order.what)
}

#[cfg(debug_assertions)]
fn errno_by_name(name: &str) -> Option<Errno> {
    (1..134).map(Errno::from_raw).find(|e| format!("{e:?}") == name)
}

#[cfg(not(debug_assertions))]
#[inline(always)]
fn inject(_: &str, _: u32) -> Option<Errno> {
    None
}

/// `"text"` with the escapes of strace, cut where a line would become unreadable.
pub(crate) fn quoted(text: &[u8]) -> String {
    const MOST: usize = 1024;
    let cut = &text[..text.len().min(MOST)];
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("\"{}\"{dots}", cut.escape_ascii())
}

/// `"text"`, or `NULL`.
pub(crate) fn quoted_or_null(text: Option<&[u8]>) -> String {
    text.map_or_else(|| "NULL".to_owned(), quoted)
}

/// `A|B` of a set of flags, `0` of none.
pub(crate) fn flags<F: bitflags::Flags>(set: &F) -> String
where
    F::Bits: bitflags::parser::WriteHex,
{
    let mut text = String::new();
    if bitflags::parser::to_writer(set, &mut text).is_err() || text.is_empty() {
        return "0".to_owned();
    }
    text.replace(" | ", "|")
}

/// `7</proc>`: a descriptor and what it is open on, as `strace -y` prints it.
pub(crate) fn fd(fd: impl AsRawFd) -> String {
    let n = fd.as_raw_fd();
    match std::fs::read_link(format!("/proc/self/fd/{n}")) {
        Ok(path) => format!("{n}<{}>", path.display()),
        Err(_) => n.to_string(),
    }
}
