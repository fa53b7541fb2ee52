//! `ip [-o] [-4|-6] link|addr|route [show] [dev X]`, `ip link set [dev] X up|down`, and
//! `ip addr add A/P dev X`: what ip(8) of iproute2 and of busybox share, and the book uses.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};

use crate::netlink::{self, Object};

pub(crate) use nix::libc::IFLA_IFNAME;
use nix::libc::{
    IFA_ADDRESS, IFA_BROADCAST, IFA_CACHEINFO, IFA_LABEL, IFA_LOCAL, IFLA_ADDRESS, IFLA_BROADCAST, IFLA_LINK,
    IFLA_LINK_NETNSID, IFLA_MTU, IFLA_OPERSTATE, IFLA_QDISC, IFLA_TXQLEN, RTA_DST, RTA_GATEWAY, RTA_OIF,
    RTA_PREFSRC, RTA_PRIORITY,
};

/// Bytes of ifinfomsg, ifaddrmsg and rtmsg.
pub(crate) const LINK_BYTES: usize = 16;
const ADDR_BYTES: usize = 8;
const ROUTE_BYTES: usize = 12;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// linux/if.h, in the order in which ip(8) shows them.
const FLAGS: [(u32, &str); 12] = [
    (0x8, "LOOPBACK"),
    (0x2, "BROADCAST"),
    (0x10, "POINTOPOINT"),
    (0x1000, "MULTICAST"),
    (0x80, "NOARP"),
    (0x200, "ALLMULTI"),
    (0x100, "PROMISC"),
    (0x400, "MASTER"),
    (0x800, "SLAVE"),
    (0x1, "UP"),
    (0x1_0000, "LOWER_UP"),
    (0x2_0000, "DORMANT"),
];
const UP: u32 = 0x1;
const RUNNING: u32 = 0x40;

/// The options before the object, and the interface that is meant.
#[derive(Default)]
struct Wanted {
    one_line: bool,
    family: Option<u8>,
    dev: Option<String>,
}

impl Wanted {
    fn of(&self, family: u8) -> bool {
        self.family.is_none_or(|wanted| wanted == family)
    }

    fn named(&self, name: &str) -> bool {
        self.dev.as_deref().is_none_or(|dev| dev == name)
    }
}

pub(crate) fn main(arguments: &[String]) -> Result<u8> {
    let mut wanted = Wanted::default();
    let mut words = arguments.iter().map(String::as_str).peekable();
    while let Some(option) = words.next_if(|word| word.starts_with('-')) {
        match option {
            "-o" | "-oneline" => wanted.one_line = true,
            "-4" => wanted.family = Some(AF_INET),
            "-6" => wanted.family = Some(AF_INET6),
            _ => bail!("no option {option}"),
        }
    }
    let usage = "ip [-o] [-4|-6] link|addr|route [show] [dev X], link set X up|down, addr add A/P dev X";
    let object = words.next().context(usage)?;
    let object = ["link", "address", "route"].into_iter().find(|name| name.starts_with(object));
    let rest: Vec<&str> = words.filter(|word| *word != "dev").collect();
    let text = match (object.context(usage)?, rest.as_slice()) {
        ("link", ["set", name, state @ ("up" | "down")]) => set(name, *state == "up").map(|()| String::new()),
        ("address", ["add" | "a", address, name]) => add(address, name).map(|()| String::new()),
        (object, [] | ["show" | "list" | "ls" | "sh" | "s" | "l"]) => shown(object, &wanted),
        (object, ["show" | "list" | "ls" | "sh" | "s" | "l", name]) => {
            index(name)?;
            wanted.dev = Some((*name).to_owned());
            shown(object, &wanted)
        }
        _ => bail!(usage),
    };
    crate::print(&text?)?;
    Ok(0)
}

fn shown(object: &str, wanted: &Wanted) -> Result<String> {
    let links = netlink::dump(netlink::RTM_GETLINK, LINK_BYTES)?;
    let text = match object {
        "link" => each_link(&links, wanted, |_| Vec::new()),
        "route" => routes(&links, wanted)?,
        _ => {
            let addresses = netlink::dump(netlink::RTM_GETADDR, ADDR_BYTES)?;
            addresses_of(&links, &addresses, wanted)
        }
    };
    Ok(text)
}

/// The number of an interface.
fn index(name: &str) -> Result<u32> {
    let links = netlink::dump(netlink::RTM_GETLINK, LINK_BYTES)?;
    let link = links.iter().find(|link| link.text(IFLA_IFNAME).as_deref() == Some(name));
    Ok(link.with_context(|| format!("there is no interface {name:?}"))?.fixed_number(4))
}

