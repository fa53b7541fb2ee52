//! Kernels that lack a call: older ones, and those behind a seccomp filter such as Docker's.
//!
//! The filters are root's, without no_new_privs; below them each case is run as every user.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use kit::{Minidocker, Output, Who};

/// What is done where a call is missing.
enum Without {
    /// Something older takes its place.
    Older(&'static str),
    /// Nothing does, because every kernel that we run on has it; a filter that hides it is told.
    Told(&'static str),
    /// It is tried by others, or for more than we need: nothing of ours depends on it.
    Nothing(&'static str),
}
use Without::{Nothing, Older, Told};

/// Every call that `run`, `ps`, `inspect`, `kill` and `rm` make and that Linux 5.0 hasn't.
const CALLS: [(&str, &str, Without); 7] = [
    ("pidfd_send_signal", "5.1", Told("a signal by number may hit another process")),
    ("pidfd_open", "5.3", Told("it is how the death of the supervisor can't go unseen")),
    ("clone3", "5.3", Older("clone, and the child joins its cgroup by itself")),
    ("openat2", "5.6", Older("a walk from name to name")),
    ("faccessat2", "5.8", Nothing("rustix asks faccessat then")),
    ("close_range", "5.9", Older("close, one by one")),
    ("fsopen", "5.2", Nothing("taken for more than a page of overlay options alone")),
];
/// The first number of the calls after Linux 5.0; from there on they are the same on all machines.
const FIRST_NEWER: u32 = 424;

/// What a kernel can lack and a container is run all the same.
const LACKS: [&[&str]; 10] = [
    &["clone3=ENOSYS"],
    &["clone3=EPERM"],
    &["openat2=ENOSYS"],
    &["openat2=EPERM"],
    &["close_range=ENOSYS"],
    &["close_range=EPERM"],
    &["faccessat2=ENOSYS"],
    &["statx=ENOSYS", "copy_file_range=ENOSYS"],
    // Linux 5.6: pidfd_getfd was its last call, and close_range came later though its number is lower.
    &["439+=ENOSYS", "close_range=ENOSYS"],
    ALL,
];
const ALL: &[&str] = &[
    "clone3=ENOSYS",
    "openat2=ENOSYS",
    "close_range=ENOSYS",
    "statx=ENOSYS",
    "copy_file_range=ENOSYS",
    "fsopen=ENOSYS",
    "439+=ENOSYS",
];

/// Docker's profile for a container without CAP_SYS_ADMIN, as far as it concerns us.
const DOCKER: &[&str] = &[
    "clone3=ENOSYS",
    "clone&0x7e020000=EPERM",
    "unshare=EPERM",
    "setns=EPERM",
    "mount=EPERM",
    "umount2=EPERM",
    "pivot_root=EPERM",
    "fsopen=EPERM",
    "fsmount=EPERM",
    "move_mount=EPERM",
    "open_tree=EPERM",
    "mount_setattr=EPERM",
];

macro_rules! root_filters {
    () => {
        kit::require!(kit::may_filter(), "not-root", "a filter without no_new_privs takes root");
    };
}

fn under(md: &Minidocker, rules: &[&str], line: &str) -> Output {
    md.call(kit::words(line)).without_calls(rules).run()
}

/// Created, run, listed, inspected, killed, removed: each command on such a kernel.
fn live(md: &Minidocker, rules: &[&str]) {
    let look = "hostname; ls /proc/self/fd | wc -l; head -c 1 /proc/kcore 2>/dev/null | wc -c; \
                echo x 2>/dev/null >/proc/sys/kernel/hostname || echo read-only; exit 3";
    let script = md.call(["run", "--name", "once", "hostbox", "sh", "-c", look]);
    let out = script.without_calls(rules).run().code(3).quiet();
    let lines = out.lines();
    assert_eq!(lines[0].len(), 12, "{out:?}");
    assert_eq!(lines[1..], ["4", "0", "read-only"], "{out:?}");
    under(md, rules, "ps -a").ok().stdout_has("Exited (3)");
    under(md, rules, "inspect once").ok().stdout_has("\"ExitCode\": 3");
    under(md, rules, "rm once").ok().stdout_is("once");
    let words = kit::words(
        "run --name asleep hostbox sh -c 'trap \"exit 7\" TERM; echo up; while :; do sleep 0.05; done'",
    );
    let mut client = md.call(words).without_calls(rules).spawn();
    client.expect("up\n");
    under(md, rules, "ps").ok().stdout_has("asleep");
    under(md, rules, "kill -s TERM asleep").ok();
    client.finish().code(7);
    under(md, rules, "rm -f asleep").ok();
    md.nothing_left();
}

#[test]
fn a_container_lives_without_the_calls_that_have_an_older_one() {
    root_filters!();
    for who in Who::all() {
        let md = kit::ours!(*who);
        // A single id changes nothing here but how its map is written.
        let lacks = if *who == Who::Single { &[ALL][..] } else { &LACKS };
        lacks.iter().for_each(|rules| live(&md, rules));
    }
}

#[test]
fn hostbox_is_made_without_the_calls_that_have_an_older_one() {
    kit::require!(!kit::Minidocker::is_docker(), "ours-only", "Docker makes no hostbox");
    root_filters!();
    for who in Who::all() {
        for rules in [ALL, &["clone3=EPERM", "openat2=EPERM", "close_range=EPERM"]] {
            let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), *who);
            under(&md, rules, "run --rm hostbox sh -c 'exit 4'").code(4);
            under(&md, rules, "run --rm hostbox sh -c 'ls /bin/sh'").ok().quiet().stdout_is("/bin/sh");
            md.nothing_left();
        }
    }
}

#[test]
fn what_takes_the_place_of_a_call_is_seen_when_that_is_refused_too() {
    root_filters!();
    let cases: [(&[&str], &str); 5] = [
        (&["clone3=EXDEV"], "clone3({flags=CLONE_"),
        (&["clone3=ENOSYS", "clone&0x7e020000=EXDEV"], "clone(CLONE_NEWNS|"),
        (&["clone3=EPERM", "clone&0x7e020000=EXDEV"], "clone(CLONE_NEWNS|"),
        (&["openat2=EIO"], "openat2("),
        (&["close_range=EIO"], "close_range(3, "),
    ];
    for who in Who::all() {
        let md = kit::ours!(*who);
        for (rules, call) in cases {
            let out = under(&md, rules, "run --rm hostbox true").code(125);
            assert!(out.err().contains(call), "{rules:?}: expected {call}: {out:?}");
            out.complains(125, "");
            md.nothing_left();
        }
    }
}

/// One message: the call as strace shows it, why, and what to do.
fn tells(out: Output, call: &str, because: &str, remedy: &str) {
    let err = out.err();
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 4, "{out:?}");
    assert!(lines[1].starts_with(&format!("  {call}(")), "{out:?}");
    assert!(lines[2].starts_with("  because: ") && lines[2].contains(because), "{out:?}");
    assert!(lines[3].starts_with("  do: ") && lines[3].contains(remedy), "{out:?}");
    out.complains(125, "");
}

