//! What the tests of the whole binary stand on.
//!
//! | module | what it gives |
//! |---|---|
//! | [`Minidocker`] | the binary under test on a throw-away root, as one of several users |
//! | [`Running`], [`Output`] | a started command with a bounded time, and what it left |
//! | [`Left`], [`HostSnapshot`] | what one root left on the host; the host before and after |
//! | [`Who`] | the user of the tests, a plain user, a plain user with a single id |
//! | [`As`] | root of the host, root of a user namespace: whose a mount namespace is |
//! | [`debian`], [`small_rootfs`] | root file systems |
//! | [`without`] | a kernel that lacks some calls |
//! | [`require!`] | a skip that is counted, with its reason |
//! | [`Dockerd`] | Docker's daemon in a room of its own, to run the same cases against it |
//!
//! A test begins with `let md = kit::ours!();` (or `kit::common!();` for a case that also holds
//! for Docker) and needs no clean-up: when `md` goes, its containers are removed with
//! `rm -f`, and the test fails if a process, a mount, a cgroup or an open file of that very
//! root is still there. Tests run in parallel; each sees only what its own root made.
//!
//! Everything here lives below `/var/tmp/minidocker-tests-<uid>` (or `$MINIDOCKER_TEST_DIR`):
//! `t/` holds the throw-away roots, `cache/` a copy of the binary that every user may
//! read, stores with `hostbox` ready, and a Debian tree. A killed test run leaves its `t/` to be
//! removed by the next one.
//!
//! A helper that can't go on panics: in a test that is the message.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod call;
mod diff;
mod filter;
mod minidocker;
mod output;
mod peers;
mod place;
mod processes;
mod pty;
mod room;
mod room_of;
mod rootfs;
mod running;
mod skip;
mod snapshot;
mod store;
mod who;
mod words;

pub use call::Call;
pub use diff::{difference, tree};
pub use filter::{example, may_filter, without};
pub use minidocker::Minidocker;
pub use output::Output;
pub use peers::Dockerd;
pub use processes::Process;
pub use room_of::As;
pub use rootfs::{add_program, debian, give, small_rootfs};
pub use running::Running;
pub use skip::{is_newer_than_docker, skip};
pub use snapshot::{HostSnapshot, Left};
pub use who::Who;
pub use words::words;
