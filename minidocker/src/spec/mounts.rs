//! `mounts` of the Spec: Docker's, in Docker's order (each is mounted over the one before).
//!
//! Source: moby 28, `daemon/oci_linux.go` (`withMounts`).

use std::path::Path;

use oci_spec::runtime::Mount;

use super::bind::{Bind, check_target};
use super::command::clean;
use super::{CgroupView, Facts, HostConfig, NetworkMode, SpecError, tmpfs, user};

/// The group `tty` of every distribution: owner of terminals (devpts(5)).
const TTY_GID: u32 = 5;

/// Files of /proc that lxcfs and the like may put others over. Elsewhere in it, a mount would hide what
/// we mask, and lie to us. Source: runc, `libcontainer/rootfs_linux.go` (`checkProcMount`).
const COVERABLE: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// Ours first, those that the user's replace left out; then the user's, by depth, so that none hides
/// another.
pub(super) fn all(host: &HostConfig, facts: &Facts) -> Result<Vec<Mount>, SpecError> {
    let mut asked = asked(host, facts)?;
    let mut mounts = ours(host, facts);
    let replaced = |path: &Path| asked.iter().any(|mount| mount.destination() == path);
    let dev = Path::new("/dev");
    mounts.retain(|mount| {
        let to = mount.destination();
        !(replaced(to) || (to.starts_with(dev) && replaced(dev)))
    });
    let mut files = etc(host, facts);
    files.retain(|file| !replaced(file.destination()));
    asked.append(&mut files);
    asked.sort_by_key(|mount| mount.destination().components().count());
    mounts.append(&mut asked);
    Ok(mounts)
}

/// `-v` and `--tmpfs`.
fn asked(host: &HostConfig, facts: &Facts) -> Result<Vec<Mount>, SpecError> {
    let mut mounts: Vec<Mount> = Vec::new();
    let binds = Bind::all(&host.binds)?;
    for bind in &binds {
        mounts.push(of_bind(bind, facts)?);
    }
    for (to, options) in &host.tmpfs {
        check_target(to)?;
        let to = clean(to);
        in_proc(&to, None)?;
        let mut tmpfs = mount(&to.to_string_lossy(), "tmpfs", "tmpfs", &[]);
        tmpfs.set_options(Some(tmpfs::options(options)?));
        mounts.push(tmpfs);
    }
    for (at, mount) in mounts.iter().enumerate() {
        if mounts[..at].iter().any(|other| other.destination() == mount.destination()) {
            return Err(SpecError::DuplicateMount(mount.destination().clone()));
        }
    }
    Ok(mounts)
}

fn of_bind(bind: &Bind, facts: &Facts) -> Result<Mount, SpecError> {
    in_proc(&bind.destination, Some(&bind.source))?;
    let mut options = vec!["rbind"];
    if bind.read_only {
        // With what is mounted below it, as Docker 25 and newer. What stays in step with the host's
        // mounts is no mount(2) of ours, so for it there is no other way.
        let recursive = facts.recursive_readonly || !bind.is_private();
        options.push(if recursive { "rro" } else { "ro" });
    }
    options.push(&bind.propagation);
    Ok(mount(&bind.destination.to_string_lossy(), "bind", &bind.source.to_string_lossy(), &options))
}

fn in_proc(to: &Path, source: Option<&Path>) -> Result<(), SpecError> {
    let proc = Path::new("/proc");
    let may = COVERABLE.iter().any(|path| to == Path::new(path)) || (to == proc && source == Some(proc));
    if to.starts_with(proc) && !may { Err(SpecError::InsideProc(to.to_owned())) } else { Ok(()) }
}

/// What each container has.
fn ours(host: &HostConfig, facts: &Facts) -> Vec<Mount> {
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        devpts(facts),
        sys(host, facts),
    ];
    match facts.cgroup_view {
        CgroupView::Unified => {
            mounts.push(mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]));
        }
        // The host's hierarchies came along with its /sys, and "ro" doesn't reach mounts below:
        // in a cgroup that this user may write to, the container could take itself out of its limits.
        CgroupView::Nothing if binds_sys(host, facts) => {
            mounts.push(mount(
                "/sys/fs/cgroup",
                "tmpfs",
                "tmpfs",
                &["ro", "nosuid", "noexec", "nodev", "mode=755", "size=4k"],
            ));
        }
        CgroupView::Nothing => {}
    }
    mounts.push(mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]));
    let size = format!("size={}", host.shm_size);
    mounts.push(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]));
    mounts
}

/// The container's own files of /etc: read-only with the rootfs.
fn etc(host: &HostConfig, facts: &Facts) -> Vec<Mount> {
    let options: &[&str] =
        if host.readonly_rootfs { &["rbind", "rprivate", "ro"] } else { &["rbind", "rprivate"] };
    let file = |name| {
        let source = facts.bundle.join(name);
        mount(&format!("/etc/{name}"), "bind", &source.to_string_lossy(), options)
    };
    ["resolv.conf", "hostname", "hosts"].map(file).to_vec()
}

fn devpts(facts: &Facts) -> Mount {
    let mut options = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    // devpts refuses a gid that the user namespace doesn't have: EINVAL.
    if !facts.rootless || user::has(&facts.gid_map, TTY_GID) {
        options.push("gid=5");
    }
    mount("/dev/pts", "devpts", "devpts", &options)
}

/// sysfs shows the network devices of the namespace that mounts it, so the kernel lets only the
/// owner of the network namespace mount it: EPERM in a user namespace that uses the host's.
/// There the host's `/sys` is bound, read-only.
fn binds_sys(host: &HostConfig, facts: &Facts) -> bool {
    facts.rootless && host.network_mode == NetworkMode::Host
}

fn sys(host: &HostConfig, facts: &Facts) -> Mount {
    if binds_sys(host, facts) {
        return mount("/sys", "bind", "/sys", &["rbind", "rprivate", "nosuid", "noexec", "nodev", "ro"]);
    }
    mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
}

fn mount(to: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(to.into())
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source.into()))
        .set_options(Some(options.iter().map(|&option| option.to_owned()).collect()));
    mount
}
