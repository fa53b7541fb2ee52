//! The same answer as ldd(1), for programs of this host.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use chroot::{Refusal, needs_of};

/// Every path in what the loader itself says, links resolved.
fn ldd(program: &Path) -> Option<BTreeSet<PathBuf>> {
    // By its real name: the kernel tells a started program that one as $ORIGIN, ldd the link's.
    let out = Command::new("ldd")
        .arg(program.canonicalize().unwrap())
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    if !out.status.success() {
        return None;
    }
    let text = String::from_utf8(out.stdout).unwrap();
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    Some(paths.map(|path| Path::new(path).canonicalize().unwrap()).collect())
}

#[test]
fn libraries_are_those_that_ldd_names() {
    // Enough to meet RUNPATH, private directories and long chains; all of them take a minute.
    let most: usize = std::env::var("CH01_PROGRAMS").map_or(60, |n| n.parse().unwrap());
    let mut compared = 0;
    let mut programs: Vec<PathBuf> =
        std::fs::read_dir("/usr/bin").unwrap().map(|e| e.unwrap().path()).collect();
    programs.sort();
    let step = (programs.len() / most).max(1);
    for program in programs.into_iter().step_by(step) {
        let ours = match needs_of(Path::new("/"), &program) {
            Ok(needs) => needs,
            Err(Refusal::Library(missing)) => {
                assert_eq!(ldd(&program).filter(|l| !l.is_empty()), None, "{missing}");
                continue;
            }
            Err(_) => continue,
        };
        // ldd doesn't name the program, nor what glibc opens by itself.
        let ours: BTreeSet<PathBuf> = ours[1..]
            .iter()
            .filter(|p| !p.to_string_lossy().contains("libnss_") && !p.ends_with("ld.so.cache"))
            .map(|p| p.canonicalize().unwrap())
            .collect();
        if !ours.is_empty() {
            assert_eq!(Some(ours), ldd(&program), "{}", program.display());
            compared += 1;
        }
    }
    assert!(compared > 5, "only {compared} dynamic programs in /usr/bin");
}
