//! Chapter 1: a root file system of one's own.
//!
//! It closes the row `files` of `holes`: a program sees only the tree that we give it. What has
//! to be in that tree ([`elf`], [`needs_of`], [`assemble`]), how to name a file in a tree that we
//! don't trust ([`Root`]), what is mounted into it ([`mount_in`], [`populate_dev`]), and how to
//! make it the root: [`enter_chroot`], out of which root can break, and [`pivot_into`].
//!
//! The bare idea, a process whose `/` holds one file:
//!
//! ```
//! use std::path::Path;
//! use sys::{MntFlags, MsFlags, SysError};
//!
//! fn enter(rootfs: &Path) -> Result<(), SysError> {
//!     sys::borrowed_room()?; // a mount namespace of our own, the matter of chapter 2
//!     sys::mount(Some(rootfs), rootfs, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)?;
//!     sys::chdir(rootfs)?;
//!     sys::pivot_root(Path::new("."), Path::new("."))?; // the old root lies on the new one now
//!     sys::umount2(Path::new("."), MntFlags::MNT_DETACH)?;
//!     sys::chdir(Path::new("/"))
//! }
//!
//! let rootfs = tempfile::tempdir().unwrap();
//! std::fs::write(rootfs.path().join("only"), "").unwrap();
//! # if !std::process::Command::new("unshare").args(["-Um", "true"]).status().unwrap().success() { return }
//! match sys::clone3(&sys::CloneArgs::default()).unwrap() {
//!     sys::Cloned::Child => sys::exit_now(match enter(rootfs.path()) {
//!         Ok(()) => std::fs::read_dir("/").unwrap().count() as i32,
//!         Err(_) => 99,
//!     }),
//!     sys::Cloned::Parent { pid, .. } => assert_eq!(sys::waitpid(pid).unwrap().code(), Some(1)),
//! }
//! ```
//!
//! The engine's runtime calls the same functions in another order and with a `Spec` in hand.
//! runc does, beyond this, what a hostile process in the tree at the same time would demand.
#![forbid(unsafe_code)]

mod assemble;
mod cache;
mod closure;
mod dev;
pub mod elf;
mod enter;
mod mounts;
mod root;
mod search;
mod walk;

pub use assemble::{Refused, Report, Source, assemble};
pub use closure::{Refusal, needs_of};
pub use dev::{Device, Nodes, bind_console, default_devices, link_dev, make_devices, populate_dev};
pub use enter::{enter_chroot, pivot_into};
pub use mounts::{Mount, MountError, mount_in};
pub use root::{READ_LIMIT_BYTES, Root};
pub use search::MissingLibrary;
