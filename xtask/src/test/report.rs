//! The table at the end: passed, failed, not run here and why.

use std::collections::BTreeMap;
use std::process::ExitStatus;

use super::skips::Skip;
use crate::table;

/// How one binary, or the documentation of one crate, went.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) name: String,
    /// Tests that libtest counts as passed or failed.
    pub(super) ran: usize,
    pub(super) ignored: usize,
    pub(super) failed: Vec<String>,
    pub(super) skips: Vec<Skip>,
    /// What the closing line says, where names are missing.
    pub(super) expect_failures: usize,
}

impl Outcome {
    pub(super) fn of(name: &str) -> Self {
        Outcome { name: name.to_owned(), ..Outcome::default() }
    }

    pub(super) fn note_failure(&mut self, test: &str) {
        if !self.failed.iter().any(|known| known == test) {
            self.failed.push(test.to_owned());
        }
    }

    /// Makes the names fit the closing lines.
    pub(super) fn settle(&mut self) {
        self.failed.truncate(self.expect_failures);
        while self.failed.len() < self.expect_failures {
            self.failed.push("(a test without a name)".to_owned());
        }
    }

    /// A binary that dies without a failed test is a failure too. `None`: it took too long.
    pub(super) fn note_end(&mut self, status: Option<ExitStatus>) {
        let words = match status {
            Some(status) if status.success() || !self.failed.is_empty() => return,
            Some(status) => format!("(the binary: {status})"),
            None => "(the binary took too long and was killed)".to_owned(),
        };
        self.failed.push(words);
        self.ran += 1;
    }

    /// Turns skips that `allowed` doesn't hold into failures.
    fn judge(&mut self, allowed: &BTreeMap<String, String>) {
        let (skips, failures): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.skips).into_iter().partition(|skip| allowed.contains_key(&skip.reason));
        self.failed.extend(
            failures.iter().map(|s| format!("{} (a skip that CI doesn't allow: {})", s.test, s.reason)),
        );
        self.skips = skips;
    }

    /// Whether there was nothing to run.
    pub(super) fn is_empty(&self) -> bool {
        self.ran + self.ignored + self.failed.len() == 0
    }

    fn passed(&self) -> usize {
        self.ran.saturating_sub(self.failed.len() + self.skips.len())
    }

    fn not_run(&self) -> usize {
        self.ignored + self.skips.len()
    }

    fn why(&self) -> String {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for skip in &self.skips {
            *reasons.entry(&skip.reason).or_default() += 1;
        }
        if self.ignored > 0 {
            reasons.insert("ignored", self.ignored);
        }
        reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect::<Vec<_>>().join(", ")
    }
}

/// Prints what failed, what did not run and why, the table, and last the totals. `allowed` is given
/// in CI. Returns whether nothing failed.
pub(super) fn print(mut outcomes: Vec<Outcome>, allowed: Option<&BTreeMap<String, String>>) -> bool {
    for outcome in &mut outcomes {
        outcome.skips = super::once(std::mem::take(&mut outcome.skips));
        // A test may fail after it has noted a skip.
        let failed = &outcome.failed;
        outcome.skips.retain(|skip| !failed.contains(&skip.test));
        if let Some(allowed) = allowed {
            outcome.judge(allowed);
        }
    }
    println!();
    for outcome in &outcomes {
        for skip in &outcome.skips {
            println!("SKIP {}: {} {}", skip.test, skip.reason, skip.words);
        }
    }
    for outcome in &outcomes {
        for test in &outcome.failed {
            println!("FAILED {} {test}", outcome.name);
        }
    }
    let row = |o: &Outcome| {
        vec![
            o.name.clone(),
            o.passed().to_string(),
            o.failed.len().to_string(),
            o.not_run().to_string(),
            o.why(),
        ]
    };
    let rows: Vec<_> = outcomes.iter().filter(|o| !o.is_empty()).map(row).collect();
    table::print(&["tests of", "passed", "failed", "not run here", "why"], &rows);
    let sum = |count: fn(&Outcome) -> usize| outcomes.iter().map(count).sum::<usize>();
    let failed = sum(|o| o.failed.len());
    println!("{} passed, {failed} failed, {} skipped", sum(Outcome::passed), sum(Outcome::not_run));
    failed == 0
}

#[cfg(test)]
mod tests {
    use super::Outcome;
    use crate::test::skips::read;

    fn outcome() -> Outcome {
        let skips = read("a\tno-v2\tx\nb\tno-tun\tx\nc\tno-v2\tx\n");
        Outcome { name: "x".into(), ran: 10, failed: vec!["d".into()], skips, ..Outcome::default() }
    }

    #[test]
    fn a_skip_is_taken_off_what_passed() {
        let one = outcome();
        assert_eq!((one.passed(), one.not_run(), one.why().as_str()), (6, 3, "no-tun 1, no-v2 2"));
    }

    #[test]
    fn a_skip_that_is_not_allowed_is_a_failure() {
        let mut one = outcome();
        one.judge(&[("no-v2".to_owned(), "fact".to_owned())].into());
        assert_eq!((one.passed(), one.failed.len(), one.not_run()), (6, 2, 2));
    }
}
