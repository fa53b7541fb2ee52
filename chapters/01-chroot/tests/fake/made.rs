//! What becomes of a faked host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chroot::{Refusal, Report, assemble, needs_of};

use super::Tree;

pub(crate) const NO_LIMIT: u64 = u64::MAX;

pub(crate) fn assembled(host: &Tree, programs: &[&str], limit_bytes: u64) -> (Tree, Report) {
    let into = Tree::new();
    let programs: Vec<PathBuf> = programs.iter().map(PathBuf::from).collect();
    let report = assemble(host.path(), &programs, into.path(), limit_bytes).unwrap();
    (into, report)
}

/// Every file and link below a directory, a link with its text.
pub(crate) fn listing(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        if path.is_symlink() {
            found.insert(format!("{name} -> {}", path.read_link().unwrap().display()));
        } else if path.is_dir() {
            found.extend(listing(&path).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.insert(name);
        }
    }
    found
}

/// Assembles all programs, and looks whether kernel and loader would find in the new root, seen as `/`,
/// what they find on the host, by the same paths; and whether nothing else is there.
#[track_caller]
pub(crate) fn assert_whole(host: &Tree, programs: &[&str], expected: &[&str]) -> Tree {
    let (into, report) = assembled(host, programs, NO_LIMIT);
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    for program in programs.iter().map(Path::new) {
        let there = needs_of(into.path(), program).unwrap();
        assert_eq!(there, needs_of(host.path(), program).unwrap(), "{}", program.display());
    }
    assert_eq!(listing(into.path()), expected.iter().map(ToString::to_string).collect());
    into
}

#[track_caller]
pub(crate) fn only_refusal(report: &Report) -> &Refusal {
    assert_eq!(report.refused.len(), 1, "{:?}", report.refused);
    &report.refused[0].why
}

/// Why the program is refused; the tree that is made without it has no part of it.
#[track_caller]
pub(crate) fn refusal(host: &Tree, program: &str) -> String {
    let (into, report) = assembled(host, &[program], NO_LIMIT);
    assert_eq!(listing(into.path()), BTreeSet::new());
    only_refusal(&report).to_string()
}
