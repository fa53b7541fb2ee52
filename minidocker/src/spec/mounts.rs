//! `mounts` of the Spec: Docker's, in Docker's order (each is mounted over the one before).

use oci_spec::runtime::Mount;

use super::{CgroupView, Facts, HostConfig, NetworkMode, user};

/// The group `tty` of every distribution: owner of terminals (devpts(5)).
const TTY_GID: u32 = 5;

pub(super) fn all(host: &HostConfig, facts: &Facts) -> Vec<Mount> {
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
    for file in ["resolv.conf", "hostname", "hosts"] {
        let source = facts.bundle.join(file);
        mounts.push(mount(
            &format!("/etc/{file}"),
            "bind",
            &source.to_string_lossy(),
            &["rbind", "rprivate"],
        ));
    }
    mounts
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