fn set(name: &str, up: bool) -> Result<()> {
    let mut fixed = [0; 4].to_vec();
    fixed.extend(index(name)?.to_ne_bytes());
    // The flags, and which of them are to change.
    fixed.extend((if up { UP } else { 0 }).to_ne_bytes());
    fixed.extend(UP.to_ne_bytes());
    let what = format!("RTM_NEWLINK {name} {}", if up { "up" } else { "down" });
    Ok(netlink::change(netlink::RTM_NEWLINK, false, &fixed, &[], &what)?)
}

fn add(address: &str, name: &str) -> Result<()> {
    let (ip, prefix) = address.split_once('/').unwrap_or((address, ""));
    let ip: IpAddr = ip.parse().with_context(|| format!("{address:?} is no address"))?;
    let (family, bytes) = match ip {
        IpAddr::V4(ip) => (AF_INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (AF_INET6, ip.octets().to_vec()),
    };
    let most = bytes.len() as u8 * 8;
    let prefix = if prefix.is_empty() { most } else { prefix.parse().context("the length of the prefix")? };
    ensure!(prefix <= most, "/{prefix} is longer than an address");
    let mut fixed = vec![family, prefix, 0, 0];
    fixed.extend(index(name)?.to_ne_bytes());
    let attributes = [(IFA_LOCAL, bytes.clone()), (IFA_ADDRESS, bytes)];
    Ok(netlink::change(netlink::RTM_NEWADDR, true, &fixed, &attributes, &format!("RTM_NEWADDR {address}"))?)
}

fn each_link(links: &[Object], wanted: &Wanted, below: impl Fn(u32) -> Vec<String>) -> String {
    let names = names(links);
    let mut text = String::new();
    for link in links {
        let name = link.text(IFLA_IFNAME).unwrap_or_default();
        if wanted.named(&name) {
            let mut lines = head(link, &name, &names);
            lines.extend(below(link.fixed_number(4)));
            let _ = writeln!(text, "{}", lines.join(if wanted.one_line { "\\" } else { "\n" }));
        }
    }
    text
}

fn names(links: &[Object]) -> BTreeMap<u32, String> {
    links.iter().filter_map(|link| Some((link.fixed_number(4), link.text(IFLA_IFNAME)?))).collect()
}

/// The two lines of an interface.
fn head(link: &Object, name: &str, names: &BTreeMap<u32, String>) -> Vec<String> {
    let flags = link.fixed_number(8);
    let no_carrier = (flags & UP != 0 && flags & RUNNING == 0).then_some("NO-CARRIER");
    let set = FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name);
    let set: Vec<&str> = no_carrier.into_iter().chain(set).collect();
    // The other end of a veth, which is in this network namespace or in another one.
    let peer = match link.number(IFLA_LINK) {
        Some(0) => "@NONE".to_owned(),
        Some(peer) if link.attribute(IFLA_LINK_NETNSID).is_none() => {
            names.get(&peer).map_or(format!("@if{peer}"), |name| format!("@{name}"))
        }
        Some(peer) => format!("@if{peer}"),
        None => String::new(),
    };
    // RFC 2863, as linux/if.h numbers it.
    let states = ["UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"];
    let state = link.attribute(IFLA_OPERSTATE).and_then(|b| states.get(usize::from(*b.first()?)));
    let mut first = format!("{}: {name}{peer}: <{}>", link.fixed_number(4), set.join(","));
    let _ = write!(first, " mtu {}", link.number(IFLA_MTU).unwrap_or(0));
    let _ = write!(first, " qdisc {}", link.text(IFLA_QDISC).unwrap_or_default());
    let _ = write!(first, " state {}", state.unwrap_or(&"UNKNOWN"));
    if let Some(length @ 1..) = link.number(IFLA_TXQLEN) {
        let _ = write!(first, " qlen {length}");
    }
    let hardware = |number| {
        let bytes = link.attribute(number)?.iter().map(|byte| format!("{byte:02x}"));
        Some(bytes.collect::<Vec<_>>().join(":"))
    };
    // linux/if_arp.h.
    let kind = match u16::from_ne_bytes([link.fixed[2], link.fixed[3]]) {
        1 => "ether".to_owned(),
        772 => "loopback".to_owned(),
        65534 => "none".to_owned(),
        other => other.to_string(),
    };
    let mut second = format!("    link/{kind} {}", hardware(IFLA_ADDRESS).unwrap_or_default());
    if let Some(broadcast) = hardware(IFLA_BROADCAST) {
        let _ = write!(second, " brd {broadcast}");
    }
    vec![first, second.trim_end().to_owned()]
}

