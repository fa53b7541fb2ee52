//! Mounts, namespaces, capabilities, devices and masked paths.

use super::*;

#[test]
fn a_container_has_dockers_mounts_in_dockers_order() {
    let spec = built(|_| {});
    let mounts = spec.mounts().clone().unwrap();
    let to: Vec<_> = mounts.iter().map(|mount| mount.destination().to_str().unwrap()).collect();
    assert_eq!(
        to,
        [
            "/proc",
            "/dev",
            "/dev/pts",
            "/sys",
            "/dev/mqueue",
            "/dev/shm",
            "/etc/resolv.conf",
            "/etc/hostname",
            "/etc/hosts"
        ]
    );
    assert_eq!(options(&spec, "/dev"), ["nosuid", "strictatime", "mode=755", "size=65536k"]);
    assert_eq!(options(&spec, "/dev/shm").last().unwrap(), "size=67108864");
    let hosts = mounts.last().unwrap();
    assert_eq!(hosts.source().as_ref().unwrap().to_str(), Some("/store/containers/abc/hosts"));
    assert_eq!(hosts.typ().as_deref(), Some("bind"));
}

#[test]
fn a_v2_host_shows_its_cgroup_read_only() {
    let unified = Facts { cgroup_view: CgroupView::Unified, ..facts() };
    assert_eq!(options(&with(&unified, |_| {}), "/sys/fs/cgroup"), ["ro", "nosuid", "noexec", "nodev"]);
}

#[test]
fn terminals_belong_to_group_tty_where_that_group_is_mapped() {
    let last = |facts: &Facts| options(&with(facts, |_| {}), "/dev/pts").pop().unwrap();
    assert_eq!(last(&facts()), "gid=5");
    assert_eq!(last(&rootless(&[1, 65536])), "gid=5");
    assert_eq!(last(&rootless(&[1])), "mode=0620");
}

#[test]
fn sysfs_is_bound_where_the_network_namespace_is_not_ours() {
    for (facts, network, kind) in [
        (facts(), NetworkMode::Host, "sysfs"),
        (rootless(&[1]), NetworkMode::None, "sysfs"),
        (rootless(&[1]), NetworkMode::Host, "bind"),
    ] {
        let spec = with(&facts, |request| request.host_config.network_mode = network);
        let mounts = spec.mounts().clone().unwrap();
        let sys = mounts.iter().find(|mount| mount.destination().to_str() == Some("/sys")).unwrap();
        assert_eq!(sys.typ().as_deref(), Some(kind));
        assert!(sys.options().as_ref().unwrap().contains(&"ro".to_owned()));
    }
}

#[test]
fn the_hosts_cgroups_do_not_come_along_with_its_sys() {
    let host = |facts: &Facts| with(facts, |request| request.host_config.network_mode = NetworkMode::Host);
    let kind = |facts: &Facts| {
        let mounts = host(facts).mounts().clone().unwrap();
        let cgroup = mounts.iter().find(|mount| mount.destination().to_str() == Some("/sys/fs/cgroup"));
        cgroup.map(|mount| mount.typ().clone().unwrap())
    };
    let unified = Facts { cgroup_view: CgroupView::Unified, ..rootless(&[1]) };
    assert_eq!(kind(&rootless(&[1])).as_deref(), Some("tmpfs"));
    assert_eq!(kind(&unified).as_deref(), Some("cgroup"));
    assert_eq!(kind(&facts()), None);
    assert!(options(&host(&rootless(&[1])), "/sys/fs/cgroup").contains(&"ro".to_owned()));
}

#[test]
fn namespaces_follow_the_network_and_the_user() {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    assert_eq!(namespaces(&built(|_| {})), [Mount, Uts, Pid, Ipc, Cgroup, Network]);
    let host = built(|request| request.host_config.network_mode = NetworkMode::Host);
    assert_eq!(namespaces(&host), [Mount, Uts, Pid, Ipc, Cgroup]);
    let spec = with(&rootless(&[1, 65536]), |_| {});
    assert_eq!(namespaces(&spec), [Mount, Uts, Pid, Ipc, Cgroup, Network, User]);
    let linux = spec.linux().clone().unwrap();
    let map = linux.uid_mappings().as_ref().unwrap()[1];
    assert_eq!((map.container_id(), map.host_id(), map.size()), (1, 100_001, 65536));
    assert!(built(|_| {}).linux().as_ref().unwrap().uid_mappings().is_none());
}

#[test]
fn capabilities_are_dockers_fourteen_and_only_roots_are_in_effect() {
    let sets = |facts: &Facts, user: &str| {
        let spec = with(facts, |request| request.config.user = user.to_owned());
        spec.process().clone().unwrap().capabilities().clone().unwrap()
    };
    let count = |set: &Option<std::collections::HashSet<_>>| set.as_ref().unwrap().len();
    let root = sets(&facts(), "");
    assert_eq!((count(root.bounding()), count(root.effective()), count(root.permitted())), (14, 14, 14));
    assert_eq!((count(root.inheritable()), count(root.ambient())), (0, 0));
    let user = sets(&facts(), "web");
    assert_eq!((count(user.bounding()), count(user.effective()), count(user.permitted())), (14, 0, 0));
    // Whether CAP_MKNOD must go is tried when the container is made.
    let no_list = Facts { can_list_devices: false, ..facts() };
    assert_eq!(sets(&no_list, ""), root);
}

#[test]
fn the_device_list_begins_by_denying_all() {
    let spec = built(|_| {});
    let resources = spec.linux().clone().unwrap().resources().clone().unwrap();
    let list = resources.devices().clone().unwrap();
    assert!(!list[0].allow() && list[0].major().is_none() && list[0].access().as_deref() == Some("rwm"));
    assert!(list[1..].iter().all(oci_spec::runtime::LinuxDeviceCgroup::allow));
    let unlisted = Facts { can_list_devices: false, ..facts() };
    assert!(with(&unlisted, |_| {}).linux().as_ref().unwrap().resources().is_none());
    assert!(with(&rootless(&[1]), |_| {}).linux().as_ref().unwrap().resources().is_none());
}

#[test]
fn paths_are_masked_whatever_the_facts_say() {
    let throttle = "/sys/devices/system/cpu/cpu0/thermal_throttle";
    let told = Facts { masked: vec!["/proc/kcore".into(), throttle.into()], ..facts() };
    let linux = with(&told, |_| {}).linux().clone().unwrap();
    let masked = linux.masked_paths().clone().unwrap();
    assert_eq!(masked.len(), MASKED_PATHS.len() + 1);
    assert_eq!(masked.last().unwrap(), throttle);
    assert_eq!(linux.readonly_paths().as_ref().unwrap().len(), READONLY_PATHS.len());
}

#[test]
fn what_docker_does_not_set_is_not_set() {
    let spec = built(|request| request.config.tty = true);
    let process = spec.process().clone().unwrap();
    assert_eq!(process.no_new_privileges(), Some(false));
    assert!(
        process.rlimits().is_none() && process.oom_score_adj().is_none() && process.console_size().is_none()
    );
    assert_eq!(process.terminal(), Some(true));
    assert!(spec.domainname().is_none() && spec.hooks().is_none());
    assert!(spec.linux().as_ref().unwrap().seccomp().is_none());
    let sized = built(|request| {
        request.config.tty = true;
        request.host_config.console_size = [24, 80];
    });
    let size = sized.process().as_ref().unwrap().console_size().unwrap();
    assert_eq!((size.height(), size.width()), (24, 80));
}
