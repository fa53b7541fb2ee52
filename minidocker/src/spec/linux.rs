//! `linux` of the Spec and the capabilities: Docker's default confinement.

use std::collections::HashSet;

use oci_spec::runtime::{
    Capability, Linux, LinuxCapabilities, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, LinuxIdMapping,
    LinuxIdMappingBuilder, LinuxNamespace, LinuxNamespaceType, LinuxResources,
};

use cgroups::{DOCKER_DEVICES, DeviceKind, DeviceRule};
use security::{DOCKER_DEFAULT, MASKED_PATHS, READONLY_PATHS};

use super::{ContainerUser, Facts, HostConfig, IdRange, NetworkMode};

/// What an account that isn't root holds: the bounding set alone, as after execve(2).
/// Where no device list can be set, the runtime takes CAP_MKNOD away: it knows, for it tried.
pub(super) fn capabilities(user: &ContainerUser) -> LinuxCapabilities {
    let short = |name: &String| name.strip_prefix("CAP_")?.parse().ok();
    let set: HashSet<Capability> = DOCKER_DEFAULT.names().iter().filter_map(short).collect();
    let held = if user.uid == 0 { set.clone() } else { HashSet::new() };
    let mut all = LinuxCapabilities::default();
    all.set_bounding(Some(set))
        .set_effective(Some(held.clone()))
        .set_permitted(Some(held))
        // CVE-2022-24769: inheritable ones would come back through a file's capabilities.
        .set_inheritable(Some(HashSet::new()))
        .set_ambient(Some(HashSet::new()));
    all
}

pub(super) fn linux(host: &HostConfig, facts: &Facts) -> Linux {
    let mut masked = MASKED_PATHS.map(str::to_owned).to_vec();
    let of_machine = facts.masked.iter().map(|path| path.to_string_lossy().into_owned());
    masked.extend(of_machine.filter(|path| !MASKED_PATHS.contains(&path.as_str())));
    let mut linux = super::bare_linux();
    linux
        .set_namespaces(Some(namespaces(host, facts)))
        .set_cgroups_path(facts.cgroup_path.clone())
        .set_devices(Some(chroot::default_devices().into_iter().map(node).collect()))
        .set_masked_paths(Some(masked))
        .set_readonly_paths(Some(READONLY_PATHS.map(str::to_owned).to_vec()));
    if facts.rootless {
        linux
            .set_uid_mappings(Some(facts.uid_map.iter().filter_map(mapping).collect()))
            .set_gid_mappings(Some(facts.gid_map.iter().filter_map(mapping).collect()));
    }
    if facts.can_list_devices && !facts.rootless {
        let mut resources = LinuxResources::default();
        resources.set_devices(Some(device_list()));
        linux.set_resources(Some(resources));
    }
    linux
}

fn namespaces(host: &HostConfig, facts: &Facts) -> Vec<LinuxNamespace> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    let mut types = vec![Mount, Uts, Pid, Ipc, Cgroup];
    if host.network_mode != NetworkMode::Host {
        types.push(Network);
    }
    if facts.rootless {
        types.push(User);
    }
    types
        .into_iter()
        .map(|typ| {
            let mut namespace = LinuxNamespace::default();
            namespace.set_typ(typ);
            namespace
        })
        .collect()
}

/// `None` never comes: the builder has a default for each field.
fn mapping(range: &IdRange) -> Option<LinuxIdMapping> {
    LinuxIdMappingBuilder::default()
        .container_id(range.inside)
        .host_id(range.outside)
        .size(range.count)
        .build()
        .ok()
}

/// A node that each container has: a character device of chapter 1's list.
fn node(of: chroot::Device) -> LinuxDevice {
    let mut device = LinuxDevice::default();
    device
        .set_path(of.path)
        .set_typ(LinuxDeviceType::C)
        .set_major(of.number.0.into())
        .set_minor(of.number.1.into())
        .set_file_mode(Some(of.mode))
        .set_uid(Some(of.owner.0))
        .set_gid(Some(of.owner.1));
    device
}

/// Docker's device list as runc completes it: nothing, but what chapter 3 lists.
fn device_list() -> Vec<LinuxDeviceCgroup> {
    let nothing = rule(false, LinuxDeviceType::A, None, None, "rwm");
    std::iter::once(nothing).chain(DOCKER_DEVICES.iter().map(allowed)).collect()
}

fn allowed(of: &DeviceRule) -> LinuxDeviceCgroup {
    let typ = match of.kind {
        DeviceKind::Any => LinuxDeviceType::A,
        DeviceKind::Block => LinuxDeviceType::B,
        DeviceKind::Char => LinuxDeviceType::C,
    };
    rule(true, typ, of.major.map(i64::from), of.minor.map(i64::from), &of.access.to_string())
}

fn rule(
    allow: bool,
    typ: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow)
        .set_typ(Some(typ))
        .set_major(major)
        .set_minor(minor)
        .set_access(Some(access.to_owned()));
    rule
}
