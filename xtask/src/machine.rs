//! The other machine: the whole workspace must compile for aarch64 as well.
//!
//! Nothing is linked: where a build script links a program, a script that makes an empty file stands
//! for the linker, so that no cross compiler is needed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::test;
use crate::workspace::{self, Workspace};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "#!/bin/sh\nwhile [ $# -gt 1 ] && [ \"$1\" != -o ]; do shift; done\n: >\"$2\"\n";
/// The reason in the list of allowed skips.
const MISSING: &str = "no-aarch64";

/// Checks the workspace for aarch64, if this toolchain has or (in CI) can get its standard library.
pub(crate) fn check(workspace: &Workspace) -> Result<bool> {
    if !(is_there()? || test::is_ci() && is_added()) {
        println!("SKIP {TARGET}: {MISSING} `rustup target add {TARGET}` has not been run, or can't be");
        return Ok(!test::is_ci() || test::is_allowed(&workspace.root, MISSING)?);
    }
    let linker = workspace.scratch("linker")?.join("empty-file");
    fs::write(&linker, LINKER).with_context(|| format!("write {}", linker.display()))?;
    fs::set_permissions(&linker, fs::Permissions::from_mode(0o755)).context("chmod of the linker")?;
    let arguments = ["check", "--workspace", "--all-targets", "--target", TARGET];
    println!("+ cargo {}", arguments.join(" "));
    let mut cargo = workspace::cargo();
    cargo.args(arguments).current_dir(&workspace.root);
    let variable = format!("CARGO_TARGET_{}_LINKER", TARGET.to_uppercase().replace('-', "_"));
    workspace::run(cargo.env(variable, linker)).map(|()| true)
}

/// Whether the compiler has the standard library of that machine.
fn is_there() -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let out = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let out = out.context("start rustc")?;
    if !out.status.success() {
        bail!("rustc doesn't know {TARGET}");
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&out.stdout).trim_end()).is_dir())
}

/// Where nobody watches we may ask for it.
fn is_added() -> bool {
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}
