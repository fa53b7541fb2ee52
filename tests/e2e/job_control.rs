//! The client as a job of an interactive bash: `&`, Ctrl-Z, `fg`.

use kit::{Minidocker, Process, Running, Who};
use rustix::process::Signal;

/// An interactive bash on a terminal, in which `$MD` is the binary.
fn bash(md: &Minidocker) -> Running {
    let start = "MD=$1; export MD; PS1='% ' exec bash --norc --noprofile -i";
    let no_words: [&str; 0] = [];
    let mut bash = md.call(no_words).through(start).env("TERM", "dumb").on_terminal(24, 80);
    // Stops are told at once, not before the next prompt.
    says(&mut bash, "set -b; echo rea''dy", "ready\r\n");
    bash
}

/// The user's terminal has the modes of a shell that waits for a command.
fn is_cooked(bash: &mut Running) {
    says(bash, "stty -a | grep -q ' icanon' && echo coo''ked", "cooked\r\n");
}

/// Types a line, and waits for text that comes of it.
fn says(bash: &mut Running, line: &str, text: &str) {
    bash.send(format!("{line}\r").as_bytes());
    bash.expect(text);
}

fn ctrl_z(bash: &mut Running) {
    bash.send(b"\x1a");
    bash.expect("Stopped");
}

/// The client is in the foreground again, as bash says by showing its command.
fn fg(bash: &mut Running, command: &str) {
    says(bash, "fg", &format!("{command}\r\n"));
}

/// The client has ended with `code`, and left the terminal as it was. Ends bash.
fn ended(mut bash: Running, code: i32) {
    bash.expect("% ");
    says(&mut bash, "echo co''de=$?", &format!("code={code}\r\n"));
    is_cooked(&mut bash);
    bash.send(b"exit 0\r");
    let _ = bash.finish().ok();
}

fn client(md: &Minidocker) -> Process {
    let is_client = |p: &Process| p.argv.first().is_some_and(|a| a == md.program().to_str().unwrap());
    md.processes().into_iter().find(is_client).unwrap()
}

#[test]
fn a_shell_started_in_the_background_waits_for_fg_and_then_answers() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let mut bash = bash(&md);
        says(&mut bash, "\"$MD\" run --rm -it hostbox sh &", "Stopped");
        is_cooked(&mut bash);
        bash.send(b"fg\r");
        says(&mut bash, "PS1=; inside=yes; echo \"<$inside>\"", "<yes>\r\n");
        bash.send(b"exit 9\r");
        ended(bash, 9);
        md.nothing_left();
    }
}

#[test]
fn cat_in_the_background_is_stopped_and_reads_on_after_fg_and_ctrl_z() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let mut bash = bash(&md);
        says(&mut bash, "\"$MD\" run --rm -i hostbox cat &", "Stopped");
        for text in ["one", "two", "three"] {
            fg(&mut bash, "run --rm -i hostbox cat");
            says(&mut bash, text, &format!("{text}\r\n{text}\r\n"));
            ctrl_z(&mut bash);
        }
        // In the background it is stopped again as soon as it would read.
        says(&mut bash, "bg", "Stopped");
        fg(&mut bash, "run --rm -i hostbox cat");
        bash.send(b"\x04");
        ended(bash, 0);
        md.nothing_left();
    }
}

#[test]
fn ctrl_z_without_i_stops_the_client_and_not_the_container() {
    let md = kit::ours!();
    let mut bash = bash(&md);
    says(&mut bash, "\"$MD\" run --rm --name stop hostbox sh -c 'echo u''p; exec sleep 1000'", "up\r\n");
    ctrl_z(&mut bash);
    says(&mut bash, "\"$MD\" kill stop", "\nstop\r\n");
    bash.send(b"fg\r");
    ended(bash, 137);
    md.nothing_left();
}

#[test]
fn ctrl_z_with_it_is_the_container_s() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let mut bash = bash(&md);
        bash.send(b"\"$MD\" run --rm -it hostbox sh\r");
        says(&mut bash, "PS1=; inside=yes; echo \"<$inside>\"", "<yes>\r\n");
        bash.send(b"cat\r");
        says(&mut bash, "here", "here\r\nhere\r\n");
        ctrl_z(&mut bash);
        says(&mut bash, "echo \"[$inside]\"", "[yes]\r\n");
        fg(&mut bash, "fg\r\ncat");
        bash.send(b"\x04exit 4\r");
        ended(bash, 4);
        md.nothing_left();
    }
}

#[test]
fn a_client_that_was_stopped_is_raw_again_and_has_the_new_size() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let dir = md.dir("rootfs");
        kit::small_rootfs(&dir, md.who());
        kit::add_program(&dir, "stty");
        let mut bash = bash(&md);
        bash.send(format!("\"$MD\" run --rm -it --rootfs '{}' sh\r", dir.display()).as_bytes());
        says(&mut bash, "PS1=; echo rea''dy; stty size", "ready\r\n24 80\r\n");
        client(&md).signal(Signal::TSTP);
        bash.expect("Stopped");
        is_cooked(&mut bash);
        bash.resize(33, 99);
        says(&mut bash, "fg", "run --rm -it");
        // In a raw terminal the line comes back once, by the container's echo.
        bash.send(b"stty size\r");
        assert!(bash.expect("33 99\r\n").ends_with("\nstty size\r\n33 99\r\n"));
        bash.send(b"exit 0\r");
        ended(bash, 0);
        md.nothing_left();
    }
}
