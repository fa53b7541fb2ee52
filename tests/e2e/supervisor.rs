//! The process beside the container: killed, or without its client.

use kit::{Minidocker, Who};
use rustix::process::Signal;

/// The one supervisor of this root.
pub(crate) fn supervisor(md: &Minidocker) -> kit::Process {
    let mut all = md.supervisors();
    assert_eq!(all.len(), 1, "{:?}", md.processes());
    all.remove(0)
}

#[test]
fn there_is_one_supervisor_and_it_has_one_thread() {
    let md = kit::ours!();
    let client = crate::sleeper(&md, "one");
    let process = supervisor(&md);
    assert_eq!(std::fs::read_dir(format!("/proc/{}/task", process.pid)).unwrap().count(), 1);
    assert!(process.argv[1].len() == 64, "{process}");
    md.line("rm -f one").ok();
    let _ = client.finish().code(137);
    md.nothing_left();
}

#[test]
fn a_killed_supervisor_takes_its_payload_along_and_nothing_stays() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let client = crate::sleeper(&md, "gone");
        supervisor(&md).signal(Signal::KILL);
        let out = client.finish();
        assert_ne!(out.code, 0, "{who:?}");
        wait_until(&md, "the payload is dead", || md.processes().is_empty());
        let all = md.line("ps -a").ok();
        let row = all.lines().into_iter().find(|l| l.contains("gone")).unwrap();
        assert!(row.contains("Exited (") || row.contains("Dead"), "{row}");
        assert_eq!(crate::inspect(&md, "gone")["State"]["Running"], false);
        md.line("rm gone").ok();
        md.nothing_left();
    }
}

#[test]
fn an_rm_container_of_a_killed_supervisor_goes_with_the_next_command() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let mut client = md
            .call(["run", "--rm", "--name", "gone", "hostbox", "sh", "-c", "echo up; exec sleep 1000"])
            .spawn();
        client.expect("up\n");
        supervisor(&md).signal(Signal::KILL);
        assert_ne!(client.finish().code, 0);
        wait_until(&md, "the payload is dead", || md.processes().is_empty());
        let all = md.line("ps -a").ok().out();
        assert!(!all.contains("gone"), "{who:?}: {all}");
        md.nothing_left();
    }
}

#[test]
fn a_killed_client_kills_nothing() {
    let md = kit::ours!();
    let client = crate::sleeper(&md, "alone");
    client.signal(Signal::KILL);
    let _ = client.finish_held().code(137);
    assert_eq!(crate::inspect(&md, "alone")["State"]["Running"], true);
    md.line("kill alone").ok();
    wait_until(&md, "it has exited", || crate::inspect(&md, "alone")["State"]["Running"] == false);
    assert_eq!(crate::inspect(&md, "alone")["State"]["ExitCode"], 137);
    md.line("rm alone").ok();
    md.nothing_left();
}

#[test]
fn a_killed_client_s_rm_container_is_removed_at_its_end() {
    let md = kit::ours!();
    let mut client = md
        .call(["run", "--rm", "--name", "alone", "hostbox", "sh", "-c", "echo up; exec sleep 1000"])
        .spawn();
    client.expect("up\n");
    client.signal(Signal::KILL);
    let _ = client.finish_held().code(137);
    md.line("kill alone").ok();
    md.nothing_left();
}

#[test]
fn a_payload_that_writes_without_a_client_does_not_stall() {
    let md = kit::ours!();
    let write = "echo up; read x; head -c 3000000 /dev/zero; echo done >/mark; exec sleep 1000";
    let mut client =
        md.call(["run", "--name", "ww", "-i", "hostbox", "sh", "-c", write]).stdin_open().spawn();
    client.expect("up\n");
    client.signal(Signal::KILL);
    let _ = client.finish_held().code(137);
    // Its input ended with the client, so it went on to write more than any pipe holds.
    wait_until(&md, "it has written all", || {
        let pid = crate::inspect(&md, "ww")["State"]["Pid"].as_i64().unwrap();
        std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default() == b"sleep\x001000\0"
    });
    md.line("rm -f ww").ok();
    md.nothing_left();
}

