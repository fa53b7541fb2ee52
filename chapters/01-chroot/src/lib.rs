//! Chapter 1: a root file system of one's own.
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
mod tree;
mod walk;

pub use assemble::{AssembleError, Refused, Report, Source, assemble, find_program};
pub use closure::{Needs, Refusal, needs_of};
pub use dev::{DEVICE_MODE, DEVICES, DevError, Device, Nodes, bind_console, bind_device, populate_dev};
pub use enter::{enter_chroot, pivot_into};
pub use mounts::{Mount, MountError, mount_in};
pub use root::{READ_LIMIT_BYTES, ReadError, Root};
pub use search::MissingLibrary;
