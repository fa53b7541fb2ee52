//! The host before and after 200 runs, 50 of whose supervisors were killed at any moment.
//!
//! A target of its own: it compares the whole host, so no other test may run beside it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use kit::{HostSnapshot, Minidocker, Running, Who};
use rustix::process::Signal;

/// How many runs are under way at a time.
const AT_ONCE: usize = 4;

/// Numbers that look random, the same ones for the same seed (Knuth's MMIX generator).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Starts some runs and kills one of their supervisors, soon or late; tells whether it could.
fn some_runs(md: &Minidocker, chance: &mut Chance, kill: bool) -> bool {
    let run = |chance: &mut Chance| -> Running {
        let rm = if chance.below(2) == 0 { &["--rm"][..] } else { &[] };
        let payload = ["hostbox", "sh", "-c", "echo up; sleep 0.05; echo end"];
        md.call(["run"].iter().chain(rm).chain(&payload)).spawn()
    };
    let clients: Vec<Running> = (0..AT_ONCE).map(|_| run(chance)).collect();
    let killed = kill && kill_one(md, chance);
    let codes: Vec<i32> = clients.into_iter().map(|c| c.finish().code).collect();
    let failed = codes.iter().filter(|c| **c != 0).count();
    assert!(failed <= usize::from(killed), "exit codes {codes:?}, a supervisor killed: {killed}");
    killed
}

fn kill_one(md: &Minidocker, chance: &mut Chance) -> bool {
    for _ in 0..200 {
        let all = md.supervisors();
        if !all.is_empty() {
            std::thread::sleep(Duration::from_micros(chance.below(60_000)));
            let one = chance.below(all.len() as u64) as usize;
            all[one].signal(Signal::KILL);
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

fn hold(who: Who, runs: usize, kills: usize) {
    let md = Minidocker::new(env!("CARGO_BIN_EXE_minidocker"), who);
    let before = HostSnapshot::take();
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let (mut ran, mut killed) = (0, 0);
    while ran < runs || killed < kills {
        killed += usize::from(some_runs(&md, &mut chance, killed < kills));
        ran += AT_ONCE;
        assert!(ran < 4 * runs, "{killed} supervisors could be killed in {ran} runs");
    }
    md.line("ps -a").ok();
    md.line("doctor").ok();
    for dir in md.containers() {
        md.run(["rm".as_ref(), "-f".as_ref(), dir.file_name().unwrap()]).ok();
    }
    md.nothing_left();
    before.assert_same();
}

/// One test, because nothing may run beside it.
#[test]
fn the_host_is_the_same_after_200_runs_with_50_killed_supervisors() {
    kit::require!(!Minidocker::is_docker(), "ours-only", "Docker has a daemon");
    let before = HostSnapshot::take();
    hold(Who::Me, 200, 50);
    for who in Who::all().iter().filter(|w| **w != Who::Me) {
        hold(*who, 40, 10);
    }
    before.assert_same();
}
