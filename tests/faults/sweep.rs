//! Death and failure at every system call of `run`, `start`, `kill` and `rm`, whoever makes it.
//!
//! Chapter 0's example `strike` counts the calls of client, supervisor and child, those that change something
//! and those that can fail, and strikes at one of them. After each blow: `ps -a` is right, nothing is left that a live container
//! doesn't own, and the same command works. A sample of random points by default, its seed
//! printed; `cargo xtask faults --all` strikes at every point, with the deaths in turn and the errors in turn: the
//! seed says with which one it begins, so that four seeds in a row try every blow at every point.

use std::fmt::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use kit::{Minidocker, Output, Running, Who};
use nix::libc;

/// Numbers that look random, the same ones for the same seed (Knuth's MMIX generator).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Between two looks.
const TURN: Duration = Duration::from_millis(10);

/// What is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Run,
    /// Of a container with an init of ours.
    Start,
    Kill,
    Remove,
}

impl What {
    fn line(self) -> &'static str {
        match self {
            Self::Run => "run --name struck hostbox echo ran",
            Self::Start => "start -a struck",
            Self::Kill => "kill struck",
            Self::Remove => "rm -f struck",
        }
    }
}

/// Who dies, or what the call gives.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Kill(&'static str),
    Fail(i32),
}

/// Before calls that change something.
const KILLS: [Blow; 4] =
    [Blow::Kill("client"), Blow::Kill("supervisor"), Blow::Kill("child"), Blow::Kill("all")];

/// At calls that can fail: ENOMEM, ENOSPC, EMFILE, EIO by their numbers in asm-generic/errno-base.h.
const FAILURES: [Blow; 4] = [Blow::Fail(12), Blow::Fail(28), Blow::Fail(24), Blow::Fail(5)];

/// What a sweep found.
#[derive(Debug, Default)]
struct Table {
    kills: u32,
    failures: u32,
    /// No such victim at that point.
    missed: u32,
    panics: u32,
    wrong_lists: u32,
    left_behind: u32,
    failing_retries: u32,
    /// The blows after which one of these was found.
    bad: String,
}

/// How many calls there are that change something, how many that can fail, and whether one was struck.
struct Report {
    changing: u64,
    failing: u64,
    struck: Option<String>,
}

struct Sweep {
    md: Minidocker,
    report: std::path::PathBuf,
    table: Table,
}

impl Sweep {
    fn new(who: Who) -> Self {
        let md = Minidocker::new(env!("CARGO_BIN_EXE_minidocker"), who);
        let report = md.room().join("strike");
        Self { md, report, table: Table::default() }
    }

    /// Runs the command under the tracer. For `kill` and `rm` there is a container to do it to, and its client.
    fn strike(&self, what: What, at: u64, blow: Option<Blow>) -> (Output, Report, Option<Running>) {
        if what == What::Start {
            let made = self.md.line("create --init --name struck hostbox echo ran");
            assert_eq!(made.code, 0, "{made:?}");
        }
        let client = matches!(what, What::Kill | What::Remove).then(|| running(&self.md));
        let tracer = kit::example("ch00-syscalls", "strike");
        let mut words = vec![tracer.display().to_string(), self.report.display().to_string()];
        if let Some(blow) = blow {
            let (how, value) = match blow {
                Blow::Kill(victim) => ("--kill", victim.to_owned()),
                Blow::Fail(errno) => ("--fail", errno.to_string()),
            };
            words.extend(["--at".to_owned(), at.to_string(), how.to_owned(), value]);
        }
        if client.is_some() {
            let supervisors = self.md.supervisors();
            words.extend(supervisors.iter().flat_map(|s| ["--seize".to_owned(), s.pid.to_string()]));
        }
        words.push("--".to_owned());
        let out = self.md.call(kit::words(what.line())).under(words).run();
        let report = read(&self.report);
        (out, report, client)
    }

