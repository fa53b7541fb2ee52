//! The book's transcripts, run: what a page shows is what the programs of this workspace print.
//!
//! Every block that is fenced as `console` is typed, in the order of its page, into one shell with a
//! fresh directory and a fresh store. `$` is typed by a plain user and `#` by root. Root runs each
//! page twice: once with a plain user beside it, once as root for both prompts.
//!
//! | in a block | means |
//! |---|---|
//! | `console,plain` | holds for a plain user only |
//! | `console,tty` | one command, on a terminal; what stands behind `[…] … # ` is typed there |
//! | `[..]` in a line of output | anything |
//! | `...` alone in a line of output | any number of lines |
//! | `\` at the end of a command | it goes on behind `> ` |
//!
//! At most a tenth of the characters of a page's transcripts may be matched by wildcards alone.
//! `cargo xtask book --bless` writes what was printed into the pages; a line that a wildcard
//! already matches stays as it is.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod claims;
mod console;
mod page;
mod probes;
mod programs;
mod shell;
mod wildcards;

use std::fs;
use std::path::{Path, PathBuf};

/// Each page that has a transcript, by the name of its tests.
macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {
        const PAGES: &[&str] = &[$($path),*];
        $(mod $name {
            #[test]
            fn as_a_plain_user() {
                kit::require!(crate::userns_allowed(), "no-userns", "user namespaces are forbidden here");
                crate::holds(crate::page::run($path, false));
            }

            #[test]
            fn as_root() {
                kit::require!(crate::is_root(), "not-root", "only root can type what stands behind #");
                crate::holds(crate::page::run($path, true));
            }
        })*
    };
}

pages! {
    chapter_0: "00-syscalls.md",
    chapter_1: "01-chroot.md",
    chapter_2: "02-namespaces.md",
    introduction: "introduction.md",
}

/// Fails the test with words that stand on lines of their own.
fn holds(result: Result<(), String>) {
    if let Err(why) = result {
        panic!("{why}");
    }
}

/// Whether this machine lets us make a user namespace.
fn userns_allowed() -> bool {
    std::process::Command::new("unshare").args(["-Um", "true"]).status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The folder of the pages.
fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../book/src")
}

#[test]
fn every_page_with_a_transcript_is_run() {
    let mut pages = Vec::new();
    for entry in fs::read_dir(src()).unwrap() {
        let path = entry.unwrap().path();
        let is_page = path.extension().is_some_and(|e| e == "md");
        if is_page && !console::blocks(&fs::read_to_string(&path).unwrap()).unwrap().is_empty() {
            pages.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    pages.sort();
    assert_eq!(pages, PAGES, "main.rs names the pages that are run");
}