#[test]
fn a_client_that_is_stopped_gives_back_pressure_and_loses_nothing() {
    let md = kit::ours!();
    let mut client =
        md.call(["run", "--rm", "hostbox", "sh", "-c", "echo up; head -c 4000000 /dev/zero"]).spawn();
    client.expect("up\n");
    client.signal(Signal::STOP);
    std::thread::sleep(std::time::Duration::from_millis(300));
    client.signal(Signal::CONT);
    assert_eq!(client.finish().ok().stdout.len(), 4_000_003);
}

#[test]
fn a_reader_that_goes_away_does_not_hang_the_run() {
    let md = kit::ours!();
    let lines = [
        "run",
        "--rm",
        "hostbox",
        "sh",
        "-c",
        "i=0; while [ $i -lt 200000 ]; do echo line; i=$((i+1)); done",
    ];
    md.call(lines).through("\"$@\" | head -n 1").run().ok().stdout_is("line");
    md.nothing_left();
}

#[test]
fn a_holder_of_the_output_outside_keeps_no_end_from_being_told() {
    let md = kit::ours!();
    let client = crate::sleeper(&md, "held");
    // As after SCM_RIGHTS: the write end of the container's own pipe, in a process beside it.
    let pid = crate::inspect(&md, "held")["State"]["Pid"].as_i64().unwrap();
    let output = std::fs::File::options().write(true).open(format!("/proc/{pid}/fd/1")).unwrap();
    // Its back-pressure keeps the writer at the pipe until the end.
    client.signal(Signal::STOP);
    let mut writer = std::process::Command::new("yes").arg("x".repeat(4000)).stdout(output).spawn().unwrap();
    md.line("kill held").ok();
    let mut writers_end = None;
    for _ in 0..6000 {
        writers_end = writer.try_wait().unwrap();
        if writers_end.is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let _ = writer.kill();
    let signal = writers_end.as_ref().and_then(std::os::unix::process::ExitStatusExt::signal);
    assert_eq!(signal, Some(Signal::PIPE.as_raw()), "the supervisor reads on: {writers_end:?}");
    client.signal(Signal::CONT);
    client.finish().code(137).quiet();
    md.line("rm held").ok();
    md.nothing_left();
}

#[test]
fn a_supervisor_by_hand_is_refused_before_it_takes_a_descriptor() {
    let md = kit::ours!();
    for numbers in [["5", "5"], ["5", "05"], ["1", "5"], ["5", "-1"], ["5", "x"]] {
        let mut by_hand = std::process::Command::new("bash");
        by_hand.args(["-c", "exec 5</dev/null; exec -a minidocker-supervisor \"$@\"", "bash"]);
        let out = by_hand.arg(md.program()).arg("id").args(numbers).output().unwrap();
        assert_eq!(out.status.code(), Some(125), "{numbers:?}: {out:?}");
        assert_eq!(
            String::from_utf8_lossy(&out.stderr),
            "",
            "{numbers:?}: no abort of a descriptor with two owners"
        );
    }
    md.nothing_left();
}

#[test]
fn the_shell_does_not_wait_for_the_supervisor() {
    let md = kit::ours!();
    // $(…) waits for the end of file: nobody may keep the client's outputs open.
    let nested = "a=$(\"$@\"); echo \"<$a>\"";
    md.call(kit::words("run --rm hostbox echo hi")).through(nested).run().ok().stdout_is("<hi>");
}

pub(crate) fn wait_until(md: &Minidocker, what: &str, holds: impl Fn() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !holds() {
        let processes: Vec<String> = md.processes().iter().map(ToString::to_string).collect();
        assert!(std::time::Instant::now() < end, "waited in vain until {what}:\n{}", processes.join("\n"));
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
