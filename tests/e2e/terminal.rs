//! `-t`: a terminal inside, and raw mode outside.

use kit::{Minidocker, Running, Who, common};

fn shell(md: &Minidocker) -> Running {
    let mut shell = md.call(["run", "--rm", "-it", "hostbox", "sh"]).on_terminal(24, 80);
    // A marker that the echo of the input does not hold.
    shell.send(b"PS1=; echo rea''dy\r");
    shell.expect("ready\r\n");
    shell
}

#[test]
fn a_shell_answers_and_its_exit_code_comes_back() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let mut shell = shell(&md);
        shell.send(b"echo $((6*7)); [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all''three\r");
        shell.expect("42\r\n");
        shell.expect("allthree\r\n");
        shell.send(b"exit 9\r");
        assert_eq!(shell.finish().code, 9, "{who:?}");
        md.nothing_left();
    }
}

#[test]
fn ctrl_c_reaches_the_payload_and_not_the_client() {
    let md = common!();
    let mut shell = shell(&md);
    shell.send(b"trap 'echo inter''rupted' INT; sleep 1000\r");
    std::thread::sleep(std::time::Duration::from_millis(200));
    shell.send(b"\x03");
    shell.expect("interrupted");
    shell.send(b"exit 3\r");
    assert_eq!(shell.finish().code, 3);
}

#[test]
fn ctrl_d_ends_the_shell() {
    let md = common!();
    let mut shell = shell(&md);
    shell.send(b"\x04");
    assert_eq!(shell.finish().code, 0);
}

#[test]
fn the_size_is_the_users_from_the_start_and_follows() {
    let md = kit::ours!();
    let dir = md.dir("rootfs");
    kit::small_rootfs(&dir, md.who());
    ["stty", "sleep"].iter().for_each(|p| kit::add_program(&dir, p));
    let watch = "stty size; trap 'stty size' WINCH; echo rea''dy; while :; do sleep 0.05; done";
    let root = dir.to_str().unwrap();
    let mut running =
        md.call(["run", "--rm", "-it", "--rootfs", root, "sh", "-c", watch]).on_terminal(31, 97);
    assert!(running.expect("ready").contains("31 97"));
    running.resize(40, 132);
    running.expect("40 132");
    running.resize(10, 20);
    running.expect("10 20");
    running.signal(rustix::process::Signal::KILL);
    drop(running);
}

#[test]
fn the_users_terminal_is_as_before_afterwards() {
    let md = kit::ours!();
    let look = "stty -g >a; \"$@\"; stty -g >b; cmp a b && echo sa''me";
    let mut terminal = md.call(kit::words("run --rm -it hostbox true")).through(look).on_terminal(24, 80);
    terminal.expect("same");
    assert_eq!(terminal.finish().code, 0);
}

#[test]
fn with_t_there_is_a_console_and_term() {
    let md = common!();
    let mut one = md
        .call(["run", "--rm", "-t", "hostbox", "sh", "-c", "cd /dev; echo *; echo $TERM"])
        .on_terminal(24, 80);
    one.expect("console ");
    one.expect("xterm\r");
    assert_eq!(one.finish().code, 0);
}

#[test]
fn both_outputs_come_through_the_one_terminal() {
    let md = common!();
    let run =
        md.call(["run", "--rm", "-t", "hostbox", "sh", "-c", "echo out; echo err >&2"]).on_terminal(24, 80);
    // Without -i the user's own terminal stays as it is, and turns \n into \r\n once more, as with Docker.
    run.finish().ok().stdout_is("out\r\r\nerr");
    // -t without a terminal outside is allowed as long as nothing is to be typed.
    md.line("run --rm -t hostbox sh -c 'echo out; echo err >&2'").ok().stdout_is("out\r\nerr").quiet();
}

#[test]
fn it_without_a_terminal_is_refused() {
    let md = kit::ours!();
    let out = md.line("run --rm -it hostbox true");
    assert!(out.code == 1 || out.code == 125, "{}", out.code);
    let code = out.code;
    out.complains(code, "the input device is not a TTY");
    md.nothing_left();
}