#[test]
fn a_call_that_nothing_can_replace_is_named_with_the_kernel_that_has_it() {
    root_filters!();
    for who in Who::all() {
        let md = kit::ours!(*who);
        let out = under(&md, &["pidfd_open=ENOSYS"], "run --rm hostbox true");
        tells(out, "pidfd_open", "Linux 5.11", "--security-opt seccomp=unconfined");
        md.nothing_left();
    }
}

#[test]
fn without_signals_by_pidfd_a_container_runs_and_kill_says_what_is_missing() {
    root_filters!();
    let rules = &["pidfd_send_signal=ENOSYS"];
    for who in Who::all() {
        let md = kit::ours!(*who);
        under(&md, rules, "run --rm hostbox sh -c 'exit 3'").code(3).quiet();
        let line = kit::words("run --rm --name asleep hostbox sh -c 'echo up; exec sleep 1000'");
        let mut client = md.call(line).without_calls(rules).spawn();
        client.expect("up\n");
        let out = md.line("kill asleep");
        assert!(out.err().contains("pidfd_send_signal"), "{out:?}");
        out.complains(1, "asleep");
        client.signal(rustix::process::Signal::KILL);
        let _ = client.finish();
        md.line("rm -f asleep").ok();
        md.nothing_left();
    }
}

#[test]
fn inside_docker_the_profile_is_named_as_the_reason() {
    root_filters!();
    let remedy = "--security-opt seccomp=unconfined";
    for who in Who::all() {
        let md = kit::ours!(*who);
        // Docker takes CAP_SYS_ADMIN out of the bounding set, so root there is no root.
        let line = ["run", "--rm", "hostbox", "true"];
        let drop = "exec setpriv --bounding-set=-sys_admin \"$@\"";
        let call = md.call(line).without_calls(DOCKER);
        let out = if who.is_root() { call.through(drop).run() } else { call.run() };
        tells(out, "clone", "seccomp filter", remedy);
        for (rules, name) in
            [(["unshare=EPERM"], "unshare"), (["mount=EPERM"], "mount"), (["pivot_root=EPERM"], "pivot_root")]
        {
            tells(under(&md, &rules, "run --rm hostbox true"), name, "seccomp filter", remedy);
            md.nothing_left();
        }
        let fresh = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), *who);
        let call = fresh.call(line).without_calls(DOCKER);
        let out = if who.is_root() { call.through(drop).run() } else { call.run() };
        // Root has CAP_SYS_CHROOT there, and so needs no user namespace to try hostbox.
        let call = if who.is_root() { "clone" } else { "unshare" };
        tells(out, call, "seccomp filter", remedy);
        fresh.nothing_left();
    }
}

