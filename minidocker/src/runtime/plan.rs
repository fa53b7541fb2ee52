//! From the OCI Spec to the list of steps. Everything is checked before anything is changed.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};

use chroot::Mount;
use namespaces::idmap::{How, IdMap, Range};
use sys::{CloneFlags, MsFlags};

use super::mounts::keeps_propagation;
use super::step::{Credentials, Rootfs, Step};
use super::{devices, unsupported};
use crate::spec::{INIT_ANNOTATION, OVERLAY_ANNOTATION, OverlayAnnotation};

/// A spec that no container can be made of.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A part that the runtime needs is missing.
    #[error("config.json has no {0}")]
    Missing(&'static str),
    /// A part for which the runtime has no step: a container without it would not be what was asked for.
    #[error("config.json: {0} is not supported")]
    Unsupported(String),
    /// A value that the runtime doesn't understand.
    #[error("config.json: {what} {value:?} is not understood")]
    Value {
        /// Which field.
        what: &'static str,
        /// What it holds.
        value: String,
    },
}

/// What is to be done, in order. No flag and no spec is looked at again.
#[must_use = "a plan does nothing until it is run"]
#[derive(Debug)]
pub struct Plan {
    /// The namespaces that clone3 makes (the cgroup namespace comes later, by unshare).
    pub namespaces: CloneFlags,
    /// The maps of the user namespace (users, groups), if there is one.
    pub id_maps: Option<(IdMap, IdMap)>,
    /// Who writes them: tried when the container is made.
    pub how: Option<How>,
    /// `linux.cgroupsPath`.
    pub cgroup: Option<PathBuf>,
    /// Device rules, where a list is to be set.
    pub device_rules: Vec<cgroups::DeviceRule>,
    /// No device that the rootfs or a bind brings along may be opened, where no list can be set.
    pub no_devices: bool,
    /// Where the rootfs is mounted.
    pub rootfs: PathBuf,
    /// Whether the program gets a terminal, and its size (rows, columns) where the caller knows it.
    pub terminal: Option<(u16, u16)>,
    /// What is executed: arguments and environment.
    pub args: Vec<String>,
    /// `NAME=value` each.
    pub env: Vec<String>,
    /// The child's steps.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Reads a spec; `bundle` is the directory that its relative paths start from.
    ///
    /// # Errors
    /// What the spec lacks or what isn't understood.
    pub fn new(spec: &Spec, bundle: &Path) -> Result<Self, PlanError> {
        let process = spec.process().as_ref().ok_or(PlanError::Missing("process"))?;
        let root = spec.root().as_ref().ok_or(PlanError::Missing("root"))?;
        let rootfs = bundle.join(root.path());
        let linux = spec.linux().as_ref().ok_or(PlanError::Missing("linux"))?;
        unsupported::refuse(spec)?;
        let wanted = namespaces_of(linux.namespaces().as_deref().unwrap_or_default());
        let id_maps = wanted
            .contains(CloneFlags::CLONE_NEWUSER)
            .then(|| (id_map(linux.uid_mappings().as_deref()), id_map(linux.gid_mappings().as_deref())));
        let terminal = process.terminal().unwrap_or(false).then(|| {
            let size = process.console_size();
            size.map_or((0, 0), |s| (s.height() as u16, s.width() as u16))
        });
        Ok(Self {
            namespaces: wanted - CloneFlags::CLONE_NEWCGROUP,
            id_maps,
            how: None,
            cgroup: linux.cgroups_path().clone(),
            device_rules: devices::rules(linux)?,
            no_devices: false,
            steps: steps(spec, process, &rootfs, wanted)?,
            rootfs,
            terminal,
            args: process
                .args()
                .clone()
                .filter(|a| !a.is_empty())
                .ok_or(PlanError::Missing("process.args"))?,
            env: process.env().clone().unwrap_or_default(),
        })
    }
}

impl Plan {
    /// Takes CAP_MKNOD out of the program's capabilities; false if it wasn't there.
    pub(super) fn forbid_mknod(&mut self) -> bool {
        const MKNOD: security::CapSet = security::CapSet::of(&[security::Capability::CAP_MKNOD]);
        let mut had = false;
        for step in &mut self.steps {
            if let Step::Credentials(credentials) = step {
                let sets = &mut credentials.capabilities;
                had = sets.bounding.contains(security::Capability::CAP_MKNOD);
                for set in [
                    &mut sets.bounding,
                    &mut sets.effective,
                    &mut sets.permitted,
                    &mut sets.inheritable,
                    &mut sets.ambient,
                ] {
                    *set = set.difference(MKNOD);
                }
            }
        }
        had
    }
}

