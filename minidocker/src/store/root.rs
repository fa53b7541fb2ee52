//! Which directory is the store, and what this process may do.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;

/// CAP_SYS_ADMIN of linux/capability.h.
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// Whether the first user namespace obeys this process. Uid 0 alone proves nothing: root in
/// Docker, or under `unshare -r`, is not root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// Uid 0 with the whole id map and CAP_SYS_ADMIN.
    Rootful,
    /// Anybody else: containers live in a user namespace.
    Rootless,
}

impl Privilege {
    /// Looks at this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let uid_map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let full = uid_map.split_whitespace().eq(["0", "0", "4294967295"]);
        let admin = sys::capget().is_ok_and(|sets| sets.effective & CAP_SYS_ADMIN != 0);
        if nix::unistd::geteuid().is_root() && full && admin { Self::Rootful } else { Self::Rootless }
    }
}

/// The directory tree of the store, and what we may do with it.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    privilege: Privilege,
}

impl Store {
    /// Finds the store: `MINIDOCKER_ROOT`, else `/var/lib/minidocker` for a true root, else
    /// `$XDG_DATA_HOME/minidocker`. Makes it where it is missing (mode 0700).
    ///
    /// # Errors
    /// No home directory; a store of another user (`sudo -E` with that user's environment must not
    /// write root's files there); a directory that can't be made.
    pub fn open() -> Result<Self, StoreError> {
        let (root, privilege) = Self::locate()?;
        Self::at(root, privilege)
    }

    /// Where [`Store::open`] finds it, and as whom. Nothing is made, nor looked at.
    ///
    /// # Errors
    /// No home directory.
    pub fn locate() -> Result<(PathBuf, Privilege), StoreError> {
        let privilege = Privilege::of_this_process();
        let root = match std::env::var_os("MINIDOCKER_ROOT").filter(|r| !r.is_empty()) {
            Some(root) => std::path::absolute(&root).map_err(StoreError::io("getcwd", root, ""))?,
            None if privilege == Privilege::Rootful => PathBuf::from("/var/lib/minidocker"),
            None => data_home()?.join("minidocker"),
        };
        Ok((root, privilege))
    }

    /// The store at `root`, made where it is missing.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn at(root: PathBuf, privilege: Privilege) -> Result<Self, StoreError> {
        let store = Self { root, privilege };
        match store.make() {
            Err(StoreError::Sys(source)) => Err(StoreError::Unusable { root: store.root, source }),
            made => made.map(|()| store),
        }
    }

    fn make(&self) -> Result<(), StoreError> {
        let root = &self.root;
        let us = nix::unistd::geteuid().as_raw();
        match fs::metadata(root) {
            Ok(meta) if meta.uid() != us => {
                return Err(StoreError::Foreign { path: root.clone(), owner: meta.uid(), us });
            }
            Ok(meta) if meta.mode() & 0o022 != 0 => {
                return Err(StoreError::Open { path: root.clone(), mode: meta.mode() & 0o7777 });
            }
            Ok(_) => {}
            Err(_) => make_dir(root)?,
        }
        for dir in ["images", "layers", "containers", "names"] {
            let path = root.join(dir);
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.uid() != us => {
                    return Err(StoreError::Foreign { path, owner: meta.uid(), us });
                }
                Ok(meta) if meta.is_dir() && meta.mode() & 0o077 != 0 => {
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
                        .map_err(StoreError::io("chmod", &path, "0700"))?;
                }
                // A link of ours to a directory elsewhere is our own affair, if that is ours too.
                Ok(meta) if meta.is_symlink() => match fs::metadata(&path) {
                    Ok(to) if to.uid() == us && to.mode() & 0o022 == 0 => {}
                    Ok(to) if to.uid() == us => {
                        return Err(StoreError::Open { path, mode: to.mode() & 0o7777 });
                    }
                    Ok(to) => return Err(StoreError::Foreign { path, owner: to.uid(), us }),
                    Err(e) => return Err(StoreError::io("stat", &path, "")(e)),
                },
                Ok(_) => {}
                Err(_) => make_dir(&path)?,
            }
        }
        Ok(())
    }

    /// The root directory, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What this process may do.
    #[must_use]
    pub fn privilege(&self) -> Privilege {
        self.privilege
    }

    /// `images/`: one OCI image layout.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// `layers/`: each layer unpacked once, by diff id.
    #[must_use]
    pub fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// `containers/`: one directory a container, by id.
    #[must_use]
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// `names/`: symbolic links from a name to an id.
    #[must_use]
    pub fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    /// The lock file of one part of the store. Order: images, containers, layers (the id map).
    #[must_use]
    pub fn lock_of(&self, part: &str) -> PathBuf {
        self.root.join(format!("{part}.lock"))
    }
}

fn make_dir(path: &Path) -> Result<(), StoreError> {
    // Nobody else may walk in: below lie the set-uid programs of images, and what root made in
    // containers (CVE-2021-41091). Containers themselves come in by their mounts.
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(StoreError::io("mkdir", path, "0700"))
}

fn data_home() -> Result<PathBuf, StoreError> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    if let Some(home) = absolute("XDG_DATA_HOME") {
        return Ok(home);
    }
    let home = absolute("HOME").or_else(|| {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()??;
        Some(user.dir).filter(|dir| dir.is_absolute())
    });
    home.map(|home| home.join(".local/share")).ok_or(StoreError::NoHome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_another_user_is_refused() {
        let us = nix::unistd::geteuid().as_raw();
        let foreign = if us == 0 { None } else { Some(PathBuf::from("/")) };
        if let Some(root) = foreign {
            let error = Store::at(root, Privilege::Rootless).unwrap_err();
            assert!(matches!(error, StoreError::Foreign { owner: 0, .. }), "{error}");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(dir.path(), Some(12345), None).unwrap();
        let error = Store::at(dir.path().into(), Privilege::Rootful).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { owner: 12345, us: 0, .. }), "{error}");
    }

    #[test]
    fn a_new_store_has_its_directories() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("a/b"), Privilege::Rootless).unwrap();
        assert!(store.layers().is_dir() && store.names().is_dir() && store.containers().is_dir());
    }

    #[test]
    fn a_store_that_others_may_write_to_is_refused() {
        for mode in [0o770, 0o707, 0o1777] {
            let dir = tempfile::tempdir().unwrap();
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            let error = Store::at(dir.path().into(), Privilege::Rootless).unwrap_err();
            assert!(matches!(error, StoreError::Open { mode: found, .. } if found == mode), "{error}");
            let below = error.below();
            assert!(below.because.unwrap().contains(&format!("{mode:04o}")));
            assert!(below.remedy.unwrap().starts_with("chmod go-w "));
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
        }
    }

    #[test]
    fn directories_and_links_of_others_in_the_store_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        let at = || Store::at(root.clone(), Privilege::Rootless);
        at().unwrap();
        let (layers, elsewhere) = (root.join("layers"), dir.path().join("elsewhere"));
        fs::remove_dir(&layers).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &layers).unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o755)).unwrap();
        at().unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(at(), Err(StoreError::Open { path, .. }) if path == layers));
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::lchown(&layers, Some(12345), None).unwrap();
            assert!(matches!(at(), Err(StoreError::Foreign { path, owner: 12345, .. }) if path == layers));
            fs::remove_file(&layers).unwrap();
            fs::create_dir(&layers).unwrap();
            std::os::unix::fs::chown(&layers, Some(12345), None).unwrap();
            assert!(matches!(at(), Err(StoreError::Foreign { path, owner: 12345, .. }) if path == layers));
        }
    }
}
