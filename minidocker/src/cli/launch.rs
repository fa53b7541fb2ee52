//! From what was typed to a container that can be started: what `run` and `create` do besides their flags.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;

use chroot::Root;
use sys::{Errno, SysError};

use super::make::{self, Given, Make};
use crate::container::{self, ContainerError, Contents, File, InitLayer, NewContainer};
use crate::image::{self, Image};
use crate::runtime::Failure;
use crate::spec::{self, Bind, CgroupView, Facts, IdRange, ImageDefaults, NetworkMode, Request};
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

/// What was asked for by the command `path`: the store, what the container is made from, its request.
pub(super) fn asked(args: &Make, path: &str) -> anyhow::Result<(Store, Base, Request)> {
    let store = Store::open()?;
    let base = match (&args.rootfs, args.image()) {
        (Some(dir), _) => Base::of_rootfs(dir)?,
        (None, name) => {
            let image = image::resolve(&store, name.unwrap_or_default())?;
            image.notices.iter().for_each(|notice| super::tell(&format!("minidocker: {notice}\n")));
            Base::of_image(&store, image)
        }
    };
    let mut request = make::request(
        args,
        Given {
            path,
            id: container::new_id()?,
            created: Timestamp::now(),
            image_id: base.image_id.clone(),
            rootfs: args.rootfs.as_ref().map(std::path::absolute).transpose()?,
            env: &|name| std::env::var(name).ok(),
            console_size: console_size(),
            here: std::env::current_dir().ok(),
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
        },
    )?;
    if !request.name.is_empty() {
        request.name = container::check_name(&request.name)?.to_owned();
    }
    Ok((store, base, request))
}

/// Rows and columns of our terminal; zeros without one.
pub(super) fn console_size() -> [u16; 2] {
    rustix::termios::tcgetwinsize(rustix::stdio::stdout()).map_or([0, 0], |size| [size.ws_row, size.ws_col])
}

/// What `-v` names and the host lacks becomes a directory, at each start as in Docker.
pub(super) fn make_sources(store: &Store, request: &Request) -> anyhow::Result<()> {
    let rootless = store.privilege() == Privilege::Rootless;
    for bind in Bind::all(&request.host_config.binds)? {
        let is_private = bind.is_private();
        let Bind { source, propagation, .. } = bind;
        if !source.exists() {
            let failed = || format!("error while creating mount source path '{}'", source.display());
            std::fs::create_dir_all(&source).with_context(failed)?;
        }
        if !is_private {
            check_propagation(&source, &propagation, rootless)?;
        }
    }
    Ok(())
}

/// Docker's `ensureShared` and `ensureSharedOrSlave` (moby `daemon/oci_linux.go`).
fn check_propagation(source: &Path, wanted: &str, rootless: bool) -> anyhow::Result<()> {
    let shared = wanted.ends_with("shared");
    let shown = source.display();
    if shared && rootless {
        anyhow::bail!(
            "path {shown} can't be {wanted}: mounts in a user namespace are slaves of the host's (mount_namespaces(7))"
        );
    }
    let real = source.canonicalize().with_context(|| format!("find {shown}"))?;
    let table = std::fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
    // proc(5): id, parent, device, root, where, options, then the optional fields up to a dash.
    let place = |line: &'_ str| PathBuf::from(line.split(' ').nth(4).unwrap_or("/").replace("\\040", " "));
    let above = table.lines().filter(|line| real.starts_with(place(line)));
    // Of several on one place the last one is on top.
    let Some(mount) = above.max_by_key(|line| place(line).components().count()) else { return Ok(()) };
    let fields = mount.split(" - ").next().unwrap_or_default();
    if fields.contains(" shared:") || (!shared && fields.contains(" master:")) {
        return Ok(());
    }
    let kind = if shared { "shared" } else { "shared or slave" };
    anyhow::bail!("path {shown} is mounted on {} but it is not a {kind} mount", place(mount).display())
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
    if !facts.recursive_readonly && Bind::all(&request.host_config.binds)?.iter().any(|bind| bind.read_only) {
        super::tell(
            "minidocker: what is mounted below a read-only volume stays writable: mount_setattr(2) is of Linux 5.12\n",
        );
    }
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
        recursive_readonly: !request.host_config.binds.is_empty() && has_mount_setattr(),
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

/// Asked with something that is no mount, so that nothing changes.
fn has_mount_setattr() -> bool {
    let none = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map(|(reading, _)| reading);
    none.is_ok_and(|none| {
        sys::mount_setattr_readonly(none.as_fd()).is_err_and(|e| e.errno() != sys::Errno::ENOSYS)
    })
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
