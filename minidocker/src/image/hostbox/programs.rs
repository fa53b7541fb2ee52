//! Which programs of the host go into hostbox, and where they are looked for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What every hostbox has, or says that it hasn't.
pub(super) const GUARANTEED: [&str; 14] =
    ["sh", "ls", "cat", "ps", "id", "hostname", "mount", "ip", "sleep", "env", "grep", "head", "wc", "dd"];

/// What comes along where the host has it, in the order in which it is dropped last: what the book
/// uses to try limits, files and signals, then what a shell user types without thinking.
pub(super) const EXTRA: [&str; 38] = [
    "true", "false", "echo", "kill", "umount", "rm", "cp", "mv", "ln", "mkdir", "rmdir", "touch", "chmod",
    "chown", "tail", "sort", "uniq", "cut", "tr", "sed", "find", "stat", "df", "du", "uname", "date", "tee",
    "seq", "test", "printf", "readlink", "mktemp", "mknod", "stty", "tty", "timeout", "bash", "awk",
];

/// Where they are looked for, the first one counts: the directories of hier(7), then the system
/// profile of NixOS and of Guix. Never what a user can change: /usr/local, homes, shims.
const DIRS: [&str; 6] = [
    "/bin",
    "/usr/bin",
    "/sbin",
    "/usr/sbin",
    "/run/current-system/sw/bin",
    "/run/current-system/profile/bin",
];

/// Where a program in one of [`DIRS`] must not lead: it would be somebody's own, or a launcher.
const NOT_BELOW: [&str; 5] = ["/home", "/root", "/snap", "/var/lib/snapd", "/usr/local"];

/// The PATH of the image, and so where programs from elsewhere get a link.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One program's search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Its path in the tree.
    At(PathBuf),
    /// There is no executable file of that name.
    Absent,
    /// It leads to a place that is not the system's.
    Foreign(PathBuf),
}

/// Looks for one program in the tree `host`.
pub(super) fn find(host: &Path, name: &str) -> Found {
    let dirs = DIRS.map(Path::new);
    let Some(path) = chroot::find_program(host, OsStr::new(name), &dirs) else { return Found::Absent };
    let real = std::fs::canonicalize(on_host(host, &path)).unwrap_or_default();
    let inside = Path::new("/").join(real.strip_prefix(host).unwrap_or(&real));
    if NOT_BELOW.iter().any(|dir| inside.starts_with(dir)) { Found::Foreign(inside) } else { Found::At(path) }
}

/// Whether any of [`DIRS`] has that name now, executable or not: cheaper than [`find`].
pub(super) fn appeared(host: &Path, name: &str) -> bool {
    DIRS.iter().any(|dir| on_host(host, &Path::new(dir).join(name)).exists())
}

/// Where the host has a path of the tree.
pub(super) fn on_host(host: &Path, path: &Path) -> PathBuf {
    host.join(path.strip_prefix("/").unwrap_or(path))
}

/// Whether a shell finds a program at `path` by its name.
pub(super) fn is_on_path(path: &Path) -> bool {
    path.parent().is_some_and(|dir| PATH.split(':').any(|p| dir == Path::new(p)))
}
