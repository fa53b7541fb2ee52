//! A failure at every step of the set-up (`MINIDOCKER_FAIL_STEP`).

use std::collections::BTreeSet;

use kit::{Minidocker, Who};
use minidocker::runtime::StepKind;

/// A run with every step that this user can have. No terminal is needed outside for the -t.
fn with_all_steps(md: &Minidocker) -> kit::Call<'_> {
    let line = "run --rm -t --init --read-only -v /etc:/mnt/etc:ro";
    if !md.who().is_root() {
        return md.call(kit::words(&format!("{line} hostbox true")));
    }
    // Only root can make a shared mount, for a source to be the slave of.
    let shared = "exec unshare -m sh -c 'mount --make-rshared / && exec \"$@\"' sh \"$@\"";
    md.call(kit::words(&format!("{line},rslave hostbox true"))).through(shared)
}

/// Fails each step once and tells which ones were taken at all.
fn taken(who: Who) -> BTreeSet<&'static str> {
    let md = Minidocker::new(env!("CARGO_BIN_EXE_minidocker"), who);
    let mut taken = BTreeSet::new();
    for step in StepKind::ALL.iter().map(|s| s.name()) {
        let out = with_all_steps(&md).env("MINIDOCKER_FAIL_STEP", step).run();
        if out.code != 0 {
            out.complains(125, "").stderr_has(step);
            taken.insert(step);
        }
        md.nothing_left();
        md.line("run --rm hostbox true").ok().quiet();
    }
    taken
}

#[test]
fn a_failure_at_any_step_is_named_and_leaves_nothing() {
    crate::hears_orders!();
    let taken: BTreeSet<&str> = Who::all().iter().flat_map(|who| taken(*who)).collect();
    let all: BTreeSet<&str> = StepKind::ALL.iter().map(|s| s.name()).collect();
    let never: Vec<_> = all.difference(&taken).copied().collect();
    // Only root has cgroups without being given some, and only others need id maps.
    let excused: &[&str] = match Who::all() {
        [one] if one.is_root() => &["id-maps", "root"],
        [_] => &["cgroup", "join-cgroup", "cgroup-namespace", "sources"],
        _ => &[],
    };
    assert!(never.iter().all(|step| excused.contains(step)), "never taken, so never failed: {never:?}");
}

#[test]
fn a_failed_step_of_a_kept_container_is_told_by_ps_and_inspect() {
    crate::hears_orders!();
    let md = kit::ours!();
    let run = md.call(kit::words("run --name failed hostbox true")).env("MINIDOCKER_FAIL_STEP", "hostname");
    run.run().complains(125, "").stderr_has("hostname");
    md.line("ps -a").ok().stdout_has("Created").stdout_has("failed").quiet();
    md.line("inspect failed").ok().stdout_has("hostname");
    md.line("rm failed").ok();
    md.nothing_left();
}
