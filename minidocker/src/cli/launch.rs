//! From what was typed to a container that can be started: what `run` and `create` do besides their flags.

use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;

use chroot::Root;
use sys::{Errno, SysError};

use super::facts;
use super::make::{self, Given, Make};
use crate::container::{self, Container, ContainerError, Contents, File, InitLayer, NewContainer};
use crate::image::{self, Image};
use crate::runtime::Failure;
use crate::spec::{self, Bind, ImageDefaults, Request, SpecError};
use crate::store::Store;

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
        image.notices.iter().for_each(|notice| super::tell(&format!("minidocker: {notice}\n")));
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
        let search = rustix::fs::access(dir, rustix::fs::Access::READ_OK | rustix::fs::Access::EXEC_OK);
        search.map_err(|e| unusable(dir, &SysError::of("access", format!("{dir:?}, R_OK|X_OK"), e)))?;
        if rustix::fs::statfs(dir).is_ok_and(|fs| KERNELS.contains(&fs.f_type)) {
            return Err(Failure::ours(format!("cannot use --rootfs {}", dir.display()))
                .advise("a file system that the kernel makes up can't be a layer of overlay", ROOTFS)
                .into());
        }
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
    // Before an image is made for nothing.
    let name = args.name.as_deref().filter(|name| !name.is_empty());
    let name = name.map(container::check_name).transpose()?.unwrap_or_default();
    outlive_full_files()?;
    let store = Store::open()?;
    let base = match (&args.rootfs, args.image()) {
        (Some(dir), _) => Base::of_rootfs(dir)?,
        (None, name) => Base::of_image(&store, image::resolve(&store, name.unwrap_or_default())?),
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
    request.name = name.to_owned();
    Ok((store, base, request))
}

/// Where `ulimit -f` is reached, write(2) is to say so (EFBIG), instead of a signal that ends us half-way.
fn outlive_full_files() -> Result<(), Failure> {
    sys::ignore_signal(sys::Signal::SIGXFSZ)
        .map_err(|e| Failure::of("cannot get ready for files that are full", &e))
}

/// Rows and columns of our terminal; zeros without one.
pub(super) fn console_size() -> [u16; 2] {
    rustix::termios::tcgetwinsize(rustix::stdio::stdout()).map_or([0, 0], |size| [size.ws_row, size.ws_col])
}

const ROOTFS: &str = "name a directory that holds a root file system, with the programs to run";

/// proc and sysfs (linux/magic.h).
const KERNELS: [rustix::fs::FsWord; 2] = [rustix::fs::PROC_SUPER_MAGIC, 0x6265_6572];

/// `--rootfs` names nothing that a container can be made of.
fn unusable(dir: &Path, call: &SysError) -> Failure {
    let failure = Failure::of(format!("cannot use --rootfs {}", dir.display()), call);
    let because = match call.errno() {
        Errno::ENOENT => "nothing is there, or a link leads into nothing",
        Errno::ENOTDIR => "a file is there, or above it",
        Errno::EACCES => "this user may not list it, or not search it or a directory above it",
        Errno::ELOOP => "a symbolic link leads back to itself",
        _ => return failure,
    };
    failure.advise(because, ROOTFS)
}

/// What the request can't become; for an id, why it isn't there.
fn unbuilt(error: SpecError) -> anyhow::Error {
    let SpecError::Unmapped { why_single, .. } = &error else { return error.into() };
    let because = match why_single {
        Some(why) => format!("only one id is mapped: {why}"),
        None => "the host has given this user no more subordinate ids".to_owned(),
    };
    Failure::ours(error.to_string())
        .advise(
            because,
            "take an id that is there, such as -u 0; more need lines in /etc/subuid and /etc/subgid (usermod --add-subuids, --add-subgids) and newuidmap",
        )
        .into()
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
    let layers = roots(&base.lowers)?;
    let init_layer = clear_of_the_store(store, &request, InitLayer::of(&layers).context(UNREAD)?)?;
    let files = files_of(store, base, &layers, &request, !init_layer.is_empty())?;
    let base = base.lowers.iter().chain(&base.config).cloned().collect();
    let contents = Contents { init_layer, files, base };
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

/// Derives config.json and the files of /etc once more, for another start of a container whose lock we
/// hold. The user is looked up in what the container itself made of passwd and group, as in Docker.
pub(super) fn renew(store: &Store, container: &Container, request: &Request) -> anyhow::Result<()> {
    outlive_full_files()?;
    let base = match &request.rootfs {
        Some(dir) => Base::of_rootfs(dir)?,
        None => Base::of_image(store, image::of_container(store, &request.image_id, &request.image)?),
    };
    let layers = roots([container.dir.join("upper")].iter().chain(&base.lowers))?;
    let has_init_layer = container.dir.join(container::INIT_LAYER).is_dir();
    Ok(container.write_files(&files_of(store, &base, &layers, request, has_init_layer)?)?)
}

/// What is told when the files of an image can't be looked at.
const UNREAD: &str = "cannot look at the files of the image";

fn roots<'p>(dirs: impl IntoIterator<Item = &'p PathBuf>) -> anyhow::Result<Vec<Root>> {
    let layers: Result<_, _> = dirs.into_iter().map(|dir| Root::open(dir)).collect();
    layers.context(UNREAD)
}

/// config.json, and what else of the bundle is derived from the request.
fn files_of(
    store: &Store,
    base: &Base,
    layers: &[Root],
    request: &Request,
    has_init_layer: bool,
) -> anyhow::Result<Vec<File>> {
    let mut facts = facts::facts(store, base, layers, request)?;
    if has_init_layer {
        facts.lowers.insert(0, facts.bundle.join(container::INIT_LAYER));
    }
    let spec = spec::build(&base.defaults, request, &facts).map_err(unbuilt)?;
    if !facts.recursive_readonly && Bind::all(&request.host_config.binds)?.iter().any(|bind| bind.read_only) {
        super::tell(
            "minidocker: what is mounted below a read-only volume stays writable: mount_setattr(2) is of Linux 5.12\n",
        );
    }
    facts::files(request, &facts, &serde_json::to_string(&spec)?)
}
