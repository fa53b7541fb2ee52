//! Network interfaces, as far as they need no netlink (netdevice(7)).

use std::os::fd::{AsFd, AsRawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::call::call;
use crate::shown::{By, Plain, Shown};
use crate::{Errno, Result, SysError};

/// Brings a network interface of this network namespace up. Source: netdevice(7), SIOCSIFFLAGS.
///
/// # Errors
/// `ENODEV`: no such interface. `EPERM` without CAP_NET_ADMIN in the owner of the network namespace.
/// `EINVAL`: the name is longer than 15 bytes.
pub fn set_interface_up(name: &str) -> Result {
    // Any socket does: it names the network namespace.
    let socket = call("socket", &[&Plain("AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, 0")], || {
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
    })?;
    // SAFETY: ifreq is a C struct of bytes and integers, for all of which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(SysError::new("ioctl", name.shown(), Errno::EINVAL));
    }
    request.ifr_name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from as libc::c_char);
    for (number, what) in [(libc::SIOCGIFFLAGS, "SIOCGIFFLAGS"), (libc::SIOCSIFFLAGS, "SIOCSIFFLAGS")] {
        let shown = By(|| format!("{what}, {{ifr_name={}}}", name.shown()));
        call("ioctl", &[&socket.as_fd(), &shown], || {
            // SAFETY: both requests read and write one ifreq, which outlives the call.
            Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), number, &raw mut request) }).map(drop)
        })?;
        // What the first one told, and this flag, is what the second one sets.
        // SAFETY: the first call filled this field of the union; any bits are valid there.
        unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_enodev() {
        let e = set_interface_up("no-such-link").unwrap_err();
        assert_eq!((e.call(), e.errno()), ("ioctl", Errno::ENODEV));
        assert!(e.args().contains("SIOCGIFFLAGS, {ifr_name=\"no-such-link\"}"), "{e}");
    }

    #[test]
    fn a_name_is_1_to_15_bytes() {
        assert_eq!(set_interface_up("").unwrap_err().errno(), Errno::EINVAL);
        assert_eq!(set_interface_up("sixteen-letters-").unwrap_err().errno(), Errno::EINVAL);
    }
}
