//! What a new user waits for: the first release build, with nothing but the sources fetched.

use std::fs;
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::workspace::{self, Workspace};

/// On two cores.
const MAX_SECONDS: f64 = 120.0;
const MAX_MIB: f64 = 8.0;

pub(super) fn bench() -> Result<bool> {
    let workspace = Workspace::read()?;
    workspace.cargo(&["fetch", "--locked"])?;
    let target = tempfile::tempdir_in(workspace.scratch("bench")?)?;
    println!("+ cargo build --release --locked --offline, into an empty folder");
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--locked", "--offline"]).current_dir(&workspace.root);
    let began = Instant::now();
    workspace::run(command.env("CARGO_TARGET_DIR", target.path()))?;
    let seconds = began.elapsed().as_secs_f64();
    let binary = target.path().join("release/minidocker");
    let bytes = fs::metadata(&binary).with_context(|| format!("look at {}", binary.display()))?.len();
    #[expect(clippy::cast_precision_loss, reason = "a binary has fewer than 2^52 bytes")]
    let mib = bytes as f64 / f64::from(1 << 20);
    println!(
        "cold release build: {seconds:.1} s on {} cores (at most {MAX_SECONDS} s on two)",
        available_parallelism()?
    );
    println!("binary: {mib:.2} MiB (at most {MAX_MIB} MiB)");
    Ok(seconds <= MAX_SECONDS && mib <= MAX_MIB)
}
