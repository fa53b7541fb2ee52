//! Blows by the tracer at chosen calls of the supervisor: while it begins, and while it ends.

use kit::{Minidocker, Output, Who};

/// `run --rm` under the tracer, which counts the supervisor's calls alone. Its output, how many calls
/// changed something, and whether it struck.
fn struck(md: &Minidocker, blow: &[&str]) -> (Output, u64, bool) {
    let report = md.room().join("strike");
    let mut words = vec![kit::example("ch00-syscalls", "strike").display().to_string()];
    words.push(report.display().to_string());
    words.extend(["--only", "supervisor"].iter().chain(blow).map(|word| (*word).to_owned()));
    words.push("--".to_owned());
    let out = md.call(kit::words("run --rm hostbox echo ran")).under(words).run();
    let text = std::fs::read_to_string(report).unwrap();
    let words: Vec<&str> = text.trim().splitn(3, ' ').collect();
    (out, words[0].parse().unwrap(), words[2] != "-")
}

macro_rules! tracer {
    () => {
        crate::hears_orders!();
        kit::require!(Who::Me.is_root(), "not-root", "only root can trace what becomes somebody else");
    };
}

#[test]
fn ctrl_c_before_the_supervisor_leads_its_own_session_is_the_containers() {
    tracer!();
    for who in Who::all() {
        let md = Minidocker::new(env!("CARGO_BIN_EXE_minidocker"), *who);
        for at in 1..=12 {
            let (out, _, hit) = struck(&md, &["--at", &at.to_string(), "--interrupt"]);
            assert!(hit, "{who:?}: call {at}: {out:?}");
            // Process 1 of a container ignores what it has no handler for (pid_namespaces(7)).
            assert_eq!(
                (out.code, out.out().as_str(), out.err().as_str()),
                (0, "ran", ""),
                "{who:?}: call {at}"
            );
            md.nothing_left();
        }
    }
}

#[test]
fn a_supervisor_killed_at_its_end_hides_no_exit_code() {
    tracer!();
    /// More calls than it makes from the end of init to its own, and a few before.
    const LAST: u64 = 120;
    let md = Minidocker::new(env!("CARGO_BIN_EXE_minidocker"), Who::Me);
    let (out, points, _) = struck(&md, &[]);
    assert_eq!((out.code, out.out().as_str()), (0, "ran"), "{out:?}");
    let (mut told, mut died) = (0, 0);
    for at in (points - LAST..=points).step_by(2) {
        let (out, _, hit) = struck(&md, &["--at", &at.to_string(), "--kill", "supervisor"]);
        match (out.code, out.err().as_str()) {
            (0, "") if out.out() == "ran" => told += u32::from(hit),
            (125, err) if err.contains("ended before its container: it was killed") => died += 1,
            _ => panic!("call {at} of {points}: {out:?}"),
        }
        crate::clear(&md, &format!("call {at}"));
    }
    assert!(told > 10 && died > 5, "{told} told their code, {died} died before: was the end struck?");
}
