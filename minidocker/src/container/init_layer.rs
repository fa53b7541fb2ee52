//! The init layer: mount points that an image lacks.
//!
//! Docker's containers have their own /etc/hosts and the like by mounts, and a mount needs
//! something to stand on. Made in the upper, it would show up as the container's own change, and
//! could not be made at all in a directory of another owner. So it is one more lower, on top.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use chroot::Root;
use sys::{Errno, SysError};

use crate::store::StoreError;

const DIRECTORIES: [&str; 3] = ["dev", "proc", "sys"];
const FILES: [&str; 3] = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// What has to be made for one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InitLayer {
    missing: Vec<&'static str>,
}

impl InitLayer {
    /// Looks at the layers of an image, topmost first.
    ///
    /// # Errors
    /// A layer can't be read.
    pub fn of(lowers: &[PathBuf]) -> Result<Self, SysError> {
        let roots = lowers.iter().map(|lower| Root::open(lower)).collect::<Result<Vec<_>, _>>()?;
        let mut missing = Vec::new();
        for path in DIRECTORIES.into_iter().chain(FILES) {
            if !is_there(&roots, path)? && parent_is_plain(&roots, path)? {
                missing.push(path);
            }
        }
        Ok(Self { missing })
    }

    /// Whether no layer is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
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
        Ok(())
    }
}

/// A link counts: where it leads to is for the mount to find out.
fn is_there(roots: &[Root], path: &str) -> Result<bool, SysError> {
    Ok(topmost(roots, path, OFlags::empty())?.is_some())
}

/// A directory of ours over a link would hide what the link leads to.
fn parent_is_plain(roots: &[Root], path: &str) -> Result<bool, SysError> {
    let Some((parent, _)) = path.rsplit_once('/') else { return Ok(true) };
    Ok(!is_there(roots, parent)? || topmost(roots, parent, OFlags::DIRECTORY)?.is_some())
}

fn topmost(roots: &[Root], path: &str, how: OFlags) -> Result<Option<()>, SysError> {
    for root in roots {
        match root.open_in(Path::new(path), how | OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(_) => return Ok(Some(())),
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
        std::os::unix::fs::symlink("../run/nowhere", bottom.join("etc/resolv.conf")).unwrap();
        let layer = InitLayer::of(&[top, bottom.clone()]).unwrap();
        assert_eq!(layer.missing, ["proc", "sys", "etc/hostname"]);
        layer.make(&dir.path().join("init")).unwrap();
        assert!(dir.path().join("init/proc").is_dir() && dir.path().join("init/etc/hostname").is_file());
        fs::rename(bottom.join("etc"), bottom.join("real")).unwrap();
        std::os::unix::fs::symlink("real", bottom.join("etc")).unwrap();
        assert_eq!(InitLayer::of(&[bottom]).unwrap().missing, ["dev", "proc", "sys"], "a link stays seen");
    }
}