fn steps(spec: &Spec, process: &Process, rootfs: &Path, wanted: CloneFlags) -> Result<Vec<Step>, PlanError> {
    let linux = spec.linux().as_ref().ok_or(PlanError::Missing("linux"))?;
    let user_namespace = wanted.contains(CloneFlags::CLONE_NEWUSER);
    let mut steps = vec![Step::JoinCgroup];
    if wanted.contains(CloneFlags::CLONE_NEWCGROUP) {
        steps.push(Step::CgroupNamespace);
    }
    steps.push(Step::Root);
    let mounts = spec.mounts().iter().flatten().map(mount_of).collect::<Result<Vec<_>, _>>()?;
    let kept = mounts.iter().filter(|mount| keeps_propagation(mount));
    let kept: Vec<PathBuf> = kept.filter_map(|mount| mount.source.clone()).collect();
    if !kept.is_empty() {
        steps.push(Step::Sources(kept));
    }
    steps.push(Step::PrivateMounts);
    if wanted.contains(CloneFlags::CLONE_NEWNET) {
        steps.push(Step::Loopback);
    }
    steps.push(Step::Rootfs(rootfs_of(spec, rootfs)?));
    for (mount, asked) in mounts.into_iter().zip(spec.mounts().iter().flatten()) {
        let to = mount.destination.clone();
        // A /dev that is bound has its devices, and they are not ours to change.
        let fresh_dev = to == Path::new("/dev") && !mount.flags.contains(MsFlags::MS_BIND);
        steps.push(Step::Mount(mount));
        if asked.options().iter().flatten().any(|option| option == "rro") {
            steps.push(Step::ReadonlyTree(to));
        }
        if fresh_dev {
            let how = if user_namespace { chroot::Nodes::Bind } else { chroot::Nodes::Make };
            steps.push(Step::Devices(devices::nodes(linux)?, how));
        }
    }
    steps.push(Step::Pivot);
    if process.terminal().unwrap_or(false) {
        steps.push(Step::Console);
    }
    steps.extend(spec.hostname().clone().map(Step::Hostname));
    let paths = |list: &Option<Vec<String>>| list.clone().unwrap_or_default().into_iter().map(PathBuf::from);
    steps.extend(paths(linux.masked_paths()).map(Step::Mask));
    steps.extend(paths(linux.readonly_paths()).map(Step::Readonly));
    // Behind those, or it would lie below a mask; before the rootfs is closed, for it may be missing.
    steps.push(Step::WorkingDir(process.cwd().clone()));
    if spec.root().as_ref().is_some_and(|r| r.readonly().unwrap_or(false)) {
        steps.push(Step::ReadonlyRoot);
    }
    steps.push(Step::Credentials(credentials(process)?));
    steps.extend([Step::DieWithParent, Step::ExecFifo]);
    if spec.annotations().as_ref().is_some_and(|a| a.get(INIT_ANNOTATION).is_some_and(|v| v == "true")) {
        steps.push(Step::Init);
    }
    steps.push(Step::Exec);
    Ok(steps)
}

fn namespaces_of(list: &[oci_spec::runtime::LinuxNamespace]) -> CloneFlags {
    list.iter().fold(CloneFlags::empty(), |flags, namespace| {
        flags
            | match namespace.typ() {
                LinuxNamespaceType::Mount => CloneFlags::CLONE_NEWNS,
                LinuxNamespaceType::Cgroup => CloneFlags::CLONE_NEWCGROUP,
                LinuxNamespaceType::Uts => CloneFlags::CLONE_NEWUTS,
                LinuxNamespaceType::Ipc => CloneFlags::CLONE_NEWIPC,
                LinuxNamespaceType::User => CloneFlags::CLONE_NEWUSER,
                LinuxNamespaceType::Pid => CloneFlags::CLONE_NEWPID,
                LinuxNamespaceType::Network => CloneFlags::CLONE_NEWNET,
                LinuxNamespaceType::Time => CloneFlags::CLONE_NEWTIME,
            }
    })
}

fn id_map(list: Option<&[oci_spec::runtime::LinuxIdMapping]>) -> IdMap {
    let range = |m: &oci_spec::runtime::LinuxIdMapping| Range {
        inside: m.container_id(),
        outside: m.host_id(),
        count: m.size(),
    };
    IdMap(list.unwrap_or_default().iter().map(range).collect())
}

fn rootfs_of(spec: &Spec, rootfs: &Path) -> Result<Rootfs, PlanError> {
    let annotation = spec.annotations().as_ref().and_then(|a| a.get(OVERLAY_ANNOTATION));
    let Some(text) = annotation else { return Ok(Rootfs::Bind(rootfs.to_owned())) };
    let overlay: OverlayAnnotation = serde_json::from_str(text)
        .map_err(|_| PlanError::Value { what: OVERLAY_ANNOTATION, value: text.clone() })?;
    Ok(Rootfs::Overlay(overlayfs::Overlay {
        lower: overlay.lower,
        upper: overlay.upper,
        work: overlay.work,
        userxattr: overlay.userxattr,
        volatile: overlay.volatile,
    }))
}

