//! `cargo xtask test`: every test of the workspace, and one table at the end.
//!
//! Each test binary is started by itself, so that a skip, a failure or a hang belongs to one of
//! them. A test that can't run here calls `kit::require!`, which returns from the test and
//! appends `name TAB reason TAB words` to the file that `MINIDOCKER_SKIPS` names. libtest counts such
//! a test as passed, so it is taken off again.

mod binaries;
mod libtest;
mod report;
mod skips;

use std::collections::HashSet;
use std::fs::{self, File};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{path::Path, path::PathBuf, thread};

use anyhow::{Context, Result};
use clap::Args;

use crate::workspace::{self, Workspace};
use binaries::TestBinary;
use report::Outcome;

/// A binary that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(600);

/// What to test.
#[derive(Args, Default)]
pub(crate) struct Selection {
    /// Only this package (may be repeated).
    #[arg(short, long)]
    package: Vec<String>,
    /// Only tests whose name holds this.
    filter: Option<String>,
}

impl Selection {
    /// The packages, as arguments for cargo.
    fn packages(&self) -> Vec<&str> {
        match self.package[..] {
            [] => vec!["--workspace"],
            _ => self.package.iter().flat_map(|name| ["-p", name]).collect(),
        }
    }
}

/// Runs the tests and prints the table; whether all is well.
pub(crate) fn run(selection: &Selection) -> Result<bool> {
    let workspace = Workspace::read()?;
    let allowed = skips::allowed(&workspace.root)?;
    let scratch = workspace.scratch("test")?;
    let binaries = binaries::build(&workspace, &selection.packages())?;
    let mut outcomes = Vec::new();
    for binary in &binaries.tests {
        let command = binaries.command(binary, &workspace, selection.filter.as_deref());
        outcomes.push(run_binary(binary, command, &scratch)?);
    }
    outcomes.extend(doc_tests(&workspace, selection, &scratch)?);
    Ok(report::print(outcomes, is_ci().then_some(&allowed)))
}

/// Whether nobody watches (`CI=true`): a skip must then be allowed.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1")
}

/// Whether the list of allowed skips has this reason for this user.
pub(crate) fn is_allowed(root: &Path, reason: &str) -> Result<bool> {
    Ok(skips::allowed(root)?.contains_key(reason))
}

fn run_binary(binary: &TestBinary, command: Command, scratch: &Path) -> Result<Outcome> {
    let run = Run::start(command, scratch, &binary.name)?;
    let mut outcome =
        libtest::outcomes(&run.output, &binary.name).pop().unwrap_or_else(|| Outcome::of(&binary.name));
    outcome.note_end(run.status);
    outcome.skips = run.skips;
    show(&outcome, &run.output, run.took);
    Ok(outcome)
}

/// Documentation has its own runner, which only cargo can start.
fn doc_tests(workspace: &Workspace, selection: &Selection, scratch: &Path) -> Result<Vec<Outcome>> {
    let mut command = workspace::cargo();
    command.args(["test", "--doc", "--no-fail-fast"]).args(selection.packages()).current_dir(&workspace.root);
    if let Some(filter) = &selection.filter {
        command.args(["--", filter]);
    }
    let run = Run::start(command, scratch, "documentation")?;
    let mut outcomes = libtest::outcomes(&run.output, "documentation");
    if outcomes.iter().all(|outcome| outcome.failed.is_empty()) {
        let mut all = Outcome::of("documentation");
        all.note_end(run.status);
        all.skips = run.skips;
        outcomes.extend((!all.failed.is_empty() || !all.skips.is_empty()).then_some(all));
    }
    let failed = outcomes.iter().any(|outcome| !outcome.failed.is_empty());
    if failed {
        print!("{}", run.output);
    }
    println!("documentation: {} crates, {:.1} s", outcomes.len(), run.took.as_secs_f32());
    Ok(outcomes)
}

fn show(outcome: &Outcome, output: &str, took: Duration) {
    if !outcome.failed.is_empty() {
        print!("{output}");
    }
    if !outcome.is_empty() {
        let failed = outcome.failed.len();
        println!("{}: {} ran, {failed} failed, {:.1} s", outcome.name, outcome.ran, took.as_secs_f32());
    }
}

/// A command that has ended.
struct Run {
    /// `None`: it took too long and was killed.
    status: Option<ExitStatus>,
    output: String,
    skips: Vec<skips::Skip>,
    took: Duration,
}

impl Run {
    /// Runs `command` to its end, its words and its skips into files of `scratch`.
    fn start(mut command: Command, scratch: &Path, name: &str) -> Result<Run> {
        let stem = name.replace(['/', ' '], "-");
        let file = |ending: &str| -> PathBuf { scratch.join(format!("{stem}.{ending}")) };
        let (log, skips) = (file("log"), file("skips"));
        File::create(&skips).with_context(|| format!("make {}", skips.display()))?;
        let out = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).env("MINIDOCKER_SKIPS", &skips);
        let began = Instant::now();
        let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let status = loop {
            match child.try_wait()? {
                Some(status) => break Some(status),
                None if began.elapsed() > LONGEST => {
                    child.kill()?;
                    child.wait()?;
                    break None;
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        let output = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let skips = skips::read(&fs::read_to_string(&skips)?);
        Ok(Run { status, output, skips, took: began.elapsed() })
    }
}

/// The skips of one binary, each test once: a test may ask for two things.
fn once(skips: Vec<skips::Skip>) -> Vec<skips::Skip> {
    let mut seen = HashSet::new();
    skips.into_iter().filter(|skip| seen.insert(skip.test.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Run, once, skips};

    fn run(script: &str) -> Run {
        let scratch = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Run::start(command, scratch.path(), "a tests/b").unwrap()
    }

    #[test]
    fn words_and_skips_of_a_binary_are_kept() {
        let run = run("echo out; echo err >&2; printf 'a\\tno-tun\\tno device\\n' >>$MINIDOCKER_SKIPS");
        assert_eq!((run.output.as_str(), run.skips.len()), ("out\nerr\n", 1));
        assert_eq!(run.skips[0].reason, "no-tun");
    }

    #[test]
    fn a_binary_that_dies_is_a_failure() {
        let mut outcome = super::Outcome::of("x");
        outcome.note_end(run("kill -KILL $$").status);
        assert_eq!(outcome.failed, ["(the binary: signal: 9 (SIGKILL))"]);
    }

    #[test]
    fn a_test_that_skips_twice_is_one() {
        let twice = skips::read("a\tno-tun\tx\na\tno-v2\ty\n");
        assert_eq!(once(twice).len(), 1);
    }
}
