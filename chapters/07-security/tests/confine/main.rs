//! Confined programs, as root of the host, as root of a user namespace, and as a plain user.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod capabilities;
mod paths;
mod run;
