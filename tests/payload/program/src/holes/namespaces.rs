//! The rows of namespaces: pids, hostname, mounts, ipc, uid, network.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use nix::mqueue;
use nix::sys::stat::Mode;
use rustix::process::Pid;
use sys::{MntFlags, MsFlags, Uid};

use super::Finding;
use super::child::{outcome, private_dir, said_by_child};
use super::host::Host;
use crate::{ip, netlink};

/// The process numbers that are tried: the default of kernel.pid_max on a small machine (proc(5)).
const PIDS: i32 = 32_768;

/// An address for documentation (RFC 5737): nothing is sent to it, only the route is asked for.
const ELSEWHERE: &str = "192.0.2.1:9";

pub(super) fn pids(host: &Host) -> Finding {
    // Signal 0 reaches nobody: it asks whether one could. EPERM is somebody as well.
    let there = |pid: &i32| {
        let pid = Pid::from_raw(*pid).map(rustix::process::test_kill_process);
        pid.is_some_and(|answer| !matches!(answer, Err(rustix::io::Errno::SRCH)))
    };
    let count = (1..=PIDS).filter(there).count();
    let first = fs::read_to_string("/proc/1/comm").unwrap_or_else(|_| "not shown".to_owned());
    Finding::new(host.own("pid"), format!("kill(pid, 0): {count} answer, process 1 is {}", first.trim_end()))
}

pub(super) fn hostname(host: &Host) -> Finding {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // To itself: where that is allowed, any other name is as well.
    let set = said_by_child(|| outcome(&sys::sethostname(&name)));
    Finding::new(host.own("uts"), format!("sethostname(\"{name}\"), the same name: {set}"))
}

pub(super) fn mounts(host: &Host) -> Finding {
    let mounted = private_dir().map(|dir| {
        let mounted = sys::mount(None, &dir, Some("tmpfs"), MsFlags::empty(), Some("size=4k"));
        let shared = fs::read_to_string("/proc/self/mountinfo").is_ok_and(|table| is_shared(&table, &dir));
        if mounted.is_ok() {
            // Nothing is in it, so nothing can hold it.
            let _ = sys::umount2(&dir, MntFlags::MNT_DETACH);
        }
        let _ = sys::rmdir(&dir);
        (outcome(&mounted), shared)
    });
    let seen = match mounted {
        Ok((outcome, true)) => format!("mount(tmpfs): {outcome}, and told to other namespaces"),
        Ok((outcome, false)) => format!("mount(tmpfs): {outcome}"),
        Err(e) => format!("no directory for it: {:?}", e.errno()),
    };
    let count = fs::read_to_string("/proc/self/mountinfo").map_or(0, |table| table.lines().count());
    Finding::new(host.own("mnt"), format!("{}{seen}; the table has {count}", borrowed(host)))
}

/// Whether a mount has peers to which it is told (mount_namespaces(7)).
fn is_shared(table: &str, at: &Path) -> bool {
    let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let line = table.lines().map(fields).find(|f| f.get(4).is_some_and(|p| Path::new(p) == at));
    line.is_some_and(|f| f.iter().skip(6).take_while(|f| *f != "-").any(|f| f.starts_with("shared:")))
}

/// What stands before the words of a row that only the borrowed room keeps apart.
pub(super) fn borrowed(host: &Host) -> &'static str {
    if host.borrowed { "chapter 2's room: " } else { "" }
}

pub(super) fn ipc(host: &Host) -> Finding {
    let name = format!("/holes-{}", std::process::id());
    let how = mqueue::MQ_OFlag::O_CREAT | mqueue::MQ_OFlag::O_EXCL | mqueue::MQ_OFlag::O_RDWR;
    let small = mqueue::MqAttr::new(0, 1, 8, 0);
    let made = mqueue::mq_open(name.as_str(), how, Mode::S_IRUSR, Some(&small));
    let queue = match made {
        Ok(queue) => {
            let _ = mqueue::mq_close(queue);
            let _ = mqueue::mq_unlink(name.as_str());
            "made and removed".to_owned()
        }
        Err(errno) => format!("{errno:?}"),
    };
    // Behind the line of headings (proc_sysvipc(5)).
    let objects =
        |kind| fs::read_to_string(format!("/proc/sysvipc/{kind}")).map_or(0, |t| t.lines().skip(1).count());
    let count: usize = ["msg", "sem", "shm"].map(objects).iter().sum();
    Finding::new(host.own("ipc"), format!("a message queue: {queue}; {count} System V objects"))
}

pub(super) fn uid(host: &Host) -> Finding {
    let uid = nix::unistd::geteuid().as_raw();
    let other = if uid == 1 { 2 } else { 1 };
    let become_other = said_by_child(|| outcome(&sys::setresuid(Uid::from_raw(other))));
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let outside = outside(&map, uid).map_or("unknown".to_owned(), |id| id.to_string());
    let seen = format!("{uid} here is {outside} outside; become {other}: {become_other}");
    Finding::new(host.own("user"), format!("{}{seen}", borrowed(host)))
}

/// The id of the parent namespace (user_namespaces(7), /proc/pid/uid_map).
fn outside(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [inside, outside, count] = numbers[..] else { return None };
        id.checked_sub(inside).filter(|at| *at < count).and_then(|at| outside.checked_add(at))
    })
}

pub(super) fn network(host: &Host) -> Finding {
    let links = netlink::dump(netlink::RTM_GETLINK, ip::LINK_BYTES).unwrap_or_default();
    let names: Vec<String> = links.iter().filter_map(|link| link.text(ip::IFLA_IFNAME)).collect();
    // Connecting a datagram socket sends nothing: the kernel only looks for the way.
    let way = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect(ELSEWHERE)?;
        socket.local_addr()
    });
    let way = match way {
        Ok(from) => format!("a way out, as {}", from.ip()),
        Err(_) => "no way out".to_owned(),
    };
    Finding::new(host.own("net"), format!("{way}; interfaces: {}", names.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_looked_up_in_the_map() {
        let map = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(
            (outside(map, 0), outside(map, 1), outside(map, 65536)),
            (Some(1000), Some(100_000), Some(165_535))
        );
        assert_eq!(outside(map, 65537), None);
    }

    #[test]
    fn a_shared_mount_is_told_from_a_private_one() {
        let table =
            "30 21 0:40 / /tmp/a rw shared:12 - tmpfs none rw\n31 21 0:41 / /tmp/b rw - tmpfs shared:1 rw\n";
        assert!(is_shared(table, Path::new("/tmp/a")));
        assert!(!is_shared(table, Path::new("/tmp/b")) && !is_shared(table, Path::new("/tmp/c")));
    }
}
