//! The control socket `ctl` of a container: a SOCK_SEQPACKET socket in its directory.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::sockopt::Timeout;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::SupervisorError;
use super::client::PATIENCE;

const NAME: &str = "ctl";
/// How many clients may wait to be accepted.
const BACKLOG: i32 = 64;

fn failed(what: &'static str) -> impl Fn(rustix::io::Errno) -> SupervisorError {
    move |e| SupervisorError::io(what)(e.into())
}

fn socket() -> Result<OwnedFd, SupervisorError> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(failed("make a socket"))
}

/// An address may be 107 bytes long (unix(7)) and a store's path longer: so by a descriptor.
fn address(dir: &OwnedFd) -> Result<SocketAddrUnix, SupervisorError> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{NAME}", dir.as_raw_fd()))
        .map_err(failed("name the control socket"))
}

fn open_dir(dir: &Path) -> Result<OwnedFd, SupervisorError> {
    rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed("open the container's directory"))
}

/// Listens at `dir`/ctl, mode 0600.
pub(super) fn listen(dir: &Path) -> Result<OwnedFd, SupervisorError> {
    let dir = open_dir(dir)?;
    // One that a dead supervisor left: we hold the container's lock, so nobody answers there.
    let _ = rustix::fs::unlinkat(&dir, NAME, rustix::fs::AtFlags::empty());
    let listener = socket()?;
    let old = rustix::process::umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let bound = rustix::net::bind(&listener, &address(&dir)?);
    rustix::process::umask(old);
    bound.map_err(failed("bind the control socket"))?;
    rustix::net::listen(&listener, BACKLOG).map_err(failed("listen at the control socket"))?;
    Ok(listener)
}

/// Connects to `dir`/ctl.
pub(super) fn connect(dir: &Path) -> Result<OwnedFd, SupervisorError> {
    let dir = open_dir(dir)?;
    let socket = socket()?;
    // connect(2) waits while the queue of a stopped supervisor is full; unix sockets obey SO_SNDTIMEO.
    rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))
        .map_err(failed("set a time limit"))?;
    rustix::net::connect(&socket, &address(&dir)?).map_err(failed("connect to the supervisor"))?;
    Ok(socket)
}

/// Takes the next client, if it is this user or root (the mode says the same; SO_PEERCRED can't be
/// changed by a chmod).
pub(super) fn accept(listener: &OwnedFd) -> Option<OwnedFd> {
    let client = rustix::net::accept_with(listener, SocketFlags::CLOEXEC).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(&client).ok()?;
    let us = rustix::process::geteuid();
    (peer.uid == us || peer.uid.is_root()).then_some(client)
}
