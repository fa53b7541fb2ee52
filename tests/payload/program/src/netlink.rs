//! rtnetlink(7) by hand: one request, and the messages of its answer. As much as `ip` needs here.
//!
//! The engine speaks to it through a library; a program that has to be small asks three questions.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use sys::{Errno, SysError};

pub(crate) use nix::libc::{RTM_GETADDR, RTM_GETLINK, RTM_GETROUTE, RTM_NEWADDR, RTM_NEWLINK};

// linux/netlink.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
/// Refuse what is there already, make what is not.
const NLM_F_EXCL_CREATE: u16 = 0x600;
const NLM_F_DUMP: u16 = 0x300;
/// The list changed while it was told: something may be missing or stand there twice.
const NLM_F_DUMP_INTR: u16 = 0x10;
/// So often a list is asked for that changes all the while.
const DUMPS: usize = 16;
const HEADER_BYTES: usize = 16;

/// One object: the fixed part of its message, and its attributes by their numbers.
pub(crate) struct Object {
    pub(crate) fixed: Vec<u8>,
    attributes: BTreeMap<u16, Vec<u8>>,
}

impl Object {
    pub(crate) fn attribute(&self, number: u16) -> Option<&[u8]> {
        self.attributes.get(&number).map(Vec::as_slice)
    }

    pub(crate) fn number(&self, number: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(self.attribute(number)?.get(..4)?.try_into().ok()?))
    }

    /// Without the zero byte at its end.
    pub(crate) fn text(&self, number: u16) -> Option<String> {
        let bytes = self.attribute(number)?;
        Some(String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(bytes)).into_owned())
    }

    pub(crate) fn address(&self, number: u16) -> Option<IpAddr> {
        let bytes = self.attribute(number)?;
        let four = <[u8; 4]>::try_from(bytes).ok().map(|b| IpAddr::V4(Ipv4Addr::from(b)));
        four.or_else(|| Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))))
    }

    /// The fixed part's number at `at`.
    pub(crate) fn fixed_number(&self, at: usize) -> u32 {
        let bytes = self.fixed.get(at..at + 4).and_then(|b| b.try_into().ok());
        bytes.map_or(0, u32::from_ne_bytes)
    }
}

/// All objects of a kind (`RTM_GET...`), whose fixed part has `fixed_bytes` bytes.
///
/// # Errors
/// What socket(2), sendto(2), recvfrom(2) or the kernel in its answer say. `EBADMSG`: the answer is cut short.
/// `EINTR`: it changed each time while it was told.
pub(crate) fn dump(kind: u16, fixed_bytes: usize) -> Result<Vec<Object>, SysError> {
    for _ in 0..DUMPS {
        if let Some(all) = ask(kind, NLM_F_REQUEST | NLM_F_DUMP, &vec![0; fixed_bytes], &[], "dump")? {
            return Ok(all);
        }
    }
    Err(SysError::new("recvfrom", "AF_NETLINK, dump".to_owned(), Errno::EINTR))
}

/// Makes or changes one object; `what` is shown in an error.
///
/// # Errors
/// As [`dump`]: `EPERM` without CAP_NET_ADMIN, `ENODEV`, `EEXIST`.
pub(crate) fn change(
    kind: u16,
    is_new: bool,
    fixed: &[u8],
    attributes: &[(u16, Vec<u8>)],
    what: &str,
) -> Result<(), SysError> {
    let flags = NLM_F_REQUEST | NLM_F_ACK | if is_new { NLM_F_EXCL_CREATE } else { 0 };
    ask(kind, flags, fixed, attributes, what).map(drop)
}

/// None: what was listed has changed meanwhile.
fn ask(
    kind: u16,
    flags: u16,
    fixed: &[u8],
    attributes: &[(u16, Vec<u8>)],
    what: &str,
) -> Result<Option<Vec<Object>>, SysError> {
    let failed = |call, errno: rustix::io::Errno| {
        SysError::new(call, format!("AF_NETLINK, {what}"), Errno::from_raw(errno.raw_os_error()))
    };
    let (family, how) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
    // No protocol is number 0: NETLINK_ROUTE.
    let socket =
        rustix::net::socket_with(family, SocketType::RAW, how, None).map_err(|e| failed("socket", e))?;
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(&socket, &message(kind, flags, fixed, attributes), SendFlags::empty(), &kernel)
        .map_err(|e| failed("sendto", e))?;
    let mut buffer = vec![0; 1 << 16];
    let mut answer = Answer::default();
    loop {
        let (received, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty())
            .map_err(|e| failed("recvfrom", e))?;
        match answer.take(&buffer[..received], fixed.len()).map_err(|e| failed("recvfrom", e))? {
            Next::More => {}
            Next::Refused(errno) => return Err(failed("sendto", errno)),
            Next::End if answer.interrupted => return Ok(None),
            Next::End => return Ok(Some(answer.objects)),
        }
    }
}

/// What has come of an answer so far.
#[derive(Default)]
struct Answer {
    objects: Vec<Object>,
    interrupted: bool,
}

/// What follows upon a datagram.
#[derive(Debug, PartialEq)]
enum Next {
    More,
    End,
    Refused(rustix::io::Errno),
}

