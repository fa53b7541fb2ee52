//! Which programs of the host go into hostbox, and where they are looked for.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chroot::Root;

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
    let Ok(tree) = Root::open(host) else { return Found::Absent };
    let mut found = Found::Absent;
    for path in places(name) {
        match tree.real(&path) {
            Ok(real) if !is_executable(&on_host(host, &real)) => {}
            Ok(real) if NOT_BELOW.iter().any(|dir| real.starts_with(dir)) => found = Found::Foreign(real),
            Ok(_) => return Found::At(path),
            Err(_) => {}
        }
    }
    found
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
}

/// Where a program of that name would lie, the first place first.
pub(super) fn places(name: &str) -> impl Iterator<Item = PathBuf> {
    DIRS.iter().map(move |dir| Path::new(dir).join(name))
}

/// Whether any of [`DIRS`] has that name now, executable or not: cheaper than [`find`].
pub(super) fn appeared(host: &Path, name: &str) -> bool {
    places(name).any(|path| on_host(host, &path).exists())
}

/// The same file by a name in a directory without links: a link to it leads there also in a container
/// with a tmpfs on /run, over /run/current-system of NixOS.
pub(super) fn settled(host: &Path, path: &Path) -> PathBuf {
    let dir = Root::open(host).and_then(|tree| tree.real(path.parent().unwrap_or(path)));
    dir.map_or_else(|_| path.to_owned(), |dir| dir.join(path.file_name().unwrap_or_default()))
}

/// Where the host has a path of the tree.
pub(super) fn on_host(host: &Path, path: &Path) -> PathBuf {
    host.join(path.strip_prefix("/").unwrap_or(path))
}

/// Whether a shell finds a program at `path` by its name.
pub(super) fn is_on_path(path: &Path) -> bool {
    path.parent().is_some_and(|dir| PATH.split(':').any(|p| dir == Path::new(p)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn put(host: &Path, path: &str) {
        let path = on_host(host, Path::new(path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn link(host: &Path, path: &str, text: &str) {
        let path = on_host(host, Path::new(path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(text, path).unwrap();
    }

    #[test]
    fn absolute_links_lead_into_the_tree_and_not_to_the_machine_of_the_test() {
        let host = tempfile::tempdir().unwrap();
        put(host.path(), "/nix/store/c/bin/ls");
        link(host.path(), "/nix/store/s/bin/ls", "/nix/store/c/bin/ls");
        link(host.path(), "/run/current-system/sw", "/nix/store/s");
        let ls = PathBuf::from("/run/current-system/sw/bin/ls");
        assert_eq!(find(host.path(), "ls"), Found::At(ls.clone()));
        assert_eq!(settled(host.path(), &ls), Path::new("/nix/store/s/bin/ls"));
        // This machine has a /bin/sh; the tree has none.
        link(host.path(), "/usr/bin/cat", "/bin/sh");
        assert_eq!(find(host.path(), "cat"), Found::Absent);
        put(host.path(), "/home/me/id");
        link(host.path(), "/bin/id", "/home/me/id");
        assert_eq!(find(host.path(), "id"), Found::Foreign("/home/me/id".into()));
    }

    #[test]
    fn a_name_that_leads_into_a_home_does_not_hide_the_systems_own() {
        let host = tempfile::tempdir().unwrap();
        put(host.path(), "/home/me/ls");
        link(host.path(), "/bin/ls", "/home/me/ls");
        put(host.path(), "/usr/bin/ls");
        assert_eq!(find(host.path(), "ls"), Found::At("/usr/bin/ls".into()));
    }
}