#[test]
fn a_terminal_that_hangs_up_leaves_a_container_that_can_be_removed() {
    let md = kit::ours!();
    let mut client = md.call(["run", "--name", "hup", "-it", "hostbox", "sh"]).on_terminal(24, 80);
    client.send(b"echo rea''dy\r");
    client.expect("ready\r\n");
    drop(client);
    md.line("rm -f hup").ok().stdout_is("hup");
    md.nothing_left();
}

#[test]
fn the_detach_keys_leave_it_alone_and_start_ai_comes_back() {
    let md = common!();
    let name = md.name("left");
    let mut client = md.call(["run", "--name", &name, "-it", "hostbox", "sh"]).on_terminal(24, 80);
    client.send(b"PS1=; x=kept; echo rea''dy\r");
    client.expect("ready\r\n");
    client.send(b"\x10\x11");
    let out = client.finish();
    assert_eq!(out.code, 0, "{out:?}");
    assert!(out.out().ends_with("ready"), "without a word: {out:?}");
    assert_eq!(crate::inspect(&md, &name)["State"]["Status"], "running");
    let mut again = md.call(["start", "-ai", &name]).on_terminal(24, 80);
    again.send(b"echo it is $x''!\r");
    again.expect("it is kept!\r\n");
    again.send(b"exit 8\r");
    assert_eq!(again.finish().code, 8);
    md.line(&format!("rm {name}")).ok();
}

#[test]
fn detach_keys_are_the_users_and_their_beginning_is_passed_on() {
    let md = common!();
    let name = md.name("keys");
    let script = "echo ready; read x; [ \"$x\" = \"$(printf 'p\\001b')\" ] && echo passed; read y";
    let flags = format!("run --rm --name {name} --detach-keys ctrl-a,DEL,x -it hostbox sh -c");
    let line = kit::words(&flags).into_iter().chain([script.to_owned()]);
    let mut client = md.call(line).on_terminal(24, 80);
    client.expect("ready");
    client.send(b"p\x01b\r");
    client.expect("passed");
    client.send(b"\x01\x7fx");
    assert_eq!(client.finish().code, 0);
    md.line(&format!("kill {name}")).ok();
}

#[test]
fn a_container_that_was_left_alone_writes_on_into_its_log() {
    let md = kit::ours!();
    let dir = md.dir("data");
    let bind = format!("{}:/d", dir.display());
    // Much more than a pipe and a socket hold.
    let script = "read go; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo done > /d/done";
    let mut client = md
        .call(["run", "--name", "left", "-v", &bind, "-it", "hostbox", "sh", "-c", script])
        .on_terminal(24, 80);
    client.send(b"\r");
    client.expect("xxxx");
    client.send(b"\x10\x11");
    assert_eq!(client.finish().code, 0);
    while !dir.join("done").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    md.line("rm -f left").ok();
    md.nothing_left();
}

#[test]
fn after_the_detach_keys_the_users_terminal_is_as_before() {
    let md = kit::ours!();
    let look = "stty -g >a; \"$@\"; stty -g >b; cmp a b && echo sa''me";
    let line = "run --rm --name raw -it hostbox sh";
    let mut terminal = md.call(kit::words(line)).through(look).on_terminal(24, 80);
    terminal.send(b"PS1=; echo rea''dy\r");
    terminal.expect("ready\r\n");
    terminal.send(b"\x10\x11");
    terminal.expect("same");
    assert_eq!(terminal.finish().code, 0);
    md.line("rm -f raw").ok();
}

#[test]
fn detach_keys_that_there_are_not_run_nothing() {
    let md = kit::ours!();
    for keys in ["foo", ",", "ctrl-a,shift-b", "ctrl-A"] {
        let said = format!("Invalid detach keys ({keys}) provided");
        md.run(["run", "--rm", "--detach-keys", keys, "hostbox", "echo", "ran"]).complains(1, &said);
        md.run(["start", "--detach-keys", keys, "x"]).complains(1, &said);
    }
    md.nothing_left();
}
