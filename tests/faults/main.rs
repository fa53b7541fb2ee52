//! Failures on purpose: at every step, and at every system call of every process.
//!
//! After each one: the right exit code, one message, nothing left on the host, and the same
//! command works again. The orders are heard by debug builds only.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod blows;
mod calls;
mod steps;
mod sweep;

use kit::Minidocker;

/// Leaves the test unless the binary was built with the ears for it.
#[macro_export]
macro_rules! hears_orders {
    () => {
        kit::require!(cfg!(debug_assertions), "release-build", "only debug builds can be told to fail");
        kit::require!(!kit::Minidocker::is_docker(), "ours-only", "Docker can't be told to fail");
    };
}

/// Whether a message begins with a call, such as `minidocker: openat(…`, and not with what was tried.
fn is_bare(err: &str) -> bool {
    let is_call = |word: &str| {
        let name =
            word.strip_prefix("minidocker: ").and_then(|text| text.split_once('(')).map(|(name, _)| name);
        name.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
    };
    err.lines().any(is_call)
}

/// Any command clears what the dead left; what is left as a container goes by `rm -f`.
fn clear(md: &Minidocker, after: &str) {
    let out = md.line("ps -a");
    assert_eq!(out.code, 0, "ps -a after {after}: {out:?}");
    for dir in md.containers() {
        let out = md.run(["rm".as_ref(), "-f".as_ref(), dir.file_name().unwrap()]);
        assert_eq!(out.code, 0, "rm -f after {after}: {out:?}");
    }
    let left = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| md.nothing_left()));
    assert!(left.is_ok(), "after {after} something is left, see above");
}
