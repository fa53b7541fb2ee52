//! Chapter 2: what a process sees of the system, as its own.
//!
//! A namespace is a kernel object that answers one kind of question (which processes are there,
//! which mounts, which users) and that each process points to. A container is a process whose
//! eight pointers lead elsewhere. The bare idea, without root: a process that is number 1,
//! and that names its machine as it likes.
//!
//! ```standalone_crate
//! use sys::{CloneArgs, CloneFlags as F, Cloned};
//! let flags = F::CLONE_NEWUSER | F::CLONE_NEWPID | F::CLONE_NEWUTS;
//! match sys::clone3(&CloneArgs { flags, cgroup: None })? {
//!     Cloned::Child => {
//!         let alone = std::process::id() == 1 && sys::sethostname("box").is_ok();
//!         sys::exit_now(if alone { 0 } else { 1 });
//!     }
//!     Cloned::Parent { pid, .. } => assert_eq!(sys::waitpid(pid)?.code(), Some(0)),
//! }
//! assert_ne!(nix::unistd::gethostname().unwrap(), "box");
//! # Ok::<(), sys::SysError>(())
//! ```
//!
//! | module | what it adds to the bare calls |
//! |---|---|
//! | [`Kind`] | the eight kinds, and which namespace a process is in |
//! | [`idmap`] | which user outside an id inside is, and who may say so |
//! | [`clone()`] | a child that is held until its ids are there, and dies with its parent |
//! | [`Target`] | setns(2), in the order that works |
//! | [`init`] | what process 1 owes to the others |
//! | [`clock`] | the time namespace, which no clone can set |
//! | [`propagation`] | why a new mount namespace is not yet a private one |
#![forbid(unsafe_code)]

mod child;
pub mod clock;
mod enter;
mod helpers;
pub mod idmap;
pub mod init;
mod kind;
mod maps;
pub mod propagation;
mod subids;

pub use child::{SpawnError, become_root, clone, die_with_parent};
pub use enter::Target;
pub use kind::Kind;

/// Brings `lo` up in this network namespace: a new one has it, but down, and then even
/// 127.0.0.1 answers ENETUNREACH.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN in the owner of the network namespace. Source: netdevice(7).
pub fn loopback_up() -> Result<(), sys::SysError> {
    sys::set_interface_up("lo")
}
