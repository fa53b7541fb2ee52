//! The stored bounds: they may only sink.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::trace::Counts;

/// Set to 1, bounds that are too high sink to what was counted.
const LOWER: &str = "MINIDOCKER_GUARD_LOWER";

/// How far a count may lie above its bound, in calls and in parts of a hundred, and why not only 0:
/// on one machine only `waits`, `allocations` and `bytes` differ from one run to the next.
fn slack(kind: &str) -> (u64, u64) {
    match kind {
        // How often a waiting process wakes up depends on who is first.
        "waits" => (6, 0),
        // /proc is read in pieces that double, and mountinfo is as long as the host makes it.
        "reads" => (12, 0),
        // Of Docker's 17 masked and read-only paths each kernel has others.
        "opens" | "closes" => (12, 0),
        "looks" | "mounts" => (6, 0),
        "all" => (48, 0),
        // The host's: its libraries and how glibc loads them, its programs in hostbox.
        "loader" | "host" => (40, 30),
        // The heap grows by pages.
        "memory" => (4, 0),
        // Paths, names and numbers of processes are longer or shorter; what depends on the host, as above.
        "allocations" => (50, 1),
        "bytes" => (4_096, 5),
        _ => (0, 0),
    }
}

fn path() -> PathBuf {
    // Cargo runs tests in the folder of their package.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guard/bounds.txt")
}

/// `WHO COMMAND KIND BOUND` a line.
fn read() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(key, n)| (key.to_owned(), n.parse().unwrap()))
        .collect()
}

/// Fails if one of `counts` lies above its bound, or has none.
pub(crate) fn hold(who: &str, command: &str, counts: &Counts) {
    static WRITING: Mutex<()> = Mutex::new(());
    let writing = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut bounds = read();
    let lower = std::env::var_os(LOWER).is_some();
    let (mut above, mut below) = (String::new(), String::new());
    for (kind, count) in counts {
        let key = format!("{who} {command} {kind}");
        let bound = bounds.get(&key).copied();
        println!("{key} {count}, bound {bound:?}");
        let (calls, percent) = slack(kind);
        let most = bound.map(|bound| bound + calls + bound * percent / 100);
        if lower {
            bounds.insert(key.clone(), bound.map_or(*count, |bound| bound.min(*count)));
        }
        if most.is_none_or(|most| *count > most) && !(lower && bound.is_none()) {
            let _ = writeln!(
                above,
                "  {key} {count}, the bound is {}",
                bound.map_or("missing".into(), |b| b.to_string())
            );
        } else if !lower && bound.is_some_and(|bound| *count + calls + bound / 10 < bound) {
            let _ = writeln!(below, "  {key} {count}, the bound is {}", bound.unwrap_or_default());
        }
    }
    if lower {
        write(&bounds);
    }
    drop(writing);
    let how = format!("{LOWER}=1 cargo test -p minidocker --test guard");
    if !below.is_empty() {
        println!("well below the bounds:\n{below}so lower them: {how}");
    }
    assert!(
        above.is_empty(),
        "above the bounds of tests/guard/bounds.txt:\n{above}Do less; if the work is worth its price, raise the line by hand and \
         say why in the commit. A missing line is written by {how}"
    );
}

fn write(bounds: &BTreeMap<String, u64>) {
    let head = "# What our processes may do for one command: WHO COMMAND KIND BOUND, in a debug build. See tests/guard.\n\
                # They may only sink: MINIDOCKER_GUARD_LOWER=1 cargo test -p minidocker --test guard\n";
    let lines: String = bounds.iter().map(|(key, bound)| format!("{key} {bound}\n")).collect();
    std::fs::write(path(), head.to_owned() + &lines).expect("write tests/guard/bounds.txt");
}
