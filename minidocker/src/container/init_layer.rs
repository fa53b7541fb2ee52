//! The init layer: mount points that an image lacks.
//!
//! Docker's containers have their own /etc/hosts and the like by mounts, and a mount needs
//! something to stand on. Made in the upper, it would show up as the container's own change, and
//! could not be made at all in a directory of another owner. So it is one more lower, on top.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use rustix::fs::{FileType, OFlags};

use chroot::Root;
use sys::{Errno, SysError};

use crate::store::StoreError;

const DIRECTORIES: [&str; 3] = ["dev", "proc", "sys"];
const FILES: [&str; 3] = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];
/// No mount point: programs look for the mount table there (mount(8), Java), and Docker makes it too.
const LINK: (&str, &str) = ("etc/mtab", "/proc/mounts");

/// What has to be made for one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InitLayer {
    missing: Vec<&'static str>,
    lacks_link: bool,
}

impl InitLayer {
    /// Looks at the layers of an image, topmost first. As in Docker, a link or a device in the place
    /// of a mount point is hidden by one: a mount would land where it leads to, on /dev/null perhaps.
    ///
    /// # Errors
    /// A layer can't be read.
    pub fn of(layers: &[Root]) -> Result<Self, SysError> {
        let mut missing = Vec::new();
        for path in DIRECTORIES.into_iter().chain(FILES) {
            let fit = match kind(layers, path)? {
                Some(FileType::Directory) => true,
                Some(FileType::RegularFile) => FILES.contains(&path),
                _ => false,
            };
            if !fit && parent_is_plain(layers, path)? {
                missing.push(path);
            }
        }
        let lacks_link = kind(layers, LINK.0)?.is_none() && parent_is_plain(layers, LINK.0)?;
        Ok(Self { missing, lacks_link })
    }

    /// The mount points that have to be made, without the first slash.
    #[must_use]
    pub fn missing(&self) -> &[&'static str] {
        &self.missing
    }

    /// Whether no layer is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && !self.lacks_link
    }

    /// Makes the layer at `dir`, which is not there yet.
    pub(super) fn make(&self, dir: &Path) -> Result<(), StoreError> {
        let new_dir = |path: &Path| {
            let made = fs::DirBuilder::new().mode(0o755).recursive(true).create(path);
            made.map_err(StoreError::io("mkdir", path, "0755"))
        };
        for path in &self.missing {
            let at = dir.join(path);
            if DIRECTORIES.contains(path) {
                new_dir(&at)?;
            } else {
                at.parent().map_or(Ok(()), new_dir)?;
                fs::write(&at, "").map_err(StoreError::io("write", &at, ""))?;
            }
        }
        if self.lacks_link {
            let at = dir.join(LINK.0);
            at.parent().map_or(Ok(()), new_dir)?;
            symlink(LINK.1, &at).map_err(StoreError::io("symlink", &at, ""))?;
        }
        Ok(())
    }
}

/// A directory of ours over a link would hide what the link leads to.
fn parent_is_plain(layers: &[Root], path: &str) -> Result<bool, SysError> {
    let Some((parent, _)) = path.rsplit_once('/') else { return Ok(true) };
    Ok(matches!(kind(layers, parent)?, None | Some(FileType::Directory)))
}

/// What the topmost layer that has `path` has there.
fn kind(layers: &[Root], path: &str) -> Result<Option<FileType>, SysError> {
    for layer in layers {
        match layer.open_in(Path::new(path), OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(found) => {
                let stat = rustix::fs::fstat(&found);
                let stat = stat.map_err(|e| SysError::of("fstat", format!("{path:?}"), e))?;
                return Ok(Some(FileType::from_raw_mode(stat.st_mode)));
            }
            Err(e) if matches!(e.errno(), Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_layer_has_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let (top, bottom) = (dir.path().join("top"), dir.path().join("bottom"));
        fs::create_dir_all(top.join("dev")).unwrap();
        fs::create_dir_all(bottom.join("etc")).unwrap();
        fs::write(bottom.join("etc/hosts"), "x").unwrap();
        let layers = |dirs: &[&Path]| dirs.iter().map(|dir| Root::open(dir).unwrap()).collect::<Vec<_>>();
        let layer = InitLayer::of(&layers(&[&top, &bottom])).unwrap();
        assert_eq!(layer.missing, ["proc", "sys", "etc/hostname", "etc/resolv.conf"]);
        layer.make(&dir.path().join("init")).unwrap();
        assert_eq!(fs::read_link(dir.path().join("init/etc/mtab")).unwrap(), Path::new("/proc/mounts"));
        assert!(dir.path().join("init/proc").is_dir() && dir.path().join("init/etc/hostname").is_file());
        fs::rename(bottom.join("etc"), bottom.join("real")).unwrap();
        symlink("real", bottom.join("etc")).unwrap();
        let layer = InitLayer::of(&layers(&[&bottom])).unwrap();
        assert_eq!(layer.missing, ["dev", "proc", "sys"], "a link stays seen");
        assert!(!layer.lacks_link);
    }

    #[test]
    fn what_would_lead_a_mount_elsewhere_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc/hosts")).unwrap();
        for (path, text) in [("dev", "etc"), ("etc/hostname", "hosts"), ("etc/resolv.conf", "/dev/null")] {
            symlink(text, dir.path().join(path)).unwrap();
        }
        fs::write(dir.path().join("proc"), "").unwrap();
        fs::create_dir(dir.path().join("sys")).unwrap();
        let layer = InitLayer::of(&[Root::open(dir.path()).unwrap()]).unwrap();
        assert_eq!(layer.missing, ["dev", "proc", "etc/hostname", "etc/resolv.conf"]);
    }
}
