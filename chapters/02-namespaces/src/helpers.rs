//! newuidmap(1) and newgidmap(1): set-uid programs that write a map on a user's behalf, after
//! they have found its ids in /etc/subuid and /etc/subgid.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use rustix::fs::StatVfsMountFlags;

/// Why a helper can't write a map. The words finish the sentence "only one id is mapped: ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoHelper {
    /// It isn't in PATH, nor where distributions put it.
    #[error("{0} is not installed (Debian: apt install uidmap; Fedora: dnf install shadow-utils)")]
    Missing(&'static str),
    /// An ordinary program can't write other ids than one's own.
    #[error("{program} is neither set-uid root nor has it file capabilities (chmod u+s {program})", program = .0.display())]
    NotPrivileged(PathBuf),
    /// Its mount ignores the set-uid bit.
    #[error("{program} lies on a mount with nosuid", program = .0.display())]
    NoSuidMount(PathBuf),
    /// No exec of this process and its children gives privileges any more.
    #[error("this process has no_new_privs, and so has newuidmap (grep NoNewPrivs /proc/self/status)")]
    NoNewPrivs,
}

/// The path of `newuidmap` or `newgidmap`, if it could do its work as far as its file tells.
///
/// # Errors
/// See [`NoHelper`].
pub fn helper(name: &'static str) -> Result<PathBuf, NoHelper> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"].map(PathBuf::from);
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).filter(|d| d.is_absolute()).chain(usual).collect();
    let program = find(name, &dirs)?;
    if nix::sys::prctl::get_no_new_privs().unwrap_or(false) {
        return Err(NoHelper::NoNewPrivs);
    }
    check(program)
}

fn find(name: &'static str, dirs: &[PathBuf]) -> Result<PathBuf, NoHelper> {
    let runs = |p: &PathBuf| p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    dirs.iter().map(|dir| dir.join(name)).find(runs).ok_or(NoHelper::Missing(name))
}

/// Set-uid to root (as we see it: in a user namespace the host's root may be nobody), or with
/// capabilities of its own, as on Fedora (capabilities(7), "File capabilities").
fn check(program: PathBuf) -> Result<PathBuf, NoHelper> {
    const S_ISUID: u32 = 0o4000;
    let set_uid = program.metadata().is_ok_and(|file| file.mode() & S_ISUID != 0 && file.uid() == 0);
    let capable = rustix::fs::getxattr(&program, "security.capability", &mut [0; 0]);
    let nosuid = rustix::fs::statvfs(&program).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::NOSUID));
    match set_uid || capable.is_ok_and(|size| size > 0) {
        false => Err(NoHelper::NotPrivileged(program)),
        true if nosuid => Err(NoHelper::NoSuidMount(program)),
        true => Ok(program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn program(dir: &Path, mode: u32) -> PathBuf {
        let path = dir.join("newuidmap");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_helper_that_is_not_there_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = [dir.path().to_owned()];
        assert_eq!(find("newuidmap", &dirs), Err(NoHelper::Missing("newuidmap")));
        program(dir.path(), 0o644);
        assert_eq!(find("newuidmap", &dirs), Err(NoHelper::Missing("newuidmap")), "no x bit");
        program(dir.path(), 0o755);
        assert_eq!(find("newuidmap", &dirs), Ok(dir.path().join("newuidmap")));
    }

    #[test]
    fn an_ordinary_program_is_no_helper() {
        let dir = tempfile::tempdir().unwrap();
        let path = program(dir.path(), 0o755);
        assert_eq!(check(path.clone()), Err(NoHelper::NotPrivileged(path)));
    }

    #[test]
    fn set_uid_helps_only_where_it_is_root_s() {
        let dir = tempfile::tempdir().unwrap();
        let path = program(dir.path(), 0o4755);
        let mine = nix::unistd::geteuid().is_root();
        assert_eq!(check(path.clone()), if mine { Ok(path) } else { Err(NoHelper::NotPrivileged(path)) });
    }
}