#[test]
fn a_kernel_without_clone_into_cgroup_takes_a_child_that_joins_by_itself() {
    kit::require!(cfg!(debug_assertions), "release-build", "only debug builds can be told to fail");
    kit::require!(rustix::process::geteuid().is_root(), "not-root", "a cgroup of its own takes root here");
    let md = kit::ours!();
    let groups = |order: &str| {
        let call = md.call(["run", "--rm", "hostbox", "cat", "/proc/self/cgroup"]);
        call.env("MINIDOCKER_INJECT", order).run()
    };
    let usual = groups("").ok().out();
    // Linux before 5.7 answers so: the struct is longer than it knows, and the end isn't zero.
    let all: Vec<Output> = (1..=20).map(|n| groups(&format!("supervisor:{n}:E2BIG"))).collect();
    let clone = all.iter().filter(|out| out.err().contains("clone3(")).count();
    assert_eq!(clone, 0, "{all:?}");
    let well = all.iter().filter(|out| out.code == 0).collect::<Vec<_>>();
    assert!(!well.is_empty() && well.iter().all(|out| out.out() == usual), "{all:?}");
    assert!(all.iter().any(|out| out.err().contains("E2BIG")), "are the orders heard? {all:?}");
    // A group that could not be removed, or a record, goes with the next command.
    md.line("ps -a").ok();
    md.containers().iter().for_each(|c| drop(md.run(["rm".as_ref(), "-f".as_ref(), c.file_name().unwrap()])));
    md.nothing_left();
}

/// The calls in what strace -n wrote: `123 [ 435] clone3(...`.
fn newer_calls(trace: &str) -> BTreeSet<String> {
    let calls = trace.lines().filter_map(|line| {
        let (number, rest) = line.split_once('[')?.1.split_once(']')?;
        let newer = number.trim().parse::<u32>().ok()? >= FIRST_NEWER;
        // Not `<... clone3 resumed>`, the end of a call that has its line, nor `--- SIGCHLD`.
        let is_name = |name: &&str| name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric());
        let name = rest.trim().split('(').next().filter(is_name)?;
        newer.then(|| name.to_owned())
    });
    calls.collect()
}

#[test]
fn every_newer_call_that_we_make_has_its_row() {
    kit::require!(
        rustix::process::geteuid().is_root(),
        "not-root",
        "under strace newuidmap can't write a map"
    );
    let strace = Command::new("strace").arg("-V").output().is_ok_and(|out| out.status.success());
    kit::require!(strace, "no-strace", "strace is not installed");
    let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), Who::Me);
    kit::require!(!Minidocker::is_docker(), "ours-only", "Docker has calls of its own");
    let mut made = BTreeSet::new();
    let lines =
        ["run --name a1 hostbox true", "ps -a", "inspect a1", "rm a1", "run --name a2 hostbox sleep 1000"];
    let trace = md.room().join("trace");
    let strace_to = |file: &Path| format!("exec strace -f -qq -n -o {} \"$@\"", file.display());
    for line in lines {
        let call = md.call(kit::words(line)).through(&strace_to(&trace)).spawn();
        if line.contains("sleep") {
            while md.line("ps -q").ok().out().is_empty() {}
            let kill = md.room().join("kill");
            md.call(["kill", "a2"]).through(&strace_to(&kill)).run().ok();
            made.extend(newer_calls(&std::fs::read_to_string(kill).unwrap()));
            call.finish().code(137);
        } else {
            call.finish().ok();
        }
        made.extend(newer_calls(&std::fs::read_to_string(&trace).unwrap()));
    }
    md.line("rm -f a2").ok();
    let rows: BTreeSet<String> = CALLS.iter().map(|(call, ..)| (*call).to_owned()).collect();
    let missing: Vec<_> = made.difference(&rows).collect();
    assert!(missing.is_empty(), "no row says what is done without {missing:?}");
    for (call, since, without) in &CALLS {
        let (Older(why) | Told(why) | Nothing(why)) = without;
        println!("{call} (Linux {since}): {why}{}", if made.contains(*call) { "" } else { " (not made)" });
        let denied =
            LACKS.iter().flat_map(|rules| rules.iter()).any(|rule| rule.starts_with(&format!("{call}=")));
        assert_eq!(denied, !matches!(without, Told(_)), "{call}: is its row true?");
    }
    assert!(made.contains("clone3") && made.contains("openat2"), "{made:?}");
    md.nothing_left();
}
