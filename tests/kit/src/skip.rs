//! Skips that are counted: `cargo xtask test` lists them, and in CI a reason must be allowed.

use std::io::Write;
use std::path::Path;

/// Goes on only if `condition` holds; else notes the skip and leaves the test.
///
/// `reason` is one word of `tests/allowed-skips.txt`, `words` say what was missing here.
#[macro_export]
macro_rules! require {
    ($condition:expr, $reason:expr, $words:expr) => {
        if !$condition {
            $crate::skip($reason, &$words);
            return;
        }
    };
}

/// The binary under test for a case that only minidocker knows; leaves the test under `MINIDOCKER_BIN=docker`.
///
/// `ours!()` runs as the user of the tests, `ours!(who)` as another one.
#[macro_export]
macro_rules! ours {
    () => {
        $crate::ours!($crate::Who::Me)
    };
    ($who:expr) => {{
        $crate::require!(!$crate::Minidocker::is_docker(), "ours-only", "Docker has no such thing");
        $crate::Minidocker::new(env!("CARGO_BIN_EXE_minidocker"), $who)
    }};
}

/// The binary under test, or `$MINIDOCKER_BIN`: a case that holds for both.
#[macro_export]
macro_rules! common {
    () => {{
        $crate::require!(
            !$crate::is_newer_than_docker(),
            "newer-than-docker",
            "this Docker is older, see tests/e2e/newer.txt"
        );
        $crate::Minidocker::new(env!("CARGO_BIN_EXE_minidocker"), $crate::Who::Me)
    }};
}

/// Whether the running test is one that the Docker at hand is too old for.
#[must_use]
pub fn is_newer_than_docker() -> bool {
    let list = include_str!("../../e2e/newer.txt");
    crate::Minidocker::is_docker() && list.lines().any(|l| l.split('\t').next() == Some(&test_name()))
}

/// Notes `name TAB reason TAB words` in the file that `$MINIDOCKER_SKIPS` names, and says so.
pub fn skip(reason: &str, words: &impl ToString) {
    let (name, words) = (test_name(), words.to_string());
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    println!("SKIP {name}: {reason}: {words}");
    if let Some(path) = std::env::var_os("MINIDOCKER_SKIPS") {
        note(Path::new(&path), &format!("{name}\t{reason}\t{words}\n"));
    }
}

fn note(path: &Path, line: &str) {
    // One write of one line: O_APPEND keeps the lines of parallel tests whole.
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut f| f.write_all(line.as_bytes())).expect("write to MINIDOCKER_SKIPS");
}

/// libtest names the thread of a test after the test.
fn test_name() -> String {
    std::thread::current().name().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_skip_is_one_line_of_three_fields() {
        let file = std::env::temp_dir().join(format!("kit-skips-{}", std::process::id()));
        super::note(&file, "a\tb\tc\n");
        super::note(&file, "d\te\tf\n");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\tb\tc\nd\te\tf\n");
        std::fs::remove_file(file).unwrap();
    }
}
