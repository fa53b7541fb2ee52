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
    let cpu_before = cpu_of_children()?;
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--locked", "--offline"]).current_dir(&workspace.root);
    let began = Instant::now();
    workspace::run(command.env("CARGO_TARGET_DIR", target.path()))?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu = cpu_of_children()? - cpu_before;
    let binary = target.path().join("release/minidocker");
    let bytes = fs::metadata(&binary).with_context(|| format!("look at {}", binary.display()))?.len();
    #[expect(clippy::cast_precision_loss, reason = "a binary has fewer than 2^52 bytes")]
    let mib = bytes as f64 / f64::from(1 << 20);
    println!(
        "cold release build: {seconds:.1} s on {} cores (at most {MAX_SECONDS} s on two)",
        available_parallelism()?
    );
    println!("  {cpu:.1} s of CPU, which other work on the machine stretches less");
    println!("binary: {mib:.2} MiB (at most {MAX_MIB} MiB)");
    Ok(seconds <= MAX_SECONDS && mib <= MAX_MIB)
}

/// Seconds of CPU of the processes that this one has waited for, with theirs (proc(5), cutime, cstime).
fn cpu_of_children() -> Result<f64> {
    // USER_HZ, by which /proc counts on every Linux.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
    // The name may hold blanks and parentheses; after it, state is field 3 and cutime field 16.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(16 - 3).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>();
    Ok(f64::from(ticks.context("read /proc/self/stat")?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_cpu_of_a_child_is_counted() {
        let before = super::cpu_of_children().unwrap();
        let burn = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", burn]).status().unwrap().success());
        assert!(super::cpu_of_children().unwrap() > before);
    }
}
