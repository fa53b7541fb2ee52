//! Mounts one overlay and runs a command that sees it, for the tests.
//!
//! `overlay [--userxattr] [--volatile] MERGED UPPER WORK LOWER... -- COMMAND...`, or
//! `overlay [--userxattr] --supported DIR`. To be run in a mount namespace of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use overlayfs::{Overlay, OverlayError};

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut flag = |name: &str| {
        let before = words.len();
        words.retain(|w| w != name);
        words.len() < before
    };
    let (userxattr, volatile, supported) = (flag("--userxattr"), flag("--volatile"), flag("--supported"));
    let done = if supported {
        overlayfs::supported(Path::new(&words[0]), userxattr).map(|()| ExitCode::SUCCESS)
    } else {
        mounted(&words, userxattr, volatile)
    };
    done.unwrap_or_else(|e| {
        println!("{e}");
        ExitCode::from(125)
    })
}

fn mounted(words: &[String], userxattr: bool, volatile: bool) -> Result<ExitCode, OverlayError> {
    let mut parts = words.splitn(2, |w| w == "--");
    let paths: Vec<PathBuf> = parts.next().unwrap_or_default().iter().map(PathBuf::from).collect();
    let command = parts.next().unwrap_or_default();
    let overlay = Overlay {
        lower: paths[3..].to_vec(),
        upper: paths[1].clone(),
        work: paths[2].clone(),
        userxattr,
        volatile,
    };
    overlay.mount(&paths[0])?;
    let status = Command::new(&command[0]).args(&command[1..]).current_dir(&paths[0]).status();
    Ok(status.ok().and_then(|s| s.code()).map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)))
}
