//! What is seen without trying: small files of the kernel, marks of what is around us, the user.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use namespaces::idmap::{NoHelper, SubIds, User, helper};
use rustix::process::{Resource, getrlimit};
use sys::SysError;

use super::facts::{Asker, Facts, Groups};
use super::{attempt, place};
use crate::store::Privilege;

/// Files of one line that say what the kernel permits.
const FILES: &str = "/proc/sys/kernel/unprivileged_userns_clone /proc/sys/kernel/yama/ptrace_scope \
    /proc/sys/kernel/apparmor_restrict_unprivileged_userns /proc/sys/net/ipv4/ip_forward \
    /proc/sys/user/max_user_namespaces /proc/sys/user/max_mnt_namespaces /proc/sys/user/max_pid_namespaces \
    /proc/sys/user/max_ipc_namespaces /proc/sys/user/max_uts_namespaces /proc/sys/user/max_net_namespaces \
    /proc/sys/user/max_cgroup_namespaces /sys/fs/selinux/enforce /run/systemd/container";

/// What tells who is around us, and what may be needed.
const MARKS: &str = "/proc/self /.dockerenv /run/.containerenv /run/systemd/system /dev/.lxc /dev/net/tun \
    /usr/bin/pasta /usr/bin/slirp4netns";

const VARIABLES: [&str; 3] = ["container", "CODESPACES", "XDG_RUNTIME_DIR"];

/// Everything about this machine. `root` is `/`, or a directory that plays another host's; what can only
/// be tried is tried if `try_it`.
pub(super) fn facts(root: &Path, try_it: bool) -> Facts {
    let under = |path: &str| root.join(path.trim_start_matches('/'));
    let uname = rustix::system::uname();
    let mut facts = Facts {
        kernel: text(&under("/proc/sys/kernel/osrelease"))
            .unwrap_or_else(|_| uname.release().to_string_lossy().into_owned()),
        program: std::env::current_exe().map_or("minidocker".to_owned(), |path| path.display().to_string()),
        machine: uname.machine().to_string_lossy().into_owned(),
        distribution: distribution(&text(&under("/etc/os-release")).unwrap_or_default()),
        there: MARKS.split(' ').filter(|path| under(path).exists()).map(str::to_owned).collect(),
        free_ids: ["/etc/subuid", "/etc/subgid"]
            .iter()
            .filter_map(|path| text(&under(path)).ok()?.lines().filter_map(end_of_range).max())
            .fold(100_000, u64::max),
        limits: [Resource::Nproc, Resource::Nofile].map(|which| getrlimit(which).current),
        ..Facts::default()
    };
    for path in FILES.split(' ') {
        match text(&under(path)) {
            Err(e) if e.kind() == ErrorKind::NotFound || e.kind() == ErrorKind::NotADirectory => {}
            Err(e) => {
                let why = unread(path, e);
                facts.unseen.push(why.clone());
                facts.files.insert(path.to_owned(), Err(why));
            }
            Ok(text) => drop(facts.files.insert(path.to_owned(), Ok(text))),
        }
    }
    of_this_process(&mut facts, &under);
    facts.nftables = nftables(&facts.kernel, &under);
    if facts.nftables.is_none() {
        facts
            .unseen
            .push("nf_tables: neither loaded nor in /lib/modules, and a try would load it".to_owned());
    }
    if try_it {
        facts.env = VARIABLES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect();
        facts.asker = asker();
        facts.groups = groups(&mut facts.unseen);
        facts.store = place::store();
        facts.clock_behind_s = clock_behind().unwrap_or_default();
        attempt::all(&mut facts);
        usable(&mut facts);
    }
    facts
}

fn text(path: &Path) -> std::io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).trim().to_owned())
}

/// The id behind the last of `name:first:count`.
fn end_of_range(line: &str) -> Option<u64> {
    let (range, count) = line.rsplit_once(':')?;
    Some(range.rsplit_once(':')?.1.parse::<u64>().ok()? + count.parse::<u64>().ok()?)
}

fn unread(path: &str, error: std::io::Error) -> String {
    SysError::of("openat", format!("AT_FDCWD, {path:?}, O_RDONLY|O_CLOEXEC"), error).to_string()
}

/// `debian-12` from os-release(5).
fn distribution(release: &str) -> String {
    let value = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    [value("ID"), value("VERSION_ID")].into_iter().flatten().collect::<Vec<_>>().join("-")
}

