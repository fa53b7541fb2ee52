//! Two worlds compared line by line.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// `- line` for what went and `+ line` for what came; empty when both are the same.
#[must_use]
pub fn difference(before: &BTreeSet<String>, after: &BTreeSet<String>) -> String {
    let gone = before.difference(after).map(|l| format!("- {l}\n"));
    let come = after.difference(before).map(|l| format!("+ {l}\n"));
    gone.chain(come).collect()
}

/// One line for each file below `dir`: mode, owner, size, and the times of the last change of its
/// content and of its metadata. A write of any
/// kind changes the last one (left out where hard links share the file). What we may not read is one line.
#[must_use]
pub fn tree(dir: &Path) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    walk(dir, dir, &mut lines);
    lines
}

fn walk(top: &Path, dir: &Path, lines: &mut BTreeSet<String>) {
    lines.insert(line(top, dir));
    let entries = match fs::read_dir(dir) {
        // Root's home in a Debian tree, for a plain user.
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return,
        entries => entries.unwrap_or_else(|e| panic!("read {}: {e}", dir.display())),
    };
    for entry in entries {
        let path = entry.unwrap().path();
        lines.insert(line(top, &path));
        if path.symlink_metadata().unwrap().is_dir() {
            walk(top, &path, lines);
        }
    }
}

fn line(top: &Path, path: &Path) -> String {
    let m = path.symlink_metadata().unwrap();
    let name = path.strip_prefix(top).unwrap().display();
    // A hard link made elsewhere changes the ctime of a shared file.
    let shared = !m.is_dir() && m.nlink() > 1;
    let ctime = if shared { (0, 0) } else { (m.ctime(), m.ctime_nsec()) };
    let changed = format!("{}.{} {}.{}", m.mtime(), m.mtime_nsec(), ctime.0, ctime.1);
    format!("{name} {:o} {}:{} {} {changed}", m.mode(), m.uid(), m.gid(), m.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_both_sides() {
        let set = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect();
        assert_eq!(difference(&set(&["a", "b"]), &set(&["b", "c"])), "- a\n+ c\n");
        assert_eq!(difference(&set(&["a"]), &set(&["a"])), "");
    }
}