impl Answer {
    /// Takes one datagram. An answer that is cut short is EBADMSG: its end might never come.
    fn take(&mut self, datagram: &[u8], fixed_bytes: usize) -> Result<Next, rustix::io::Errno> {
        for Message { kind, flags, body } in messages(datagram)? {
            self.interrupted |= flags & NLM_F_DUMP_INTR != 0;
            match kind {
                // What a dump fails by stands behind its DONE, as behind an ERROR; 0 is the acknowledgement.
                NLMSG_DONE | NLMSG_ERROR => {
                    let errno = body.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes));
                    return match errno {
                        Some(errno) if errno < 0 => {
                            Ok(Next::Refused(rustix::io::Errno::from_raw_os_error(-errno)))
                        }
                        Some(_) => Ok(Next::End),
                        None => Err(rustix::io::Errno::BADMSG),
                    };
                }
                _ => self.objects.push(object(body, fixed_bytes).ok_or(rustix::io::Errno::BADMSG)?),
            }
        }
        Ok(Next::More)
    }
}

fn message(kind: u16, flags: u16, fixed: &[u8], attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = fixed.to_vec();
    for (number, value) in attributes {
        body.resize(aligned(body.len()), 0);
        body.extend(u16::to_ne_bytes(4 + value.len() as u16));
        body.extend(number.to_ne_bytes());
        body.extend(value);
    }
    let mut message = u32::to_ne_bytes((HEADER_BYTES + body.len()) as u32).to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence number and sender: one question a socket needs neither.
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// One message of a datagram.
struct Message<'a> {
    kind: u16,
    flags: u16,
    body: &'a [u8],
}

/// EBADMSG where a length leads out of the datagram.
fn messages(mut bytes: &[u8]) -> Result<Vec<Message<'_>>, rustix::io::Errno> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(rustix::io::Errno::BADMSG)?;
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let body = bytes.get(HEADER_BYTES..length).ok_or(rustix::io::Errno::BADMSG)?;
        let [kind, flags] = [4, 6].map(|at| u16::from_ne_bytes([header[at], header[at + 1]]));
        all.push(Message { kind, flags, body });
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
    }
    Ok(all)
}

/// None where it is cut short.
fn object(body: &[u8], fixed_bytes: usize) -> Option<Object> {
    let (fixed, mut rest) = body.split_at_checked(fixed_bytes)?;
    let mut attributes = BTreeMap::new();
    while let Some(&[a, b, c, d]) = rest.first_chunk::<4>() {
        let length = u16::from_ne_bytes([a, b]) as usize;
        let value = rest.get(4..length)?;
        // The two highest bits say how it is stored.
        attributes.insert(u16::from_ne_bytes([c, d]) & 0x3fff, value.to_vec());
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    Some(Object { fixed: fixed.to_vec(), attributes })
}

/// NLMSG_ALIGN, RTA_ALIGN: to the next multiple of 4.
fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let sent = message(20, 0, &[7; 8], &[(1, vec![127, 0, 0, 1]), (3, b"lo\0".to_vec()), (9, vec![])]);
        let read = messages(&sent).unwrap();
        assert_eq!((read.len(), read[0].kind), (1, 20));
        let object = object(read[0].body, 8).unwrap();
        assert_eq!(object.address(1), Some("127.0.0.1".parse().unwrap()));
        assert_eq!((object.text(3).as_deref(), object.attribute(9)), (Some("lo"), Some(&[][..])));
    }

    #[test]
    fn an_answer_that_is_cut_short_is_an_error_and_never_waited_for() {
        let sent = message(20, 0, &[0; 8], &[(1, vec![1; 4])]);
        let done = message(NLMSG_DONE, 0, &[0; 4], &[]);
        let take = |datagram: &[u8]| Answer::default().take(datagram, 8);
        for cut in 1..sent.len() {
            assert_eq!(take(&sent[..cut]), Err(rustix::io::Errno::BADMSG), "{cut} bytes");
        }
        // A length below that of the header itself, and an attribute longer than its message.
        assert_eq!(take(&[&[4, 0, 0, 0], &sent[4..]].concat()), Err(rustix::io::Errno::BADMSG));
        let mut long = sent.clone();
        long[HEADER_BYTES + 8] = 9;
        assert_eq!(take(&long), Err(rustix::io::Errno::BADMSG));
        assert_eq!((take(&sent), take(&[sent, done].concat())), (Ok(Next::More), Ok(Next::End)));
    }

    #[test]
    fn a_refusal_and_a_list_that_changed_are_told() {
        let end = |kind, errno: i32| {
            Answer::default().take(&message(kind, 0, &i32::to_ne_bytes(errno), &[]), 8).unwrap()
        };
        assert_eq!(end(NLMSG_ERROR, 0), Next::End);
        assert_eq!(end(NLMSG_ERROR, -1), Next::Refused(rustix::io::Errno::PERM));
        assert_eq!(end(NLMSG_DONE, -12), Next::Refused(rustix::io::Errno::NOMEM));
        let mut answer = Answer::default();
        assert_eq!(answer.take(&message(20, NLM_F_DUMP_INTR, &[0; 8], &[]), 8), Ok(Next::More));
        assert!(answer.interrupted);
    }
}
