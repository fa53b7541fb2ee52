//! The classic way out of a chroot, for whoever is root in it.
//!
//! chroot(2) changes where absolute paths begin, and stops `..` there. It doesn't move the
//! working directory. So make a second root below the first and stay outside of it: `..` then
//! never passes our own root, and nothing stops it before the real one.
//!
//! ```console
//! $ cargo build --example breakout
//! $ cargo ch1 --chroot $PWD/target/debug/examples/breakout ls /     # the host's files
//! $ cargo ch1 $PWD/target/debug/examples/breakout ls /              # the same few as before
//! ```
//!
//! With pivot_root(2) the same calls succeed and lead nowhere: above the root is no mount.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// More steps than any path has; at the real root `..` stays where it is.
const STEPS: usize = 1024;

fn main() -> Result<ExitCode> {
    let before = root_id()?;
    sys::mkdir(Path::new("/cell"), 0o700)?;
    sys::chdir(Path::new("/"))?;
    sys::chroot(Path::new("/cell"))?;
    // Our working directory is above our root now, so this is the name of that root.
    sys::rmdir(Path::new("cell"))?;
    for _ in 0..STEPS {
        sys::chdir(Path::new(".."))?;
    }
    sys::chroot(Path::new("."))?;
    println!("{}", if root_id()? == before { "still in the same root" } else { "out of the root" });

    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else { return Ok(ExitCode::SUCCESS) };
    let status = Command::new(&program).args(words).status().with_context(|| format!("{program:?}"))?;
    Ok(ExitCode::from(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1)))
}

/// Which directory `/` is.
fn root_id() -> Result<(u64, u64)> {
    let root = std::fs::metadata("/").context("stat /")?;
    Ok((root.dev(), root.ino()))
}
