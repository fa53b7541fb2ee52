//! From a request to a running container: what `run` does besides its flags.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chroot::Root;
use sys::{Errno, SysError};

use crate::container::{self, ContainerError, Contents, File, InitLayer, NewContainer};
use crate::image::{self, Image};
use crate::runtime::Failure;
use crate::spec::{self, CgroupView, Facts, IdRange, ImageDefaults, NetworkMode, Request};
use crate::store::{Privilege, Store, id_maps};

/// What a container is made from: an image, or the directory of `--rootfs`.
pub(super) struct Base {
    pub(super) defaults: ImageDefaults,
    /// Digest of the image's configuration; empty for a directory.
    pub(super) image_id: String,
    /// Topmost first, absolute.
    pub(super) lowers: Vec<PathBuf>,
    /// The file of the image's configuration.
    config: Option<PathBuf>,
}

impl Base {
    pub(super) fn of_image(store: &Store, image: Image) -> Self {
        Self {
            config: Some(image::config_path(store, &image.id)),
            defaults: ImageDefaults::from(&image.config.config),
            image_id: image.id.to_string(),
            lowers: image.lowers,
        }
    }

    /// `--rootfs`: checked here, because overlay would say no more than ENOENT or EACCES.
    pub(super) fn of_rootfs(dir: &Path) -> anyhow::Result<Self> {
        let shown = format!("AT_FDCWD, {dir:?}, O_RDONLY|O_DIRECTORY|O_CLOEXEC");
        std::fs::read_dir(dir).map_err(|e| unusable(dir, &SysError::of("openat", shown, e)))?;
        let absolute = std::path::absolute(dir);
        let absolute = absolute.map_err(|e| unusable(dir, &SysError::of("getcwd", String::new(), e)))?;
        Ok(Self {
            defaults: ImageDefaults::default(),
            image_id: String::new(),
            lowers: vec![absolute],
            config: None,
        })
    }
}

/// `--rootfs` names nothing that a container can be made of.
fn unusable(dir: &Path, call: &SysError) -> Failure {
    let failure = Failure::of(format!("cannot use --rootfs {}", dir.display()), call);
    let because = match call.errno() {
        Errno::ENOENT => "nothing is there, or a link leads into nothing",
        Errno::ENOTDIR => "a file is there, or above it",
        Errno::EACCES => "this user may not list it, or not search a directory above it",
        Errno::ELOOP => "a symbolic link leads back to itself",
        _ => return failure,
    };
    failure.advise(because, "name a directory that holds a root file system, with the programs to run")
}

/// Overlay can't stack the init layer, which lies in the store, on a directory that the store lies in.
/// Where all mount points are there, it can be done without.
fn clear_of_the_store(store: &Store, request: &Request, layer: InitLayer) -> Result<InitLayer, Failure> {
    let Some(dir) = request.rootfs.as_ref().filter(|_| !layer.is_empty()) else { return Ok(layer) };
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if !real(&store.containers()).starts_with(real(dir)) {
        return Ok(layer);
    }
    if layer.missing().is_empty() {
        return Ok(InitLayer::default());
    }
    let message =
        format!("cannot use --rootfs {}: the store {} lies in it", dir.display(), store.root().display());
    Err(Failure::ours(message).advise(
        format!(
            "what it lacks for mounts ({}) would be made in the store, and overlay stacks no directory on one that it lies in",
            layer.missing().join(", ")
        ),
        "make these in the directory, or set MINIDOCKER_ROOT to a place outside of it",
    ))
}

/// Makes the container of `request`. A name held by a container that a dead supervisor left is
/// cleared first.
pub(super) fn create(store: &Store, base: &Base, request: Request) -> anyhow::Result<NewContainer> {
    let layers = base.lowers.iter().map(|lower| Root::open(lower)).collect::<Result<Vec<_>, _>>()?;
    let init_layer = clear_of_the_store(store, &request, InitLayer::of(&layers)?)?;
    let mut facts = facts(store, base, &layers, &request)?;
    if !init_layer.is_empty() {
        facts.lowers.insert(0, facts.bundle.join(container::INIT_LAYER));
    }
    let spec = spec::build(&base.defaults, &request, &facts)?;
    let contents = Contents {
        init_layer,
        files: files(&request, &facts, &serde_json::to_string(&spec)?)?,
        base: base.lowers.iter().chain(&base.config).cloned().collect(),
    };
    match container::create(store, request.clone(), &contents) {
        Err(ContainerError::NameTaken { holder, .. }) => {
            // Gone by now: then the name is free.
            if let Ok(dead) = container::find(store, &holder) {
                container::recover(store, &dead)?;
            }
            Ok(container::create(store, request, &contents)?)
        }
        other => Ok(other?),
    }
}

fn facts(store: &Store, base: &Base, layers: &[Root], request: &Request) -> anyhow::Result<Facts> {
    let rootless = store.privilege() == Privilege::Rootless;
    let world = cgroups::World::detect()?;
    let (uid_map, gid_map) = if rootless {
        let maps = id_maps(store)?;
        (ranges(&maps.uid), ranges(&maps.gid))
    } else {
        (Vec::new(), Vec::new())
    };
    let host_hostname =
        nix::unistd::gethostname().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Facts {
        rootless,
        uid_map,
        gid_map,
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
        masked: thermal_throttle(),
    })
}

fn ranges(map: &namespaces::idmap::IdMap) -> Vec<IdRange> {
    map.0.iter().map(|r| IdRange { inside: r.inside, outside: r.outside, count: r.count }).collect()
}

/// The text of a file of the image: that of the topmost layer that has it.
fn from_layers(layers: &[Root], path: &str) -> Result<Option<String>, SysError> {
    for layer in layers {
        match layer.read(Path::new(path)) {
            Ok(None) => {}
            // No regular file, a whiteout perhaps: this layer hides those below.
            Err(e) if e.errno() == Errno::EINVAL => return Ok(None),
            found => return found,
        }
    }
    Ok(None)
}

/// Docker masks these since GHSA-6fw5-f8r9-fgfm; virtual machines have none.
fn thermal_throttle() -> Vec<PathBuf> {
    let of_cpu = |n: usize| PathBuf::from(format!("/sys/devices/system/cpu/cpu{n}/thermal_throttle"));
    (0..).map(of_cpu).take_while(|path| path.exists()).collect()
}

/// The files of the bundle besides its records.
fn files(request: &Request, facts: &Facts, config: &str) -> anyhow::Result<Vec<File>> {
    let network = request.host_config.network_mode;
    let host = |path: &str| match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(SysError::of("read", format!("{path:?}"), e)),
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
