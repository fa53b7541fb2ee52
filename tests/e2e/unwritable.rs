//! Standard output or error that can't be written: a full disk, a reader that left, no descriptor.
//! The exit code stays what it is, and nothing panics (Rust's `print!` would, with 101).

use kit::{Minidocker, Output};

/// Runs `line` with `redirect` behind it.
fn redirected(md: &Minidocker, line: &str, redirect: &str) -> Output {
    md.call(kit::words(line)).through(&format!("\"$@\" {redirect}")).run()
}

/// Runs `line`, whose output (behind `redirect`) goes to a pipe that nobody reads: EPIPE. What comes
/// back on stdout is its exit code.
fn unread(md: &Minidocker, line: &str, redirect: &str) -> Output {
    let script = format!("{{ sleep 0.2; \"$@\" {redirect}; echo $? >code; }} | :; cat code");
    md.call(kit::words(line)).through(&script).cwd(&md.dir("codes")).run().ok()
}

#[test]
fn a_message_that_nobody_can_be_told_leaves_the_exit_code_as_it_is() {
    let md = kit::ours!();
    let cases = [
        ("run nosuch true", 125),
        ("run --rm hostbox nosuch", 127),
        ("run --rm hostbox /etc/passwd", 126),
        ("run --rm hostbox sh -c 'exit 3'", 3),
        ("frobnicate", 1),
        ("rm nosuch nosuch2", 1),
        ("rm -f nosuch", 0),
        ("kill nosuch", 1),
    ];
    for (line, code) in cases {
        for redirect in ["2>/dev/full", "2>&-", "2>/dev/full <&- >&-"] {
            let _ = redirected(&md, line, redirect).code(code).quiet();
        }
        let _ = unread(&md, line, "2>&1 >/dev/null").stdout_is(&code.to_string());
    }
    md.nothing_left();
}

#[test]
fn a_full_standard_output_is_told_and_is_1() {
    let md = kit::ours!();
    md.line("run --name one hostbox true").ok();
    for line in ["ps -a", "ps -aq", "inspect one", "version", "--version", "--help", "run --help", "rm one"] {
        let out = redirected(&md, line, ">/dev/full");
        let out = out.complains(1, "cannot write to standard output");
        let _ = out.stderr_has("  write(1, \"…\", ").stderr_has(" : ENOSPC (No space left on device)");
    }
    // What was asked is done all the same, to every one that was named.
    for name in ["one", "two"] {
        md.run(["run", "--name", name, "hostbox", "true"]).ok();
    }
    redirected(&md, "rm one two", ">/dev/full").complains(1, "cannot write to standard output");
    md.nothing_left();
}

#[test]
fn an_id_that_nobody_was_told_stands_in_the_message() {
    let md = kit::ours!();
    for (redirect, errno) in [(">/dev/full", "ENOSPC"), ("1</dev/null", "EBADF")] {
        let out = redirected(&md, "create hostbox true", redirect);
        let id = md.containers()[0].file_name().unwrap().to_str().unwrap().to_owned();
        let told = format!("container {id} is created, and its id can't be told: cannot write to standard");
        let _ = out.complains(1, &told).stderr_has(errno);
        md.run(["rm", &id]).ok();
    }
    // As in Docker: who closes it wants to be told nothing.
    let _ = redirected(&md, "create --name shut hostbox true", ">&-").ok().quiet();
    md.line("rm shut").ok();
    md.nothing_left();
}

#[test]
fn a_reader_that_left_is_no_error() {
    let md = kit::ours!();
    md.line("run --name one hostbox true").ok();
    for line in ["ps -a", "inspect one", "version", "run --help", "rm one"] {
        let _ = unread(&md, line, "").stdout_is("0").quiet();
    }
    md.nothing_left();
}

#[test]
fn what_the_container_wrote_and_nobody_could_take_changes_no_exit_code_but_0() {
    let md = kit::ours!();
    let told = "minidocker: cannot write what the container wrote\n  write(1, …) : ENOSPC (No space left on device)\n";
    for (line, code) in [
        ("run --rm hostbox echo hi", 125),
        ("run --rm hostbox sh -c 'echo hi; exit 5'", 5),
        // It would write for ever: like any writer whose reader is gone, it is told by EPIPE.
        ("run --rm hostbox sh -c 'trap \"\" PIPE; cat /dev/zero 2>/dev/null || exit 6'", 6),
    ] {
        let out = redirected(&md, line, ">/dev/full").code(code);
        assert!(out.err().starts_with(told.trim_end()), "{line}: {out:?}");
    }
    for (line, code) in
        [("run --rm hostbox sh -c 'echo hi >&2; exit 5'", 5), ("run --rm hostbox sh -c 'echo hi >&2'", 125)]
    {
        // Nobody can be told.
        redirected(&md, line, "2>/dev/full").code(code).quiet();
    }
    md.nothing_left();
}

#[test]
fn input_that_cannot_be_read_is_told_and_is_the_end_of_it() {
    let md = kit::ours!();
    let out = redirected(&md, "run --rm -i hostbox sh -c 'cat; exit 5'", "</").code(5);
    assert_eq!(
        out.err().trim_end(),
        "minidocker: cannot read standard input: read(0, …) : EISDIR (Is a directory)"
    );
    md.nothing_left();
}
