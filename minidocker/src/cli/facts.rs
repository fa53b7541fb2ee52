//! What a Spec needs to know of the machine and of the image's files, and the files beside it.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chroot::Root;
use sys::{Errno, SysError};

use super::launch::Base;
use crate::container::File;
use crate::runtime::Failure;
use crate::spec::{self, CgroupView, Facts, IdRange, NetworkMode, Request};
use crate::store::{Privilege, Store, id_maps};

/// Looks at the machine, the store and the image's files, for [`spec::build`].
pub(super) fn facts(store: &Store, base: &Base, layers: &[Root], request: &Request) -> anyhow::Result<Facts> {
    let rootless = store.privilege() == Privilege::Rootless;
    let world = cgroups::World::detect().context("cannot tell which cgroups this machine has")?;
    let (uid_map, gid_map, why_single) = if rootless {
        let maps = id_maps(store)?;
        (ranges(&maps.uid), ranges(&maps.gid), maps.why_single)
    } else {
        (Vec::new(), Vec::new(), None)
    };
    let host_hostname =
        nix::unistd::gethostname().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Facts {
        rootless,
        uid_map,
        gid_map,
        why_single,
        bundle: store.containers().join(&request.id),
        lowers: base.lowers.clone(),
        userxattr: rootless,
        volatile: request.host_config.auto_remove,
        cgroup_path: Some(PathBuf::from(&request.id)),
        cgroup_view: if world.kind() == cgroups::Kind::V2 {
            CgroupView::Unified
        } else {
            CgroupView::Nothing
        },
        can_list_devices: !rootless && world.v1("devices").is_some(),
        passwd: from_layers(layers, "/etc/passwd")?,
        group: from_layers(layers, "/etc/group")?,
        host_hostname,
        recursive_readonly: !request.host_config.binds.is_empty() && has_mount_setattr(),
        masked: security::masked_paths()?,
    })
}

fn ranges(map: &namespaces::idmap::IdMap) -> Vec<IdRange> {
    map.0.iter().map(|r| IdRange { inside: r.inside, outside: r.outside, count: r.count }).collect()
}

/// The text of a file of the image: that of the topmost layer that has it.
fn from_layers(layers: &[Root], path: &str) -> Result<Option<String>, Failure> {
    for layer in layers {
        match layer.read(Path::new(path)) {
            Ok(None) => {}
            // No regular file, a whiteout perhaps: this layer hides those below.
            Err(e) if e.errno() == Errno::EINVAL => return Ok(None),
            Ok(found) => return Ok(found),
            Err(e) => {
                let failure = Failure::of(format!("cannot read {path} of the image"), &e);
                return Err(match e.errno() {
                    Errno::ELOOP => failure.advise(
                        "a symbolic link there leads back to itself",
                        "put a plain file in its place, as images have it",
                    ),
                    _ => failure,
                });
            }
        }
    }
    Ok(None)
}

/// Asked with something that is no mount, so that nothing changes.
fn has_mount_setattr() -> bool {
    let none = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map(|(reading, _)| reading);
    none.is_ok_and(|none| {
        let tried = sys::mount_setattr(none.as_fd(), sys::MountAttrFlags::MOUNT_ATTR_RDONLY);
        tried.is_err_and(|e| e.errno() != Errno::ENOSYS)
    })
}

/// The files of the bundle besides its records.
pub(super) fn files(request: &Request, facts: &Facts, config: &str) -> anyhow::Result<Vec<File>> {
    let network = request.host_config.network_mode;
    let host = |path: &str| match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => {
            Err(SysError::of("read", format!("{path:?}"), e)).context("cannot copy a file of this machine")
        }
    };
    let hosts = if network == NetworkMode::Host { host("/etc/hosts")? } else { None };
    let hostname = spec::hostname(request, facts);
    Ok(vec![
        File { name: "config.json", text: config.to_owned() },
        File { name: "hostname", text: spec::etc::hostname(&hostname) },
        File { name: "hosts", text: spec::etc::hosts(network, hosts.as_deref()) },
        File {
            name: "resolv.conf",
            text: spec::etc::resolv_conf(network, host("/etc/resolv.conf")?.as_deref()),
        },
    ])
}