fn addresses_of(links: &[Object], addresses: &[Object], wanted: &Wanted) -> String {
    let own =
        |index: u32| addresses.iter().filter(move |a| a.fixed_number(4) == index && wanted.of(a.fixed[0]));
    if !wanted.one_line {
        return each_link(links, wanted, |index| own(index).flat_map(address).collect());
    }
    // One line an address, and none for the interface itself.
    let mut text = String::new();
    for (index, name) in names(links).into_iter().filter(|(_, name)| wanted.named(name)) {
        for lines in own(index).map(address) {
            let _ = writeln!(text, "{index}: {name}{}", lines.join("\\"));
        }
    }
    text
}

/// The two lines of an address.
fn address(address: &Object) -> Vec<String> {
    let [family, prefix, _, number] = [0, 1, 2, 3].map(|at| address.fixed[at]);
    let ip = address.address(IFA_LOCAL).or(address.address(IFA_ADDRESS));
    let mut first = format!("    {} ", if family == AF_INET { "inet" } else { "inet6" });
    let _ = write!(first, "{}/{prefix}", ip.map_or(String::new(), |ip| ip.to_string()));
    if let Some(broadcast) = address.address(IFA_BROADCAST) {
        let _ = write!(first, " brd {broadcast}");
    }
    let _ = write!(first, " scope {}", scope(number));
    if let Some(label) = address.text(IFA_LABEL) {
        let _ = write!(first, " {label}");
    }
    // ifa_cacheinfo: preferred, then valid, in seconds.
    let seconds = |at: usize| {
        let bytes = address.attribute(IFA_CACHEINFO)?.get(at..at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let life =
        |at| seconds(at).filter(|s| *s != u32::MAX).map_or("forever".to_owned(), |s| format!("{s}sec"));
    vec![first, format!("       valid_lft {} preferred_lft {}", life(4), life(0))]
}

fn scope(number: u8) -> String {
    match number {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        other => other.to_string(),
    }
}

/// The routes of the table `main`.
fn routes(links: &[Object], wanted: &Wanted) -> Result<String> {
    const MAIN: u8 = 254;
    const UNICAST: u8 = 1;
    let (names, family) = (names(links), wanted.family.unwrap_or(AF_INET));
    let mut text = String::new();
    for route in netlink::dump(netlink::RTM_GETROUTE, ROUTE_BYTES)? {
        let [of, length, _, _, table, protocol, number, kind] =
            [0, 1, 2, 3, 4, 5, 6, 7].map(|at| route.fixed[at]);
        let dev = route.number(RTA_OIF).and_then(|index| names.get(&index)).map_or("", String::as_str);
        if of != family || table != MAIN || kind != UNICAST || !wanted.named(dev) {
            continue;
        }
        let full = if family == AF_INET { 32 } else { 128 };
        let to = match route.address(RTA_DST) {
            None => "default".to_owned(),
            Some(ip) if length == full => ip.to_string(),
            Some(ip) => format!("{ip}/{length}"),
        };
        text.push_str(&to);
        let part =
            |word: &str, value: Option<String>| value.map_or(String::new(), |v| format!(" {word} {v}"));
        text.push_str(&part("via", route.address(RTA_GATEWAY).map(|ip| ip.to_string())));
        text.push_str(&part("dev", (!dev.is_empty()).then(|| dev.to_owned())));
        // linux/rtnetlink.h, RTPROT_*; 3 is what a person set, and goes without saying.
        let protocol =
            [(2, "kernel"), (4, "static"), (9, "ra"), (16, "dhcp")].iter().find(|p| p.0 == protocol);
        text.push_str(&part("proto", protocol.map(|p| p.1.to_owned())));
        text.push_str(&part("scope", (number != 0).then(|| scope(number))));
        text.push_str(&part("src", route.address(RTA_PREFSRC).map(|ip| ip.to_string())));
        text.push_str(&part("metric", route.number(RTA_PRIORITY).map(|n| n.to_string())));
        // linux/rtnetlink.h, RTNH_F_*.
        for (bit, word) in [(1, " dead"), (4, " onlink"), (16, " linkdown")] {
            text.push_str(if route.fixed_number(8) & bit != 0 { word } else { "" });
        }
        text.push('\n');
    }
    Ok(text)
}
