//! Network interfaces, as far as they need no netlink (netdevice(7)).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::call::{call, fd, quoted};
use crate::{Errno, SysError};

/// Brings a network interface of this network namespace up. Source: netdevice(7), SIOCSIFFLAGS.
///
/// # Errors
/// `ENODEV`: no such interface. `EPERM` without CAP_NET_ADMIN in the owner of the network namespace.
/// `EINVAL`: the name is longer than 15 bytes.
pub fn set_interface_up(name: &str) -> Result<(), SysError> {
    let socket = any_socket()?;
    let mut request = request(name)?;
    let shown =
        |what: &str| format!("{}, {what}, {{ifr_name={}}}", fd(socket.as_fd()), quoted(name.as_bytes()));
    call(
        "ioctl",
        || shown("SIOCGIFFLAGS"),
        || {
            // SAFETY: SIOCGIFFLAGS reads the name and writes the flags of the ifreq that we pass.
            Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) })
                .map(drop)
        },
    )?;
    call(
        "ioctl",
        || shown("SIOCSIFFLAGS").replacen('}', ", ifr_flags=…|IFF_UP}", 1),
        || {
            // SAFETY: the call above filled this field of the union; any bits are valid there.
            unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short };
            // SAFETY: SIOCSIFFLAGS only reads the ifreq, which outlives the call.
            Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })
                .map(drop)
        },
    )
}

/// The ioctls of netdevice(7) are asked of any socket; it names the network namespace.
fn any_socket() -> Result<OwnedFd, SysError> {
    call(
        "socket",
        || "AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, 0".to_owned(),
        || rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None),
    )
}

fn request(name: &str) -> Result<libc::ifreq, SysError> {
    // SAFETY: ifreq is a C struct of bytes and integers, for all of which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() >= request.ifr_name.len() {
        return Err(SysError::new("ioctl", quoted(bytes), Errno::EINVAL));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    Ok(request)
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
