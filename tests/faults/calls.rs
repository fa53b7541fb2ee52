//! A failure, or a death, at every system call of client, supervisor and child (`MINIDOCKER_INJECT`).

use kit::{Minidocker, Output, Who};

/// More calls than any of our processes makes for one container.
const MOST: u32 = 400;

fn run(md: &Minidocker, order: &str) -> Output {
    let out = md.call(kit::words("run --rm hostbox echo ran")).env("MINIDOCKER_INJECT", order).run();
    crate::clear(md, order);
    out
}

/// So many orders in a row without any effect were not heard: the role makes no such call. A single one
/// says nothing: a helper of a role counts on from its parent's number, and may die for nothing.
const SILENCE: u32 = 12;

/// Kills the process of this role before its n-th call, for each n until there is no n-th call.
fn calls_of(md: &Minidocker, role: &str) -> u32 {
    let mut last = 0;
    for n in 1..MOST {
        let order = format!("{role}:{n}:KILL");
        let out = run(md, &order);
        assert!(!out.err().contains("panicked"), "{order}: {out:?}");
        if out.code == 0 && out.out() == "ran" {
            if n - last == SILENCE {
                return last;
            }
            continue;
        }
        last = n;
        // A killed client is 137. One that lives tells of the death: of the supervisor (which counts as
        // a client until it knows its role) or of the child, which dies of abort(3) and not of a kill.
        let expected = [125, 137, 134, 139];
        assert!(expected.contains(&out.code), "{order}: {out:?}");
    }
    panic!("{role} makes more than {MOST} calls");
}

/// The run went well without this call, or ended with one message that names the failure; else what it said.
fn untold(out: &Output, n: u32) -> Option<String> {
    let well = out.code == 0 && out.out() == "ran";
    let err = out.err();
    let messages = err.lines().filter(|l| l.starts_with("minidocker: ")).count();
    let told = [125, 126, 127].contains(&out.code) && messages == 1 && err.contains("ENOMEM");
    let calm = !err.contains("panicked") && !crate::is_bare(&err);
    (!(well || told) || !calm).then(|| format!("  call {n}: {out:?}"))
}

/// Lets each call fail. The run fails with one message, or does without that call.
fn survives(role: &str, who: Who) {
    let md = Minidocker::new(env!("CARGO_BIN_EXE_minidocker"), who);
    let calls = calls_of(&md, role);
    assert!(calls > 3, "{role} makes {calls} calls: are the orders heard?");
    let lost: Vec<String> =
        (1..=calls + SILENCE).filter_map(|n| untold(&run(&md, &format!("{role}:{n}:ENOMEM")), n)).collect();
    assert!(lost.is_empty(), "{role} as {who:?}: the failed call is not told:\n{}", lost.join("\n"));
    md.line("run --rm hostbox true").ok().quiet();
    println!("{role} as {who:?}: {calls} calls");
}

#[test]
fn any_call_of_the_client_may_fail_or_be_its_last() {
    crate::hears_orders!();
    Who::all().iter().for_each(|who| survives("client", *who));
}

#[test]
fn any_call_of_the_supervisor_may_fail_or_be_its_last() {
    crate::hears_orders!();
    Who::all().iter().for_each(|who| survives("supervisor", *who));
}

#[test]
fn any_call_of_the_child_may_fail_or_be_its_last() {
    crate::hears_orders!();
    survives("child", Who::Me);
}

#[test]
fn any_call_of_a_plain_users_child_may_fail_or_be_its_last() {
    crate::hears_orders!();
    kit::require!(Who::all().contains(&Who::Plain), "not-root", "only root can be somebody else");
    survives("child", Who::Plain);
}

/// keyctl(2): the kernel may have no keys, a filter may forbid them, this user may have too many.
#[test]
fn the_program_has_a_session_keyring_of_its_own_wherever_there_can_be_one() {
    crate::hears_orders!();
    for who in Who::all() {
        let md = Minidocker::new(env!("CARGO_BIN_EXE_minidocker"), *who);
        for errno in ["ENOSYS", "EPERM", "EDQUOT"] {
            run(&md, &format!("child:keyctl:{errno}")).ok().stdout_is("ran");
        }
        let out = run(&md, "child:keyctl:ENOMEM").complains(125, "cannot start a session keyring");
        assert!(out.err().contains("keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL) : ENOMEM ("), "{out:?}");
    }
}
