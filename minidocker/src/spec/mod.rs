//! From what was asked to an OCI runtime Spec: pure functions, without a system call.
//!
//! [`build`] knows Docker's rules (which flag beats which field of the image, which mounts,
//! capabilities and masked paths a container has) and nothing of how a container is made.
//! What it has to know about the machine and the image's files it is told in [`Facts`].
//! The values are those of Docker 28 (moby `daemon/pkg/oci/defaults.go`).

mod bind;
mod command;
pub mod etc;
mod image;
mod linux;
mod mounts;
mod overlay;
mod request;
pub mod rfc3339;
mod tmpfs;
mod user;

use std::collections::HashMap;
use std::path::PathBuf;

use oci_spec::runtime::{Linux, Process, Root, Spec};

pub use bind::Bind;
pub use command::{PATH, clean, hostname, merged};
pub use image::ImageDefaults;
pub use overlay::{OVERLAY_ANNOTATION, OverlayAnnotation, check_version};
pub use request::{Config, Empty, HostConfig, NetworkMode, Request, SHM_SIZE, SHORT_ID, VERSION};
pub use security::{MASKED_PATHS, READONLY_PATHS};
pub use user::{ContainerUser, find as find_user};

/// The version of the OCI runtime specification that config.json follows.
pub const OCI_VERSION: &str = "1.2.0";

/// The annotation `true`: the payload is the child of an init of ours (`--init`). OCI has no word for it:
/// Docker mounts a binary and puts it before the arguments.
pub const INIT_ANNOTATION: &str = "minidocker.init";

/// A line of an id map: `count` ids from `inside` on are `outside` and the following on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// First id in the user namespace.
    pub inside: u32,
    /// First id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// How the cgroup hierarchies of this machine may be shown in a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupView {
    /// Nothing at `/sys/fs/cgroup`: v1 and hybrid hosts. Docker mounts each v1 hierarchy there;
    /// a container of ours sees an empty directory until the limits of chapter 3 are built.
    #[default]
    Nothing,
    /// A pure v2 host: cgroup2, read-only, rooted in the container's cgroup namespace.
    Unified,
}

/// What [`build`] must know and can't see: the machine, the store, the image's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The container gets a user namespace of its own.
    pub rootless: bool,
    /// Its uid map; empty without one.
    pub uid_map: Vec<IdRange>,
    /// Its gid map; empty without one.
    pub gid_map: Vec<IdRange>,
    /// Why these hold one id only.
    pub why_single: Option<String>,
    /// `containers/<id>`, absolute.
    pub bundle: PathBuf,
    /// Read-only directories of the overlay, topmost first, absolute.
    pub lowers: Vec<PathBuf>,
    /// overlay's `userxattr`: needed in a user namespace.
    pub userxattr: bool,
    /// overlay's `volatile`: nothing in upper has to outlive the machine.
    pub volatile: bool,
    /// `linux.cgroupsPath`; `None`: the container stays in our cgroup.
    pub cgroup_path: Option<PathBuf>,
    /// What to mount at `/sys/fs/cgroup`.
    pub cgroup_view: CgroupView,
    /// A device list can be set, as far as the hierarchies tell; the runtime tries.
    pub can_list_devices: bool,
    /// Text of the image's `/etc/passwd`.
    pub passwd: Option<String>,
    /// Text of the image's `/etc/group`.
    pub group: Option<String>,
    /// Host name of this machine: that of a container with `--network host`.
    pub host_hostname: String,
    /// mount_setattr(2) is there: a bind can be read-only with all that is mounted below it.
    pub recursive_readonly: bool,
    /// `security::masked_paths()`: [`MASKED_PATHS`], which are always masked, and those that
    /// depend on the machine.
    pub masked: Vec<PathBuf>,
}