fn of_this_process(facts: &mut Facts, under: &impl Fn(&str) -> PathBuf) {
    match text(&under("/proc/self/mountinfo")) {
        Err(e) => facts.unseen.push(unread("/proc/self/mountinfo", e)),
        Ok(table) => {
            let points: Vec<&str> = table.lines().filter_map(|line| line.split(' ').nth(4)).collect();
            facts.root_is_mount = Some(points.contains(&"/"));
            // These lie on directories that are empty anyway, and hide nothing.
            let empty = ["/proc/sys/fs/binfmt_misc", "/proc/fs/nfsd"];
            let below = points.iter().filter(|point| point.starts_with("/proc/") && !empty.contains(point));
            facts.proc_covered = below.map(|point| (*point).to_owned()).collect();
        }
    }
    let number = fs::read_link(under("/proc/self")).ok().and_then(|link| link.to_str()?.parse::<u32>().ok());
    let ours = std::process::id();
    facts.proc_of_others = number
        .filter(|number| *number != ours)
        .map(|number| format!("/proc/self leads to {number}, and this process is {ours}"));
    let status = text(&under("/proc/self/status")).unwrap_or_default();
    facts.seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:")?.trim().parse().ok());
}

fn asker() -> Asker {
    let (user, privilege) = (User::me(), Privilege::of_this_process());
    let ids = SubIds::read(&user);
    let count = |ranges: &[std::ops::Range<u32>]| ranges.iter().map(|r| u64::from(r.end - r.start)).sum();
    let refused = helper("newuidmap").and_then(|_| helper("newgidmap")).err();
    Asker {
        uid: user.uid,
        name: user.name.unwrap_or_else(|| user.uid.to_string()),
        rootful: privilege == Privilege::Rootful,
        subordinate: [count(&ids.uids), count(&ids.gids)],
        helper: refused.map(|why| match &why {
            NoHelper::Missing(name) => ("missing".to_owned(), (*name).to_owned()),
            NoHelper::NotPrivileged(path) => ("not-set-uid".to_owned(), path.display().to_string()),
            NoHelper::NoSuidMount(path) => ("nosuid".to_owned(), path.display().to_string()),
            NoHelper::NoNewPrivs => ("no-new-privs".to_owned(), why.to_string()),
        }),
        why_single: None,
    }
}

fn groups(unseen: &mut Vec<String>) -> Groups {
    let world = match cgroups::World::detect() {
        Ok(world) => world,
        Err(e) => {
            unseen.push(format!("which cgroups: {e}"));
            return Groups::default();
        }
    };
    let place = world.v2().or_else(|| world.v1("pids"));
    let limits = [world.v1("pids"), world.v2()].into_iter().flatten().flat_map(Path::ancestors);
    Groups {
        kind: format!("{:?}", world.kind()).to_lowercase(),
        place: place.map_or_else(String::new, |place| place.display().to_string()),
        writable: place.is_some_and(may_write),
        pids: limits
            .filter_map(|dir| {
                Some((dir.display().to_string(), text(&dir.join("pids.max")).ok()?.parse().ok()?))
            })
            .min_by_key(|(_, most)| *most),
    }
}

fn may_write(path: &Path) -> bool {
    rustix::fs::accessat(rustix::fs::CWD, path, rustix::fs::Access::WRITE_OK, rustix::fs::AtFlags::EACCESS)
        .is_ok()
}

/// Devices and switches that must not only be there. Of these /dev/null is opened: a mount with `nodev`
/// shows no other way.
fn usable(facts: &mut Facts) {
    let null = fs::OpenOptions::new().write(true).open("/dev/null");
    let null =
        null.map_err(|e| SysError::of("openat", "AT_FDCWD, \"/dev/null\", O_WRONLY|O_CLOEXEC".into(), e));
    facts.tried.insert("/dev/null".to_owned(), attempt::outcome(null.map(drop)));
    for path in ["/dev/net/tun", "/proc/sys/net/ipv4/ip_forward"] {
        let (access, flags) = (rustix::fs::Access::WRITE_OK, rustix::fs::AtFlags::EACCESS);
        let may = rustix::fs::accessat(rustix::fs::CWD, path, access, flags);
        let may = may.map_err(|e| SysError::of("faccessat", format!("AT_FDCWD, {path:?}, W_OK"), e));
        facts.tried.insert(path.to_owned(), attempt::outcome(may));
    }
}

/// Whether nf_tables is loaded, built in or to be had as a module; asking it would load it.
fn nftables(kernel: &str, under: &impl Fn(&str) -> PathBuf) -> Option<bool> {
    if under("/sys/module/nf_tables").exists() {
        return Some(true);
    }
    let dir = under("/lib/modules").join(kernel);
    let lists: Vec<String> =
        ["modules.dep", "modules.builtin"].iter().filter_map(|list| text(&dir.join(list)).ok()).collect();
    (!lists.is_empty()).then(|| lists.iter().any(|list| list.contains("/nf_tables.ko")))
}

/// By how much our own file is younger than the clock says it is now.
fn clock_behind() -> Option<u64> {
    let ours = std::env::current_exe().ok()?.metadata().ok()?.modified().ok()?;
    Some(ours.duration_since(std::time::SystemTime::now()).ok()?.as_secs())
}
