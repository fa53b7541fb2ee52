//! How a step that failed is told: what was tried, why it can't be, and what to do.

use std::path::Path;

use chroot::MountError;
use namespaces::idmap::IdMapError;
use overlayfs::OverlayError;
use security::SecurityError;
use sys::{Errno, SysError};

use super::report::Failure;

pub(super) const NO_ROOTFS: &str = "cannot mount the rootfs";

/// Where overlay's own diagnosis found the reason, the errno and its hint would only mislead.
pub(super) fn no_overlay(error: &OverlayError) -> Failure {
    let failure = Failure::of(NO_ROOTFS, error);
    let remedy = match error {
        OverlayError::Call(_) | OverlayError::Leftover { .. } | OverlayError::NoLower => return failure,
        OverlayError::Missing { .. } | OverlayError::NotADirectory { .. } => {
            "look what became of it since the container was made"
        }
        OverlayError::Overlap { .. } => "name a directory that lies outside of the store",
        OverlayError::MountBelow { .. } => "name a directory without mounts below it, or run it as root",
        OverlayError::LowerFileSystem { .. } | OverlayError::TooDeep { .. } => {
            "copy the tree to another file system, such as ext4"
        }
        OverlayError::OtherMount { .. } | OverlayError::UpperFileSystem { .. } => {
            "set MINIDOCKER_ROOT to a directory on another file system, such as ext4 or tmpfs"
        }
        OverlayError::TooLong { .. } => "set MINIDOCKER_ROOT to a shorter path",
    };
    Failure { message: NO_ROOTFS.to_owned(), ..failure }.advise(error.to_string(), remedy)
}

pub(super) fn not_mounted(mount: &chroot::Mount, error: &MountError) -> Failure {
    let source = mount.source.as_ref().map(|s| s.display().to_string());
    let source = source.or_else(|| mount.fstype.clone()).unwrap_or_default();
    let message = format!("error mounting {source:?} to rootfs at {:?}", mount.destination);
    let at = mount.destination.display();
    let source_is_dir = mount.source.as_ref().is_some_and(|s| s.is_dir());
    let is_tmpfs = mount.fstype.as_deref() == Some("tmpfs");
    let elsewhere =
        format!("name another place than {at}; in a container of the image, ls -ld {at} shows it");
    match error {
        MountError::Call { source: e, .. } if e.errno() == Errno::ENOTDIR => {
            let what = if is_tmpfs || source_is_dir { "a directory" } else { "a file" };
            Failure::of(message, e).advise(
                format!(
                    "{what} is mounted, and the image has something of another kind at {at}, or above it"
                ),
                if is_tmpfs {
                    elsewhere
                } else {
                    format!("{elsewhere}; Check if the specified host path exists and is the expected type")
                },
            )
        }
        MountError::Call { source: e, .. } if e.errno() == Errno::ELOOP => Failure::of(message, e).advise(
            format!("a symbolic link at {at}, or above it, leads back to itself, or to what a process in /proc has open"),
            elsewhere,
        ),
        MountError::Call { source: e, .. } if is_tmpfs && e.errno() == Errno::EINVAL => {
            Failure::of(message, e).advise(
                "one of the options has a value that tmpfs doesn't take",
                "size=64m, mode=1777 (octal), uid and gid as numbers that the container has",
            )
        }
        // The path is said already.
        MountError::Call { source: e, .. } => unmade(Failure::of(message, e), e, elsewhere),
        other => Failure::of(message, other),
    }
}

/// What a mount would lie on is made where it is missing.
fn unmade(failure: Failure, call: &SysError, elsewhere: String) -> Failure {
    let because = match (call.call(), call.errno()) {
        ("mkdirat" | "mknodat", Errno::ENOENT | Errno::EROFS | Errno::EPERM) => {
            "it would have to be made where nothing can be: below /proc or /sys (by a link perhaps), or on a read-only mount"
        }
        // Root who lacks a capability is told so already.
        ("mkdirat" | "mknodat", Errno::EACCES) if failure.because.is_none() => {
            "it would have to be made in a directory that belongs to an id that this container doesn't have"
        }
        _ => return failure,
    };
    failure.advise(because, elsewhere)
}

pub(super) fn no_hostname(name: &str, call: &SysError) -> Failure {
    /// `__NEW_UTS_LEN` of linux/utsname.h.
    const MOST_BYTES: usize = 64;
    let failure = Failure::of("cannot set the host name", call);
    if name.len() <= MOST_BYTES {
        return failure;
    }
    let because = format!("it has {} bytes, and the kernel takes {MOST_BYTES} (sethostname(2))", name.len());
    failure.advise(because, "name a shorter one with --hostname")
}

/// A helper has its own words, which stand in the first line.
pub(super) fn no_maps(error: &IdMapError) -> Failure {
    let failure = Failure::of("cannot write the id maps of the user namespace", error);
    let unfit = || matches!(error, IdMapError::Refused(..)).then(security::unfit_proc).flatten();
    if let Some((because, remedy)) = unfit() {
        return failure.advise(because, remedy);
    }
    match error {
        IdMapError::Refused(_, how, _) if how.starts_with("signal") => {
            failure.advise("it was killed before it had done its work", "try again; dmesg tells whether memory had run out")
        }
        IdMapError::Refused(program, ..) => failure.advise(
            format!("{} holds what is asked for against /etc/subuid and /etc/subgid, and needs root's rights by its set-uid bit", program.display()),
            format!("grep \"^$USER:\" /etc/subuid /etc/subgid; ls -l {}", program.display()),
        ),
        _ => failure,
    }
}

pub(super) fn not_masked(path: &Path, error: &SecurityError) -> Failure {
    let failure = Failure::of(format!("cannot mask {}", path.display()), error);
    match error {
        SecurityError::NotNull { .. } => failure.advise(
            "a link of the image led a mount to /dev/null, where the null device should be",
            "make /etc of the image a directory, and hostname, hosts, resolv.conf in it plain files",
        ),
        _ => failure,
    }
}

pub(super) fn no_working_dir(dir: &Path, error: std::io::Error) -> Failure {
    let call = SysError::of("mkdir", format!("{dir:?}, 0777"), error);
    let remedy = "name a directory of the image, or a path where one can be made";
    let at = dir.display();
    match call.errno() {
        // Docker's words.
        Errno::EEXIST | Errno::ENOTDIR => {
            Failure::of(format!("Cannot mkdir: {at} is not a directory"), &call)
                .advise("a file, or a link that leads to no directory, is there or above it", remedy)
        }
        Errno::EROFS | Errno::ENOENT | Errno::EACCES | Errno::EPERM => {
            Failure::of(format!("Cannot mkdir: {at}"), &call)
                .advise("it would lie where nothing can be made, such as below /proc or /sys", remedy)
        }
        _ => Failure::of(format!("Cannot mkdir: {at}"), &call),
    }
}