/// Splits the options of an OCI mount into the flags of mount(2) and the data for the file system.
fn mount_of(mount: &oci_spec::runtime::Mount) -> Result<Mount, PlanError> {
    let mut flags = MsFlags::empty();
    let mut propagation = MsFlags::empty();
    let mut data = Vec::new();
    for option in mount.options().iter().flatten() {
        match flag_of(option) {
            Some(OptionKind::Set(flag)) => flags |= flag,
            Some(OptionKind::Clear(flag)) => flags -= flag,
            Some(OptionKind::Propagation(flag)) => propagation |= flag,
            None => data.push(option.as_str()),
        }
    }
    if mount.typ().as_deref() == Some("bind") {
        flags |= MsFlags::MS_BIND;
    }
    if flags.contains(MsFlags::MS_BIND) && mount.source().is_none() {
        return Err(PlanError::Value {
            what: "bind mount without source at",
            value: mount.destination().display().to_string(),
        });
    }
    Ok(Mount {
        source: mount.source().clone(),
        destination: mount.destination().clone(),
        fstype: mount.typ().as_deref().filter(|typ| *typ != "bind").map(|typ| kernels_name(typ).to_owned()),
        flags,
        data: (!data.is_empty()).then(|| data.join(",")),
        propagation,
    })
}

/// OCI calls both worlds `cgroup`; to the kernel that is v1. A spec of ours has it on pure v2 alone.
fn kernels_name(typ: &str) -> &str {
    if typ == "cgroup" { "cgroup2" } else { typ }
}

enum OptionKind {
    Set(MsFlags),
    Clear(MsFlags),
    Propagation(MsFlags),
}

/// The options of mount(8) that are flags. Source: OCI runtime-spec, config.md, "Linux mount options".
fn flag_of(option: &str) -> Option<OptionKind> {
    use OptionKind::{Clear, Propagation, Set};
    Some(match option {
        "ro" => Set(MsFlags::MS_RDONLY),
        // With all that is mounted below, which is a step of its own.
        "rro" => Set(MsFlags::empty()),
        "rw" => Clear(MsFlags::MS_RDONLY),
        "nosuid" => Set(MsFlags::MS_NOSUID),
        "suid" => Clear(MsFlags::MS_NOSUID),
        "nodev" => Set(MsFlags::MS_NODEV),
        "dev" => Clear(MsFlags::MS_NODEV),
        "noexec" => Set(MsFlags::MS_NOEXEC),
        "exec" => Clear(MsFlags::MS_NOEXEC),
        "sync" => Set(MsFlags::MS_SYNCHRONOUS),
        "async" => Clear(MsFlags::MS_SYNCHRONOUS),
        "dirsync" => Set(MsFlags::MS_DIRSYNC),
        "mand" => Set(MsFlags::MS_MANDLOCK),
        "noatime" => Set(MsFlags::MS_NOATIME),
        "atime" => Clear(MsFlags::MS_NOATIME),
        "nodiratime" => Set(MsFlags::MS_NODIRATIME),
        "diratime" => Clear(MsFlags::MS_NODIRATIME),
        "relatime" => Set(MsFlags::MS_RELATIME),
        "norelatime" => Clear(MsFlags::MS_RELATIME),
        "strictatime" => Set(MsFlags::MS_STRICTATIME),
        "nostrictatime" => Clear(MsFlags::MS_STRICTATIME),
        "defaults" => Set(MsFlags::empty()),
        "bind" => Set(MsFlags::MS_BIND),
        "rbind" => Set(MsFlags::MS_BIND | MsFlags::MS_REC),
        // As every mount is since Step::PrivateMounts, and what is mounted below one that is private.
        "private" | "rprivate" => Set(MsFlags::empty()),
        "shared" => Propagation(MsFlags::MS_SHARED),
        "rshared" => Propagation(MsFlags::MS_SHARED | MsFlags::MS_REC),
        "slave" => Propagation(MsFlags::MS_SLAVE),
        "rslave" => Propagation(MsFlags::MS_SLAVE | MsFlags::MS_REC),
        "unbindable" => Propagation(MsFlags::MS_UNBINDABLE),
        "runbindable" => Propagation(MsFlags::MS_UNBINDABLE | MsFlags::MS_REC),
        _ => return None,
    })
}

fn credentials(process: &Process) -> Result<Credentials, PlanError> {
    let user = process.user();
    let sets = process.capabilities().as_ref();
    let set =
        |list: Option<&Option<oci_spec::runtime::Capabilities>>| -> Result<security::CapSet, PlanError> {
            let names = list.and_then(Option::as_ref).into_iter().flatten().map(ToString::to_string);
            security::CapSet::from_names(names)
                .map_err(|e| PlanError::Value { what: "capability", value: e.to_string() })
        };
    Ok(Credentials {
        identity: security::Identity {
            uid: sys::Uid::from_raw(user.uid()),
            gid: sys::Gid::from_raw(user.gid()),
            groups: user.additional_gids().iter().flatten().map(|g| sys::Gid::from_raw(*g)).collect(),
        },
        capabilities: security::CapPlan {
            bounding: set(sets.map(|s| s.bounding()))?,
            effective: set(sets.map(|s| s.effective()))?,
            permitted: set(sets.map(|s| s.permitted()))?,
            inheritable: set(sets.map(|s| s.inheritable()))?,
            ambient: set(sets.map(|s| s.ambient()))?,
        },
        no_new_privs: process.no_new_privileges().unwrap_or(false),
    })
}