    /// One blow, and all that must hold after it.
    fn trial(&mut self, what: What, at: u64, blow: Blow) {
        let (out, report, client) = self.strike(what, at, Some(blow));
        match (&report.struck, blow) {
            (None, _) => self.table.missed += 1,
            (_, Blow::Kill(_)) => self.table.kills += 1,
            (_, Blow::Fail(_)) => self.table.failures += 1,
        }
        let mut found = code(what, blow, report.struck.as_deref(), &out);
        found += &self.found(what, &out, client);
        if !found.is_empty() {
            let who = self.md.who();
            let _ = writeln!(self.table.bad, "{what:?} as {who:?}, call {at}, {blow:?}: {found}\n  {out:?}");
        }
    }

    /// What is not as it has to be: looked at first, tried again then, cleared at last.
    fn found(&mut self, what: What, out: &Output, client: Option<Running>) -> String {
        let mut found = String::new();
        if out.err().contains("panicked") {
            self.table.panics += 1;
            found += "a panic; ";
        }
        // Before the list: from one to the next a container may end, and none begins.
        let supervisors = self.md.supervisors().len();
        let ps = self.md.line("ps -a");
        let up = ps.out().lines().filter(|line| line.contains("  Up ")).count();
        if ps.code != 0 || up > supervisors {
            self.table.wrong_lists += 1;
            let _ = write!(found, "ps -a: {ps:?}; ");
        }
        let retried = self.retried(what);
        let removed = self.md.line("rm -f struck");
        let ended = client.map(Running::finish).filter(|end| ![125, 137].contains(&end.code));
        let left = self.md.left();
        if !left.is_empty() {
            self.table.left_behind += 1;
            let _ = write!(found, "left behind: {left}; ");
        }
        let again = self.md.line("run --rm --name struck hostbox echo ran");
        for (wrong, said, end) in [
            (!retried.as_ref().is_none_or(|end| well(what, end)), "a retry fails", retried),
            (removed.code != 0, "rm -f fails", Some(removed)),
            (ended.is_some(), "the client's end", ended),
            (again.code != 0 || again.out() != "ran", "a run fails", Some(again)),
        ] {
            if wrong {
                self.table.failing_retries += 1;
                let _ = write!(found, "{said}: {end:?}; ");
            }
        }
        found
    }

    /// The very command once more. After a `run` its name is taken: there `rm -f` and a `run` follow anyway.
    fn retried(&self, what: What) -> Option<Output> {
        if what == What::Start {
            // Its own program may still run, for as long as an echo takes.
            (0..500).take_while(|_| !self.md.supervisors().is_empty()).for_each(|_| sleep(TURN));
        }
        (what != What::Run).then(|| self.md.line(what.line()))
    }

    /// A number of random points with random blows, or every point with the blows in turn.
    fn sweep(&mut self, what: What, sample: Option<u64>, chance: &mut Chance) {
        let (out, report, client) = self.strike(what, 0, None);
        assert_eq!(out.code, 0, "{what:?} without a blow: {out:?}");
        let Report { changing, failing, .. } = report;
        assert!(changing.min(failing) > 20, "{what:?}: {changing} and {failing} calls were counted");
        assert_eq!(self.md.line("rm -f struck").code, 0);
        assert!(client.is_none_or(|client| client.finish().code == 137));
        match sample {
            Some(trials) => {
                for _ in 0..trials {
                    let (blows, points) = [(KILLS, changing), (FAILURES, failing)][chance.below(2) as usize];
                    let blow = blows[chance.below(blows.len() as u64) as usize];
                    self.trial(what, 1 + chance.below(points), blow);
                }
            }
            None => {
                for (blows, points) in [(KILLS, changing), (FAILURES, failing)] {
                    let in_turn = blows.into_iter().cycle().skip(chance.0 as usize % blows.len());
                    (1..=points).zip(in_turn).for_each(|(at, blow)| self.trial(what, at, blow));
                }
            }
        }
    }
}

/// Whether the command has done its deed: now, or before the blow.
fn well(what: What, out: &Output) -> bool {
    let late = ["is not running", "No such container"].iter().any(|text| out.err().contains(text));
    match what {
        What::Run | What::Start => out.code == 0 && out.out() == "ran",
        What::Kill => out.code == 0 || (out.code == 1 && late),
        What::Remove => out.code == 0,
    }
}

