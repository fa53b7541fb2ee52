//! Which cgroup trees this process lives in, and where we may look for them.

use std::path::{Path, PathBuf};

use sys::Errno;

use crate::error::unread;
use crate::mountinfo::{self, Mount};
use crate::{CgroupError, Group};

/// The shape of a machine's cgroups (cgroups(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// None is mounted where we can see it.
    None,
    /// Trees of controllers only.
    V1,
    /// The unified tree only.
    V2,
    /// Trees of controllers, and a unified tree beside them.
    Hybrid,
}

/// Our own place in each tree, as paths of this mount namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct World {
    v2: Option<PathBuf>,
    v1: Vec<Hierarchy>,
    /// Where the trees are mounted in which groups of ours may lie.
    pub(crate) roots: Vec<PathBuf>,
}

/// The v1 controllers in whose trees a group may lie.
const KEPT_IN: [&str; 2] = ["devices", "freezer"];

/// One v1 tree and our place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    /// `["cpu", "cpuacct"]`, or `["name=systemd"]` for a tree without controllers.
    controllers: Vec<String>,
    place: PathBuf,
}

impl World {
    /// Looks at this process's cgroups and mounts. A kernel without cgroups gives a world without trees.
    ///
    /// # Errors
    /// [`CgroupError::Call`]: no /proc.
    pub fn detect() -> Result<Self, CgroupError> {
        let mountinfo = read("/proc/self/mountinfo")?;
        let cgroup = match read("/proc/self/cgroup") {
            Err(CgroupError::Call(e)) if e.errno() == Errno::ENOENT => String::new(),
            other => other?,
        };
        Ok(Self::parse(&cgroup, &mountinfo))
    }

    /// The same from the texts of /proc/self/cgroup and /proc/self/mountinfo alone.
    ///
    /// /proc/cgroups and the names below /sys/fs/cgroup are not asked: they tell what the kernel
    /// could do and what a distribution usually does, not where we are.
    #[must_use]
    pub fn parse(self_cgroup: &str, mountinfo: &str) -> Self {
        let all = mountinfo::parse(mountinfo.as_bytes());
        let seen: Vec<&Mount> =
            all.iter().filter(|m| m.fstype.starts_with("cgroup") && mountinfo::visible(m, &all)).collect();
        let holds =
            |m: &&&Mount| m.fstype == "cgroup2" || KEPT_IN.iter().any(|c| m.options.iter().any(|o| o == c));
        let roots = seen.iter().filter(holds).map(|m| m.point.clone()).collect();
        let mut world = Self { roots, ..Self::default() };
        // `hierarchy-ID:controller-list:cgroup-path`; the path may hold colons itself.
        for line in self_cgroup.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let path = Path::new(path);
            if id == "0" && controllers.is_empty() {
                world.v2 = seen.iter().filter(|m| m.fstype == "cgroup2").find_map(|m| m.place(path));
            } else {
                world.v1.extend(hierarchy(controllers, path, &seen));
            }
        }
        world
    }

    /// Our place in the unified tree.
    #[must_use]
    pub fn v2(&self) -> Option<&Path> {
        self.v2.as_deref()
    }

    /// Our place in the v1 tree of `controller` (`devices`, `name=systemd`).
    #[must_use]
    pub fn v1(&self, controller: &str) -> Option<&Path> {
        let it = self.v1.iter().find(|h| h.controllers.iter().any(|c| c == controller))?;
        Some(&it.place)
    }

    /// Which of the shapes this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match (&self.v2, self.v1.is_empty()) {
            (None, true) => Kind::None,
            (None, false) => Kind::V1,
            (Some(_), true) => Kind::V2,
            (Some(_), false) => Kind::Hybrid,
        }
    }

    /// The group `minidocker/<name>` below our own place: in the unified tree; in v1's `devices`;
    /// and, where there is no unified tree, in v1's `freezer`, without which a fork bomb can't be
    /// stopped. Nothing is made yet: [`Group::make`] tries which of these we may write to.
    ///
    /// `name` is one file name, such as a container's id.
    pub fn group(&self, name: &str) -> Group {
        let freezer = if self.v2.is_none() { self.v1("freezer") } else { None };
        let places = [self.v2(), self.v1("devices"), freezer];
        let mut dirs: Vec<PathBuf> = Vec::new();
        for place in places.into_iter().flatten() {
            let dir = place.join(crate::PARENT).join(name);
            // devices and freezer may be mounted as one tree.
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        Group::from_dirs(dirs)
    }
}

/// The tree whose mount options name exactly these controllers.
fn hierarchy(controllers: &str, path: &Path, seen: &[&Mount]) -> Option<Hierarchy> {
    let controllers: Vec<String> = controllers.split(',').map(str::to_owned).collect();
    let ours = |m: &&&Mount| m.fstype == "cgroup" && controllers.iter().all(|c| m.options.contains(c));
    let place = seen.iter().filter(ours).find_map(|m| m.place(path))?;
    Some(Hierarchy { controllers, place })
}

fn read(path: &str) -> Result<String, CgroupError> {
    // A path with bytes that are no UTF-8 must not hide all the others.
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) => Err(unread(Path::new(path), e)),
    }
}

#[cfg(test)]
mod tests;
