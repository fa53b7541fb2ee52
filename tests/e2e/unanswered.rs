//! A supervisor that doesn't answer: one that is stopped goes on, round one that hangs there is a way.

use kit::{Minidocker, Output, Who};
use rustix::process::Signal;

use crate::supervisor::{supervisor, wait_until};

/// A container that ends with 3 at SIGTERM, and its client. Its user has no process of ours, where there
/// is more than one id.
fn trapping(md: &Minidocker, name: &str) -> kit::Running {
    let user = if md.who().is_root() || md.who() == Who::Plain { "5" } else { "0" };
    let payload = "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done";
    let mut client = md.call(["run", "--name", name, "-u", user, "hostbox", "sh", "-c", payload]).spawn();
    client.expect("up\n");
    client
}

/// Runs `line` while the supervisor is held as by a debugger.
fn while_held(md: &Minidocker, line: &str) -> Output {
    let report = md.room().join("strike").display().to_string();
    let tracer = kit::example("ch00-syscalls", "strike").display().to_string();
    let pid = supervisor(md).pid.to_string();
    let words = [tracer.as_str(), &report, "--hold", &pid, "--"].map(str::to_owned);
    md.call(kit::words(line)).under(words.to_vec()).run()
}

#[test]
fn a_stopped_supervisor_does_not_keep_kill_from_killing() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let client = crate::sleeper(&md, "stopped");
        supervisor(&md).signal(Signal::STOP);
        md.line("ps").ok().stdout_has("stopped");
        md.line("kill stopped").ok().stdout_is("stopped").quiet();
        // The client is told, the record is true, and nothing waits for somebody to continue it.
        client.finish().code(137).quiet();
        md.line("ps -a").ok().stdout_has("Exited (137)");
        assert_eq!(crate::inspect(&md, "stopped")["State"]["ExitCode"], 137);
        wait_until(&md, "the supervisor is gone", || md.supervisors().is_empty());
        md.line("rm stopped").ok();
        md.nothing_left();
    }
}

#[test]
fn an_rm_container_of_a_stopped_supervisor_is_gone_after_kill() {
    let md = kit::ours!();
    let mut client = md
        .call(["run", "--rm", "--name", "stopped", "hostbox", "sh", "-c", "echo up; exec sleep 1000"])
        .spawn();
    client.expect("up\n");
    supervisor(&md).signal(Signal::STOP);
    md.line("kill stopped").ok();
    client.finish().code(137).quiet();
    md.nothing_left();
}

#[test]
fn a_stopped_supervisor_passes_a_signal_on_once_and_its_client_learns_the_end() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let client = trapping(&md, "stopped");
        supervisor(&md).signal(Signal::STOP);
        md.line("kill -s TERM stopped").ok().stdout_is("stopped").quiet();
        client.finish().code(3).quiet();
        assert_eq!(crate::inspect(&md, "stopped")["State"]["ExitCode"], 3);
        md.line("rm stopped").ok();
        md.nothing_left();
    }
    let md = kit::ours!();
    let payload = "trap 'echo got' TERM; echo up; while :; do sleep 0.05; done";
    let mut client = md.call(["run", "--rm", "--name", "once", "hostbox", "sh", "-c", payload]).spawn();
    client.expect("up\n");
    supervisor(&md).signal(Signal::STOP);
    md.line("kill -s TERM once").ok();
    client.expect("got\n");
    md.line("kill once").ok();
    assert_eq!(client.finish().code(137).out(), "up\ngot");
}

#[test]
fn a_stopped_supervisor_does_not_hide_how_its_container_ended() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let client = trapping(&md, "stopped");
        let process = supervisor(&md);
        process.signal(Signal::STOP);
        let init = crate::inspect(&md, "stopped")["State"]["Pid"].as_i64().unwrap();
        let init = rustix::process::Pid::from_raw(init as i32).unwrap();
        rustix::process::kill_process(init, Signal::TERM).unwrap();
        wait_until(&md, "it has exited", || md.line("ps -a").ok().out().contains("Exited (3)"));
        assert!(!md.line("ps").ok().out().contains("stopped"));
        let state = &crate::inspect(&md, "stopped")["State"];
        assert_eq!((&state["Running"], &state["ExitCode"]), (&false.into(), &3.into()), "{state}");
        process.signal(Signal::CONT);
        client.finish().code(3).quiet();
        md.line("rm stopped").ok();
        md.nothing_left();
    }
}

#[test]
fn a_stopped_supervisor_does_not_keep_rm_f_from_removing() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let client = crate::sleeper(&md, "stopped");
        supervisor(&md).signal(Signal::STOP);
        md.line("rm -f stopped").ok().stdout_is("stopped");
        client.finish().code(137).quiet();
        md.line("ps -a").ok();
        md.nothing_left();
    }
}

#[test]
fn kill_ends_a_container_whose_supervisor_hangs_and_its_client_has_the_true_code() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let client = crate::sleeper(&md, "held");
        while_held(&md, "kill held").ok().stdout_is("held").quiet();
        client.finish().code(137).quiet();
        assert_eq!(crate::inspect(&md, "held")["State"]["ExitCode"], 137);
        assert_eq!(md.supervisors(), []);
        md.line("rm held").ok();
        md.nothing_left();
    }
}

#[test]
fn rm_f_removes_a_container_whose_supervisor_hangs_and_its_client_says_what_happened() {
    let md = kit::ours!();
    let client = crate::sleeper(&md, "held");
    while_held(&md, "rm -f held").ok().stdout_is("held").quiet();
    let out = client.finish();
    // Whether it reads the record before that is removed is a matter of luck.
    let killed = "ended before its container: it was killed, and the container with it";
    assert!(
        (out.code, out.err().as_str()) == (137, "") || (out.code == 125 && out.err().contains(killed)),
        "{out:?}"
    );
    md.nothing_left();
}

#[test]
fn kill_says_that_a_signal_went_round_a_supervisor_that_hangs() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let client = trapping(&md, "held");
        let out = while_held(&md, "kill -s TERM held").ok().stdout_is("held");
        assert_eq!(
            out.err().trim_end(),
            "minidocker: the supervisor of container held doesn't answer: its init got the signal without it\n  \
             because: it hangs in the kernel, or a debugger holds it; the client of the container waits for it\n  \
             do: minidocker kill held ends them all"
        );
        // Nobody holds it any more.
        client.finish().code(3).quiet();
        md.line("rm held").ok();
        md.nothing_left();
    }
}
