//! The programs of the workspace where a reader has them: `target/debug`, and `cargo` in PATH.
//!
//! No cargo is started inside of a transcript. What stands there for it knows the commands of the
//! book, and becomes the program that cargo would have built.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kit::{Minidocker, Who};

/// Demo binaries and examples, with their packages.
const EXAMPLES: [&str; 2] = ["breakout", "gallery"];

const CARGO: &str = r#"#!/bin/sh
# cargo, as far as the book uses it.
at=TARGET word=$1
shift
case $word in
ch[0-9]) exec "$at"/ch0"${word#ch}"-* "$@" ;;
holes) exec "$at/applets" holes "$@" ;;
build) exit 0 ;;
run) ;;
*) echo "cargo $word: the transcripts don't know it" >&2; exit 101 ;;
esac
program=$at/minidocker
while [ $# -gt 0 ]; do
    case $1 in
    -q) shift ;;
    -p) program=$at/$2; shift 2 ;;
    --example) program=$at/examples/$2; shift 2 ;;
    --) shift; break ;;
    *) echo "cargo run $1: the transcripts don't know it" >&2; exit 101 ;;
    esac
done
exec "$program" "$@"
"#;

/// The programs of the workspace, copied to where every user may read them. Goes with the last page.
pub(crate) fn kept() -> Arc<Minidocker> {
    static KEPT: Mutex<Weak<Minidocker>> = Mutex::new(Weak::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.upgrade().unwrap_or_else(|| {
        let place = Arc::new(copies());
        *kept = Arc::downgrade(&place);
        place
    })
}

/// Puts `target/debug` into `dir` and gives the folder to look in for `cargo` and `minidocker`.
pub(crate) fn provide(kept: &Minidocker, dir: &Path) -> PathBuf {
    let target = dir.join("target/debug");
    fs::create_dir_all(target.join("examples")).unwrap();
    for folder in ["", "examples"] {
        for entry in fs::read_dir(kept.room().join("programs").join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::hard_link(entry.path(), target.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
    let bin = dir.join("target/bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(target.join("minidocker"), bin.join("minidocker")).unwrap();
    let cargo = bin.join("cargo");
    fs::write(&cargo, CARGO.replace("TARGET", target.to_str().unwrap())).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

fn copies() -> Minidocker {
    let minidocker = Path::new(env!("CARGO_BIN_EXE_minidocker"));
    let built = minidocker.parent().unwrap();
    let demos = ["ch00-syscalls", "ch01-chroot", "ch02-namespaces", "applets"].map(|name| built.join(name));
    let examples = EXAMPLES.map(|name| built.join("examples").join(name));
    if demos.iter().chain(&examples).any(|program| !program.exists()) {
        // `cargo xtask test` builds them, `cargo test -p minidocker` doesn't.
        let packages =
            ["ch00-syscalls", "ch01-chroot", "ch02-namespaces", "applets"].map(|name| ["-p", name]);
        let mut cargo = Command::new(env!("CARGO"));
        assert!(
            cargo
                .args(["build", "-q"])
                .args(packages.concat())
                .args(["--bins", "--examples"])
                .status()
                .unwrap()
                .success()
        );
    }
    let place = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), Who::Me);
    let to = place.dir("programs");
    fs::create_dir(to.join("examples")).unwrap();
    copy(&[minidocker.to_owned()], &to);
    copy(&demos, &to);
    copy(&examples, &to.join("examples"));
    place
}

/// By cp(1): a descriptor of ours that is open for writing would go into what another thread starts
/// at that moment, and execve(2) would answer ETXTBSY.
fn copy(programs: &[PathBuf], to: &Path) {
    assert!(Command::new("cp").arg("--").args(programs).arg(to).status().unwrap().success());
}
