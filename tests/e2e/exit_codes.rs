//! The exit code of a run: the payload's, 128 and its signal's number, 125 to 127 for what went wrong before.

use kit::{Who, common};

#[test]
fn the_payloads_code_is_the_commands() {
    let md = common!();
    for code in [0, 1, 3, 42, 125, 126, 127, 128, 137, 255] {
        crate::script(&md, &format!("exit {code}")).code(code).quiet();
    }
}

#[test]
fn a_payload_ended_by_signal_n_gives_128_and_n() {
    let md = common!();
    // Pid 1 can't kill itself (pid_namespaces(7)): a child does it, and sh tells its end in the same way.
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("SEGV", 139), ("HUP", 129)] {
        let _ = crate::script(&md, &format!("sh -c 'kill -{signal} $$'")).code(code);
    }
}

#[test]
fn the_code_is_the_same_for_every_user() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        crate::script(&md, "exit 7").code(7).quiet();
        md.line("run --rm hostbox true").ok().quiet();
        md.nothing_left();
    }
}

#[test]
fn a_missing_program_is_127() {
    let md = common!();
    md.line("run --rm hostbox nosuch").complains(127, "exec: \"nosuch\": executable file not found in $PATH");
    md.line("run --rm hostbox /nosuch")
        .complains(127, "exec: \"/nosuch\": stat /nosuch: no such file or directory");
    md.line("run --rm --entrypoint nosuch hostbox")
        .complains(127, "\"nosuch\": executable file not found in $PATH");
    md.nothing_left();
}

#[test]
fn a_program_that_may_not_be_run_is_126() {
    let md = common!();
    md.line("run --rm hostbox /etc/passwd").complains(126, "exec: \"/etc/passwd\": permission denied");
    md.line("run --rm hostbox /etc").complains(126, "exec: \"/etc\": ");
    md.nothing_left();
}

#[test]
fn an_error_of_ours_is_125() {
    let md = common!();
    let cases = [
        (
            "run --rm -w relative hostbox true",
            "working directory 'relative' is invalid, it needs to be an absolute path",
        ),
        ("run --rm -u nosuch hostbox true", "unable to find user nosuch: no matching entries in passwd file"),
        (
            "run --rm -u 0:nosuch hostbox true",
            "unable to find group nosuch: no matching entries in group file",
        ),
        (
            "run --rm --name / hostbox true",
            "Invalid container name (/), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        ),
        ("run --rm --nosuch hostbox true", "unknown flag: --nosuch"),
    ];
    for (line, text) in cases {
        md.line(line).complains(125, text);
    }
    md.nothing_left();
}

#[test]
fn an_image_that_is_not_here_is_125() {
    let md = kit::ours!();
    md.line("run --rm nosuch true").complains(125, "Unable to find image 'nosuch:latest' locally");
    md.line("run --rm example.org/a/b:c true")
        .complains(125, "Unable to find image 'example.org/a/b:c' locally");
    md.line("run --rm UPPER true").complains(125, "must be lowercase");
    md.line("run --rm '' true").complains(125, "invalid reference format");
    md.nothing_left();
}
