//! The guard: what `run`, `ps`, `inspect` and `version` cost, in counts and not in time.
//!
//! A clock tells nothing on a busy machine. What a command asks of the kernel does: strace counts the
//! system calls of client, supervisor and child by kind, an allocator that counts (counted.rs) counts
//! theirs. Each count is held against tests/guard/bounds.txt, which may only sink.
//!
//! strace of a plain user takes away the set-uid bit of newuidmap, so without root the run is one with
//! a single id; `no_new_privs` makes the engine see that.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bounds;
mod trace;

use std::path::{Path, PathBuf};

use kit::{Minidocker, Output, Running, Who};

use trace::Counts;

const COMMANDS: [(&str, &str); 4] = [
    ("run", "run --rm --network none hostbox true"),
    ("ps", "ps"),
    ("inspect", "inspect sleeper0"),
    ("version", "version"),
];
/// `ps` and `inspect` look at so many containers.
const SLEEPERS: usize = 3;

/// A store in which hostbox is ready, and a user.
struct Guarded {
    md: Minidocker,
    who: &'static str,
}

impl Guarded {
    fn new(program: &str, who: Who) -> Self {
        let name = if who.is_root() { "root" } else { "plain" };
        let guarded = Self { md: Minidocker::fresh(program, who), who: name };
        guarded.run("run --rm hostbox true", "").ok();
        guarded
    }

    /// Runs a command behind `before`, with what is left to it under a tracer.
    fn run(&self, line: &str, before: &str) -> Output {
        self.call(line, before).run()
    }

    fn call(&self, line: &str, before: &str) -> kit::Call<'_> {
        let alone = if self.who == "root" { "" } else { "setpriv --no-new-privs" };
        let call = self.md.call(kit::words(line)).env("MINIDOCKER_ALLOCATIONS", self.allocations());
        call.through(&format!("exec {alone} {before} \"$@\""))
    }

    fn allocations(&self) -> PathBuf {
        self.md.room().join("allocations")
    }

    fn sleepers(&self) -> Vec<Running> {
        let script = "sh -c \"echo up; exec sleep 1000\"";
        let start = |number: usize| {
            let line = format!("run --name sleeper{number} --network none hostbox {script}");
            let mut client = self.call(&line, "").spawn();
            client.expect("up\n");
            client
        };
        (0..SLEEPERS).map(start).collect()
    }

    /// One command under strace.
    fn calls(&self, line: &str) -> Counts {
        let file = self.md.room().join("trace");
        let _ = std::fs::remove_file(&file);
        self.run(line, &format!("strace -f -qq -o {}", file.display())).ok();
        let trace = String::from_utf8_lossy(&std::fs::read(&file).expect("what strace wrote")).into_owned();
        trace::count(&trace, self.md.room().to_str().unwrap())
    }

    /// What client and supervisor asked of the allocator for one command.
    fn allocated(&self, line: &str) -> Counts {
        let _ = std::fs::remove_file(self.allocations());
        self.run(line, "").ok();
        // The supervisor writes its line when it has nothing else to do any more.
        let expected = if line.starts_with("run") { 2 } else { 1 };
        let text = (0..1_000).find_map(|_| {
            let text = std::fs::read_to_string(self.allocations()).unwrap_or_default();
            std::thread::sleep(std::time::Duration::from_millis(10));
            (text.lines().count() == expected).then_some(text)
        });
        let text = text.expect("a line of each process");
        let mut counts = Counts::new();
        for line in text.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            *counts.entry("allocations".into()).or_default() += fields[1].parse::<u64>().unwrap();
            *counts.entry("bytes".into()).or_default() += fields[2].parse::<u64>().unwrap();
        }
        counts
    }
}

/// Measures each command by `count`, three times; the least counts, because what else the machine does
/// can only add.
fn each(guarded: &Guarded, count: impl Fn(&str) -> Counts) {
    let sleepers = guarded.sleepers();
    for (name, line) in COMMANDS {
        let mut least = count(line);
        for _ in 0..2 {
            for (kind, n) in count(line) {
                least.entry(kind).and_modify(|least| *least = n.min(*least)).or_insert(n);
            }
        }
        bounds::hold(guarded.who, name, &least);
    }
    for number in 0..SLEEPERS {
        guarded.run(&format!("rm -f sleeper{number}"), "").ok();
    }
    sleepers.into_iter().for_each(|client| drop(client.finish()));
}

fn counted() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples/counted")
}

fn has_strace() -> bool {
    std::process::Command::new("strace").arg("-V").output().is_ok_and(|out| out.status.success())
}

fn calls_of(who: Who) {
    kit::require!(cfg!(debug_assertions), "release-build", "the bounds are those of a debug build");
    kit::require!(!Minidocker::is_docker(), "ours-only", "Docker has bounds of its own");
    kit::require!(has_strace(), "no-strace", "strace is not installed");
    let guarded = Guarded::new(env!("CARGO_BIN_EXE_minidocker"), who);
    each(&guarded, |line| guarded.calls(line));
}

fn allocations_of(who: Who) {
    kit::require!(cfg!(debug_assertions), "release-build", "the bounds are those of a debug build");
    kit::require!(!Minidocker::is_docker(), "ours-only", "Docker has bounds of its own");
    let guarded = Guarded::new(counted().to_str().unwrap(), who);
    each(&guarded, |line| guarded.allocated(line));
}

#[test]
fn no_command_makes_more_system_calls_than_its_bounds() {
    calls_of(Who::Me);
}

#[test]
fn no_command_of_a_plain_user_makes_more_system_calls_than_its_bounds() {
    kit::require!(Who::all().contains(&Who::Plain), "not-root", "only root can be somebody else");
    calls_of(Who::Plain);
}

#[test]
fn no_command_allocates_more_than_its_bounds() {
    allocations_of(Who::Me);
}

#[test]
fn no_command_of_a_plain_user_allocates_more_than_its_bounds() {
    kit::require!(Who::all().contains(&Who::Plain), "not-root", "only root can be somebody else");
    allocations_of(Who::Plain);
}
