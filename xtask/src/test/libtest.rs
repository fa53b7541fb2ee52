//! What libtest and rustdoc print about a run of tests.

use super::report::Outcome;

/// Reads `output`. Each `Doc-tests NAME` opens an outcome of its own; before the first, it is `name`'s.
pub(super) fn outcomes(output: &str, name: &str) -> Vec<Outcome> {
    let mut all: Vec<Outcome> = Vec::new();
    let mut current = Outcome::of(name);
    let mut in_failures = false;
    for line in output.lines() {
        if let Some(library) = line.trim_start().strip_prefix("Doc-tests ") {
            all.push(std::mem::replace(&mut current, Outcome::of(&format!("{library} documentation"))));
        } else if let Some((_, totals)) = line.split_once("test result: ") {
            // A program that a test started may have left words on the line.
            current.ran += number_before(totals, " passed") + number_before(totals, " failed");
            current.ignored += number_before(totals, " ignored");
            current.expect_failures += number_before(totals, " failed");
            in_failures = false;
        } else if line == "failures:" {
            in_failures = true;
        } else if let Some(test) = line.strip_prefix("    ").filter(|_| in_failures) {
            current.note_failure(test);
        } else if in_failures && line.starts_with("---- ") {
            // The first `failures:` opens the words of the tests, the second one their names.
            in_failures = false;
        }
    }
    all.push(current);
    all.retain(|outcome| !outcome.is_empty());
    all.iter_mut().for_each(Outcome::settle);
    all
}

/// The number before `word` in `3 passed; 0 failed; …`.
fn number_before(totals: &str, word: &str) -> usize {
    let before = totals.split(word).next().filter(|before| before.len() < totals.len());
    let digits = before.and_then(|text| text.rsplit(|c: char| !c.is_ascii_digit()).next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::outcomes;

    const FAILED: &str = "running 3 tests\ntest a::ok ... ok\ntest a::bad ... FAILED\n\nfailures:\n\n\
        ---- a::bad stdout ----\n\n    four spaces of panic\n\nfailures:\n    a::bad\n\n\
        junk test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n";

    #[test]
    fn the_closing_lines_are_counted_and_failures_named() {
        let all = outcomes(FAILED, "x");
        let [one] = &all[..] else { panic!("{all:?}") };
        assert_eq!((one.ran, one.ignored, &one.failed[..]), (2, 1, &["a::bad".to_owned()][..]));
    }

    #[test]
    fn each_crate_has_its_documentation() {
        let line =
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s\n";
        let output = format!("   Doc-tests sys\n{line}{line}   Doc-tests kit\n{line}");
        let seen: Vec<_> = outcomes(&output, "-").iter().map(|o| (o.name.clone(), o.ran)).collect();
        assert_eq!(seen, [("sys documentation".to_owned(), 4), ("kit documentation".to_owned(), 2)]);
    }

    #[test]
    fn a_failure_without_a_name_is_counted() {
        let all = outcomes("test result: FAILED. 0 passed; 2 failed; 0 ignored", "x");
        assert_eq!(all[0].failed.len(), 2);
    }
}
