//! End to end: each case runs the binary as a user would, on a throw-away root.
//!
//! Cases that begin with `kit::common!()` also hold for Docker: `MINIDOCKER_BIN=docker cargo test
//! --test e2e` (Docker needs an image `hostbox`, see `docker.rs`). When a case ends, the harness
//! looks that nothing of its root is left on the host.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod asked;
mod bad_input;
mod bad_programs;
mod bad_rootfs;
mod control;
mod docker;
mod doctor;
mod exit_codes;
mod first_run;
mod flags;
mod floors;
mod foreign_hosts;
mod full_disk;
mod holes;
mod hostile;
mod init;
mod inside;
mod inspect_ps;
mod job_control;
mod kill_rm;
mod later;
mod lost_images;
mod names;
mod no_place;
mod places;
mod records;
mod refused;
mod rootfs;
mod start;
mod starting;
mod stdio;
mod supervisor;
mod surroundings;
mod terminal;
mod unanswered;
mod unwritable;
mod volumes;
mod worlds;

use kit::{Minidocker, Output, Running};

/// A container that says `up` and sleeps until it is killed.
fn sleeper(md: &Minidocker, name: &str) -> Running {
    let mut client =
        md.call(["run", "--name", name, "hostbox", "sh", "-c", "echo up; exec sleep 1000"]).spawn();
    client.expect("up\n");
    client
}

/// `run --rm hostbox sh -c script`.
fn script(md: &Minidocker, script: &str) -> Output {
    md.run(["run", "--rm", "hostbox", "sh", "-c", script])
}

/// `run --rm --rootfs dir …`
fn in_rootfs(md: &Minidocker, dir: &std::path::Path, words: &[&str]) -> Output {
    let before = ["run", "--rm", "--rootfs"].map(std::ffi::OsStr::new);
    md.run(before.into_iter().chain([dir.as_os_str()]).chain(words.iter().map(std::ffi::OsStr::new)))
}

/// The message shows the call, why it failed, and what to do.
#[track_caller]
fn advised(out: &Output, call: &str, because: &str) {
    let err = out.err();
    let line = |begin: &str, text: &str| err.lines().any(|l| l.starts_with(begin) && l.contains(text));
    let told = err.contains(call) && line("  because: ", because.trim_start_matches("because: "));
    assert!(told && line("  do: ", ""), "expected {call:?} and {because:?} in:\n{err}");
}

/// What `inspect` tells about one container.
fn inspect(md: &Minidocker, name: &str) -> serde_json::Value {
    let mut all: Vec<serde_json::Value> =
        serde_json::from_slice(&md.run(["inspect", name]).ok().stdout).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}
