//! Chapter 3: control groups, the directories that hold processes together.
//!
//! A namespace says what a process *sees*; a cgroup says what it *is part of*. Whoever knows the
//! directory can count its processes, kill them all, and (later in this chapter) limit them.
//! What exists so far is what a safe `run` needs: one group without limits, made, joined, killed
//! and removed, and Docker's device list where the kernel has a file for it.
//!
//! Linux knows two shapes of this, and one machine may have both (cgroups(7)):
//! * **v2**: one tree for everything. We use it for membership, because `cgroup.kill` and
//!   CLONE_INTO_CGROUP exist only there.
//! * **v1**: one tree a controller. We use `devices`, because a v2 tree has no file for device
//!   rules (it wants an eBPF program); and `freezer`, only where no v2 tree is there at all.
//!
//! The bare idea: a directory is a group, a pid written into it is a member.
//!
//! ```
//! use std::{fs, process::{self, Command}};
//!
//! let mut program = Command::new("sleep").arg("60").spawn()?;
//! let name = format!("sketch-{}", process::id());
//! let group = cgroups::World::detect()?.group(&name).make()?;
//! for dir in group.dirs() {
//!     fs::write(dir.join("cgroup.procs"), program.id().to_string())?;
//! }
//! if group.dirs().is_empty() {
//!     program.kill()?; // no tree that we may write to: nothing holds it together
//! } else {
//!     group.kill()?;
//! }
//! assert!(!program.wait()?.success());
//! group.remove()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod devices;
mod error;
mod group;
mod kill;
mod members;
pub mod mountinfo;
mod search;
mod world;

pub use devices::{Access, DOCKER_DEVICES, DeviceKind, DeviceRule, Devices};
pub use error::CgroupError;
pub use group::{Group, PARENT};
pub use members::Joiner;
pub use world::{Kind, World};