/// Why a request can't become a Spec. The texts are Docker's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpecError {
    /// Neither the user nor the image names a program.
    #[error("no command specified")]
    NoCommand,
    /// A name in `-u`, or in the image's `USER`, that passwd lacks.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    /// A group name after the colon that group lacks.
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    /// An id that is no positive 32 bit number.
    #[error("uids and gids must be in range 0-2147483647")]
    IdRange,
    /// An id that the user namespace doesn't have: setresuid(2) would give EINVAL.
    #[error("{kind} {id} has no place in the container's id map ({map})")]
    Unmapped {
        /// `uid` or `gid`.
        kind: &'static str,
        /// The id inside.
        id: u32,
        /// The ids that are there.
        map: String,
        /// Why there is no more than one.
        why_single: Option<String>,
    },
    /// A relative working directory.
    #[error("the working directory '{0}' is invalid, it needs to be an absolute path")]
    WorkingDir(String),
    /// `-v` that has no meaning; the second part says why, and may be empty.
    #[error("invalid volume specification: '{0}'{1}")]
    VolumeSpec(String, String),
    /// Options of `-v` that there aren't, or that exclude each other.
    #[error("invalid mode: {0}")]
    VolumeMode(String),
    /// A mount on a relative path.
    #[error("invalid mount path: '{0}' mount path must be absolute")]
    TargetNotAbsolute(String),
    /// A mount on `/`.
    #[error("invalid specification: destination can't be '/'")]
    TargetIsRoot,
    /// Two mounts of the user on one path.
    #[error("Duplicate mount point: {}", .0.display())]
    DuplicateMount(PathBuf),
    /// An option of `--tmpfs` that there isn't, in two at its `=`; shown as Go shows a list of words.
    #[error("invalid tmpfs option [{}]", .0.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" "))]
    TmpfsOption(Vec<String>),
    /// A mount over a part of /proc.
    #[error("{:?} cannot be mounted because it is inside /proc", .0)]
    InsideProc(PathBuf),
    /// The overlay's description can't be written as JSON: a path isn't UTF-8.
    #[error("a path of the overlay is not UTF-8: {0}")]
    Overlay(String),
}

/// Makes the OCI Spec of a container: config.json of its bundle.
///
/// # Errors
/// See [`SpecError`]; nothing was changed.
pub fn build(image: &ImageDefaults, request: &Request, facts: &Facts) -> Result<Spec, SpecError> {
    let config = merged(image, &request.config);
    let hostname = hostname(request, facts);
    let user = user::mapped(find_user(&config.user, facts)?, facts)?;

    let mut process = Process::default();
    process
        .set_terminal(Some(config.tty))
        .set_console_size(command::console_size(&config, &request.host_config))
        .set_args(Some(command::args(&config)?))
        .set_env(Some(command::env(&config, &hostname, &user.home)))
        .set_cwd(command::cwd(&config)?)
        .set_user(user.oci())
        .set_capabilities(Some(linux::capabilities(&user)))
        .set_no_new_privileges(Some(false))
        .set_rlimits(None);

    let mut root = Root::default();
    root.set_path(facts.bundle.join("rootfs")).set_readonly(Some(request.host_config.readonly_rootfs));

    let mut annotations = HashMap::from([(OVERLAY_ANNOTATION.to_owned(), overlay::annotation(facts)?)]);
    if request.host_config.init == Some(true) {
        annotations.insert(INIT_ANNOTATION.to_owned(), true.to_string());
    }
    let mut spec = Spec::default();
    spec.set_version(OCI_VERSION.to_owned())
        .set_root(Some(root))
        .set_process(Some(process))
        .set_hostname(Some(hostname))
        .set_domainname(Some(config.domainname).filter(|name| !name.is_empty()))
        .set_mounts(Some(mounts::all(&request.host_config, facts)?))
        .set_annotations(Some(annotations))
        .set_linux(Some(linux::linux(&request.host_config, facts)));
    Ok(spec)
}

/// Sets what the Spec's own default would fill with values that aren't Docker's.
fn bare_linux() -> Linux {
    let mut linux = Linux::default();
    linux.set_resources(None);
    linux
}

#[cfg(test)]
mod tests;
