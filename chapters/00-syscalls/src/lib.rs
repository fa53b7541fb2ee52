//! Chapter 0: what a program asks of the kernel.
//!
//! The only door of this workspace to calls that change the system, and the only
//! place with `unsafe`. Each wrapper is one system call: the kernel's name, its
//! argument order, typed flags, no policy. It shows its arguments once, in the
//! shape of strace(1), for the error ([`SysError`]) and for the [`Event`].
//!
//! The bare idea, a program that runs another one and waits for it:
//!
//! ```
//! match sys::clone3(&sys::CloneArgs::default())? {
//!     sys::Cloned::Child => {
//!         let argv = [c"/bin/true".to_owned()];
//!         let err = sys::execve(c"/bin/true", &argv, &[]);
//!         eprintln!("{err}");
//!         sys::exit_now(127);
//!     }
//!     sys::Cloned::Parent { pid, .. } => {
//!         let status = sys::waitpid(pid)?;
//!         assert_eq!(status.code(), Some(0));
//!     }
//! }
//! # Ok::<(), sys::SysError>(())
//! ```
//!
//! (rustdoc runs this on a thread of its own, which [`clone3`] would refuse with a
//! user namespace; a plain child is allowed.)
#![allow(unsafe_code)]

mod call;
mod clone;
mod cred;
mod error;
mod event;
mod fd;
mod files;
mod hints;
mod mounts;
mod net;
mod ns;
mod process;
mod shown;
mod tty;

pub use clone::{CloneArgs, CloneFlags, Cloned, clone3, vfork};
pub use cred::{
    CapSets, cap_ambient_clear, cap_ambient_raise, cap_bounding_drop, capget, capset, set_dumpable,
    set_keepcaps, set_no_new_privs, setgroups, setresgid, setresuid, setrlimit,
};
pub use error::{Result, SysError};
pub use event::{Event, Role, context, set_role, set_sink, sink_is_set};
pub use fd::{close_all_but, inherited};
pub use files::{chdir, chroot, fchdir, mkdir, mknodat, open_in_root, rmdir, write_fd, write_file};
pub use hints::{Hint, hint};
pub use mounts::{
    fsconfig_create, fsconfig_set, fsmount, fsopen, mount, mount_setattr, move_mount, open_tree, pivot_root,
    umount2,
};
pub use net::set_interface_up;
pub use nix::errno::Errno;
pub use nix::mount::{MntFlags, MsFlags};
pub use nix::sys::signal::Signal;
pub use nix::unistd::{Gid, Pid, Uid};
pub use ns::{borrowed_room, sethostname, setns, unshare};
pub use process::{
    ExitStatus, default_signals, execve, exit_now, ignore_signal, join_session_keyring, kill, pdeathsig,
    pidfd_open, pidfd_send_signal, setsid, start_helper, waitpid, waitpid_nohang,
};
pub use rustix::mount::MountAttrFlags;
pub use tty::{controlling_terminal, open_ptmx};
