//! The steps from a bundle to a process, each one change of the kernel's state.

use std::path::PathBuf;

use chroot::Mount;
use overlayfs::Overlay;

/// Lists the kinds of steps once: the enum, the list of all, the names and the sections of the
/// book. A step of a kind that isn't here doesn't compile, so no step escapes the fault tests.
macro_rules! kinds {
    ($( $(#[$doc:meta])* $kind:ident = $name:literal in $section:literal, )*) => {
        /// The kinds of steps, in the order in which they are run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum StepKind { $( $(#[$doc])* $kind, )* }

        impl StepKind {
            /// All of them, in the order in which they are run.
            pub const ALL: &[StepKind] = &[ $( Self::$kind, )* ];

            /// The word for it in messages, events and tests.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $( Self::$kind => $name, )* }
            }

            /// The chapter that explains it.
            #[must_use]
            pub fn section(self) -> &'static str {
                match self { $( Self::$kind => $section, )* }
            }
        }
    };
}

kinds! {
    /// Supervisor: makes the container's cgroup and its device list.
    Cgroup = "cgroup" in "03-cgroups",
    /// Supervisor: clone3 with the namespaces.
    Clone = "clone" in "02-namespaces",
    /// Supervisor: writes the maps of the user namespace.
    IdMaps = "id-maps" in "02-namespaces",
    /// Child from here on: joins the cgroups that clone3 can't place it in.
    JoinCgroup = "join-cgroup" in "03-cgroups",
    /// A cgroup namespace, rooted where the child now is.
    CgroupNamespace = "cgroup-namespace" in "02-namespaces",
    /// Becomes root of its user namespace, leads a session, and has a session keyring of its own.
    Root = "root" in "02-namespaces",
    /// Takes hold of the sources whose mounts stay in step with the host's.
    Sources = "sources" in "02-namespaces",
    /// No mount of ours reaches the host, none of the host's reaches us.
    PrivateMounts = "private-mounts" in "02-namespaces",
    /// Brings the loopback interface up.
    Loopback = "loopback" in "02-namespaces",
    /// Mounts the rootfs: overlay, or a bind of a directory.
    Rootfs = "rootfs" in "04-overlayfs",
    /// One mount below the rootfs.
    Mount = "mount" in "01-chroot",
    /// Makes one bind mount, and what is mounted below it, read-only.
    ReadonlyTree = "readonly-tree" in "01-chroot",
    /// Device nodes and links in /dev.
    Devices = "devices" in "01-chroot",
    /// The rootfs becomes `/`, and the old root is gone.
    Pivot = "pivot-root" in "01-chroot",
    /// The terminal, from the container's own devpts.
    Console = "console" in "01-chroot",
    /// The host name.
    Hostname = "hostname" in "02-namespaces",
    /// Hides one path.
    Mask = "mask" in "07-security",
    /// Makes one path read-only.
    Readonly = "readonly" in "07-security",
    /// The working directory.
    WorkingDir = "working-dir" in "01-chroot",
    /// The rootfs becomes read-only.
    ReadonlyRoot = "readonly-root" in "07-security",
    /// User, groups, capabilities, no_new_privs.
    Credentials = "credentials" in "07-security",
    /// Dies with the supervisor.
    DieWithParent = "die-with-parent" in "02-namespaces",
    /// Finds the program, and waits at the exec fifo.
    ExecFifo = "exec-fifo" in "02-namespaces",
    /// Clones the program's process, and stays as process 1 beside it (`--init`).
    Init = "init" in "02-namespaces",
    /// Becomes the program.
    Exec = "exec" in "00-syscalls",
}

/// One step of the child, with its values. The supervisor's three are functions of `create`.
#[derive(Debug)]
pub enum Step {
    /// See [`StepKind::JoinCgroup`].
    JoinCgroup,
    /// See [`StepKind::CgroupNamespace`].
    CgroupNamespace,
    /// See [`StepKind::Root`].
    Root,
    /// See [`StepKind::Sources`].
    Sources(Vec<PathBuf>),
    /// See [`StepKind::PrivateMounts`].
    PrivateMounts,
    /// See [`StepKind::Loopback`].
    Loopback,
    /// See [`StepKind::Rootfs`].
    Rootfs(Rootfs),
    /// See [`StepKind::Mount`].
    Mount(Mount),
    /// See [`StepKind::ReadonlyTree`].
    ReadonlyTree(PathBuf),
    /// See [`StepKind::Devices`].
    Devices(Vec<chroot::Device>, chroot::Nodes),
    /// See [`StepKind::Pivot`].
    Pivot,
    /// See [`StepKind::Console`].
    Console,
    /// See [`StepKind::Hostname`].
    Hostname(String),
    /// See [`StepKind::Mask`].
    Mask(PathBuf),
    /// See [`StepKind::Readonly`].
    Readonly(PathBuf),
    /// See [`StepKind::WorkingDir`].
    WorkingDir(PathBuf),
    /// See [`StepKind::ReadonlyRoot`].
    ReadonlyRoot,
    /// See [`StepKind::Credentials`].
    Credentials(Credentials),
    /// See [`StepKind::DieWithParent`].
    DieWithParent,
    /// See [`StepKind::ExecFifo`].
    ExecFifo,
    /// See [`StepKind::Init`].
    Init,
    /// See [`StepKind::Exec`].
    Exec,
}

/// What becomes the container's `/`.
#[derive(Debug)]
pub enum Rootfs {
    /// Layers and an upper, by the annotation [`crate::spec::OVERLAY_ANNOTATION`].
    Overlay(Overlay),
    /// `root.path` itself.
    Bind(PathBuf),
}

/// Who the program is.
#[derive(Debug)]
pub struct Credentials {
    /// Ids inside the container.
    pub identity: security::Identity,
    /// The five sets.
    pub capabilities: security::CapPlan,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privs: bool,
}

impl Step {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> StepKind {
        match self {
            Self::JoinCgroup => StepKind::JoinCgroup,
            Self::CgroupNamespace => StepKind::CgroupNamespace,
            Self::Root => StepKind::Root,
            Self::Sources(_) => StepKind::Sources,
            Self::PrivateMounts => StepKind::PrivateMounts,
            Self::Loopback => StepKind::Loopback,
            Self::Rootfs(_) => StepKind::Rootfs,
            Self::Mount(_) => StepKind::Mount,
            Self::ReadonlyTree(_) => StepKind::ReadonlyTree,
            Self::Devices(..) => StepKind::Devices,
            Self::Pivot => StepKind::Pivot,
            Self::Console => StepKind::Console,
            Self::Hostname(_) => StepKind::Hostname,
            Self::Mask(_) => StepKind::Mask,
            Self::Readonly(_) => StepKind::Readonly,
            Self::WorkingDir(_) => StepKind::WorkingDir,
            Self::ReadonlyRoot => StepKind::ReadonlyRoot,
            Self::Credentials(_) => StepKind::Credentials,
            Self::DieWithParent => StepKind::DieWithParent,
            Self::ExecFifo => StepKind::ExecFifo,
            Self::Init => StepKind::Init,
            Self::Exec => StepKind::Exec,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_design_page_lists_the_steps_in_the_order_run() {
        let page = include_str!("../../../book/src/design.md");
        let block = page.split("```steps\n").nth(1).unwrap().split("```").next().unwrap();
        let listed: Vec<&str> = block.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let run: Vec<&str> = StepKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(listed, run);
    }
}