/// What is wrong with the exit code of a command that was struck, and with what it said.
fn code(what: What, blow: Blow, struck: Option<&str>, out: &Output) -> String {
    let killed = struck.is_some() && matches!(blow, Blow::Kill(_));
    // A pipe that can't be read or written for one of these reasons, which the kernel has only in theory:
    // what was in it is lost, and that is told.
    let carried = [libc::SYS_read, libc::SYS_write].map(|number| format!("call {number} of the "));
    let said = !out.err().is_empty();
    let cut = !killed && said && struck.is_some_and(|s| carried.iter().any(|call| s.starts_with(call)));
    // Its client has heard the code, or says that it died.
    let supervisor = matches!((what, blow), (What::Run | What::Start, Blow::Kill("supervisor")));
    let (at, struck) = (struck, struck.is_some());
    let right = match out.code {
        0 => matches!(what, What::Kill | What::Remove) || out.out() == "ran" || cut,
        // Ours, or that of the program which could not be run; with words.
        1 => what != What::Run && struck && said,
        125..=127 => struck && said,
        // The client was killed, or its container was; pid 1 dies by abort(3).
        137 | 134 | 139 => killed && !supervisor,
        _ => false,
    };
    match right {
        true if crate::is_bare(&out.err()) => format!("a bare call after {at:?}: {}; ", out.err()),
        true => String::new(),
        false => format!("exit code {} after {at:?}; ", out.code),
    }
}

/// A container that sleeps, and its client.
fn running(md: &Minidocker) -> Running {
    let mut client =
        md.call(kit::words("run --name struck hostbox sh -c 'echo up; exec sleep 1000'")).spawn();
    client.expect("up");
    client
}

fn read(report: &Path) -> Report {
    let text = std::fs::read_to_string(report).unwrap_or_default();
    let words: Vec<&str> = text.trim().splitn(3, ' ').collect();
    let [changing, failing, struck] = words[..] else { panic!("the tracer's report: {text:?}") };
    let struck = (struck != "-").then(|| struck.to_owned());
    Report { changing: changing.parse().unwrap(), failing: failing.parse().unwrap(), struck }
}

fn sweep_as(who: Who) {
    let all = std::env::var_os("MINIDOCKER_SWEEP").is_some_and(|how| how == "all");
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let mut chance = Chance(std::env::var("MINIDOCKER_SEED").map_or(seed, |s| s.parse().unwrap()));
    println!("as {who:?}: MINIDOCKER_SEED={}", chance.0);
    let mut sweep = Sweep::new(who);
    for what in [What::Run, What::Start, What::Kill, What::Remove] {
        sweep.sweep(what, (!all).then_some(12), &mut chance);
    }
    let Table { kills, failures, missed, bad, .. } = &sweep.table;
    println!(
        "as {who:?}: {kills} killed, {failures} failed calls, {missed} without a victim: {} panics, {} wrong lists, {} left behind, {} failing retries",
        sweep.table.panics, sweep.table.wrong_lists, sweep.table.left_behind, sweep.table.failing_retries
    );
    assert!(bad.is_empty(), "after these blows something was wrong:\n{bad}");
    assert!(kills + failures > *missed, "{kills} killed and {failures} failed: does the tracer strike?");
}

#[test]
fn root_survives_death_and_failure_at_any_call() {
    crate::hears_orders!();
    kit::require!(Who::Me.is_root(), "not-root", "only root can trace what becomes somebody else");
    sweep_as(Who::Me);
}

#[test]
fn a_plain_user_survives_death_and_failure_at_any_call() {
    crate::hears_orders!();
    kit::require!(Who::all().contains(&Who::Plain), "not-root", "only root can be somebody else");
    sweep_as(Who::Plain);
}

#[test]
fn a_single_id_survives_death_and_failure_at_any_call() {
    crate::hears_orders!();
    kit::require!(Who::all().contains(&Who::Single), "not-root", "only root can be somebody else");
    sweep_as(Who::Single);
}
