//! The client as a job of an interactive bash: `&`, Ctrl-Z, `fg`.

use kit::{Minidocker, Process, Running, Who};
use rustix::process::Signal;

/// An interactive bash on a terminal, in which `$MD` is the binary.
fn bash(md: &Minidocker) -> Running {
    let start = "MD=$1; export MD; PS1='% ' exec bash --norc --noprofile -i";
    let no_words: [&str; 0] = [];
    let mut bash = md.call(no_words).through(start).env("TERM", "dumb").on_terminal(24, 80);
    // Stops are told at once, not before the next prompt.
    bash.send(b"set -b; echo rea''dy\r");
    bash.expect("ready\r\n");
    bash
}

/// The user's terminal has the modes of a shell that waits for a command.
fn is_cooked(bash: &mut Running) {
    bash.send(b"stty -a | grep -q ' icanon' && echo coo''ked\r");
    bash.expect("cooked\r\n");
}

/// The client has ended with `code`, and left the terminal as it was. Ends bash.
fn ended(mut bash: Running, code: i32) {
    bash.expect("% ");
    bash.send(b"echo co''de=$?\r");
    bash.expect(&format!("code={code}\r\n"));
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
        bash.send(b"\"$MD\" run --rm -it hostbox sh &\r");
        bash.expect("Stopped");
        is_cooked(&mut bash);
        bash.send(b"fg\r");
        bash.send(b"PS1=; inside=yes; echo \"<$inside>\"\r");
        bash.expect("<yes>\r\n");
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
        bash.send(b"\"$MD\" run --rm -i hostbox cat &\r");
        bash.expect("Stopped");
        for text in ["one", "two", "three"] {
            bash.send(b"fg\r");
            bash.expect("run --rm -i hostbox cat\r\n");
            bash.send(format!("{text}\r").as_bytes());
            bash.expect(&format!("{text}\r\n{text}\r\n"));
            bash.send(b"\x1a");
            bash.expect("Stopped");
        }
        // In the background it is stopped again as soon as it would read.
        bash.send(b"bg\r");
        bash.expect("Stopped");
        bash.send(b"fg\r");
        bash.expect("run --rm -i hostbox cat\r\n");
        bash.send(b"\x04");
        ended(bash, 0);
        md.nothing_left();
    }
}

#[test]
fn ctrl_z_without_i_stops_the_client_and_not_the_container() {
    let md = kit::ours!();
    let mut bash = bash(&md);
    bash.send(b"\"$MD\" run --rm --name stop hostbox sh -c 'echo u''p; exec sleep 1000'\r");
    bash.expect("up\r\n");
    bash.send(b"\x1a");
    bash.expect("Stopped");
    bash.send(b"\"$MD\" kill stop\r");
    bash.expect("\nstop\r\n");
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
        bash.send(b"PS1=; inside=yes; echo \"<$inside>\"\r");
        bash.expect("<yes>\r\n");
        bash.send(b"cat\r");
        bash.send(b"here\r");
        bash.expect("here\r\nhere\r\n");
        bash.send(b"\x1a");
        bash.expect("Stopped");
        bash.send(b"echo \"[$inside]\"\r");
        bash.expect("[yes]\r\n");
        bash.send(b"fg\r");
        bash.expect("fg\r\ncat\r\n");
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
        bash.send(b"PS1=; echo rea''dy; stty size\r");
        bash.expect("ready\r\n24 80\r\n");
        client(&md).signal(Signal::TSTP);
        bash.expect("Stopped");
        is_cooked(&mut bash);
        bash.resize(33, 99);
        bash.send(b"fg\r");
        bash.expect("run --rm -it");
        // In a raw terminal the line comes back once, by the container's echo.
        bash.send(b"stty size\r");
        assert!(bash.expect("33 99\r\n").ends_with("\nstty size\r\n33 99\r\n"));
        bash.send(b"exit 0\r");
        ended(bash, 0);
        md.nothing_left();
    }
}
