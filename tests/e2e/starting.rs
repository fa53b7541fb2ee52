//! The start of a supervisor: what it inherits, and what is left when there can't be one.

use std::fs;

use kit::{Minidocker, Who};

/// How many containers and names the store has.
fn recorded(md: &Minidocker) -> [usize; 2] {
    ["containers", "names"].map(|dir| fs::read_dir(md.root().join(dir)).unwrap().count())
}

#[test]
fn without_a_process_for_the_supervisor_nothing_is_recorded() {
    for who in Who::all().iter().filter(|who| **who != Who::Me || !rustix::process::geteuid().is_root()) {
        let md = kit::ours!(*who);
        md.line("run --rm hostbox true").ok();
        // RLIMIT_NPROC counts all processes of the user; this one is there already.
        let one = |line: &str| md.call(kit::words(line)).through("exec prlimit --nproc=1 \"$@\"").run();
        let out = one("run --rm --name few hostbox true").complains(125, "cannot start the supervisor");
        let err = out.err();
        let lines: Vec<&str> = err.lines().collect();
        assert!(lines[1].starts_with("  clone(CLONE_VM|CLONE_VFORK|SIGCHLD"), "{err}");
        assert!(lines[1].contains(" : EAGAIN ("), "{err}");
        assert!(lines[2].starts_with("  because: ") && lines[2].contains("RLIMIT_NPROC"), "{err}");
        assert!(lines[3].starts_with("  do: ulimit -u"), "{err}");
        assert_eq!(recorded(&md), [0, 0], "as {who:?}");
        // Without --rm it is as after any start that failed: Docker keeps the container, and its name.
        let _ = one("run --name few hostbox true").complains(125, "cannot start the supervisor");
        assert_eq!(crate::inspect(&md, "few")["State"]["Status"], "created");
        md.line("rm few").ok();
        md.nothing_left();
    }
}

#[test]
fn however_few_descriptors_there_are_a_failed_run_leaves_no_record() {
    let md = kit::ours!();
    md.line("run --rm hostbox true").ok();
    let mut failed = 0;
    for most in 4..40 {
        let few = format!("ulimit -n {most}; exec \"$@\"");
        let out = md.call(kit::words("run --rm --name few hostbox true")).through(&few).run();
        assert_eq!(recorded(&md), [0, 0], "with {most}: {out:?}");
        if out.code != 0 {
            failed += 1;
            let err = out.complains(125, "").err();
            assert!(!err.contains("os error"), "with {most}: {err}");
        }
    }
    assert!(failed > 3, "{failed} runs failed");
    md.nothing_left();
}

#[test]
fn descriptors_of_the_caller_stay_with_the_caller() {
    let md = kit::ours!();
    let script = "exec \"$@\" 7</etc/passwd 9</etc/group";
    // ls itself has a fourth one, on the directory that it lists.
    let list = "run --rm -i hostbox sh -c 'ls /proc/1/fd; echo up; read x'";
    let mut client = md.call(kit::words(list)).through(script).stdin_open().spawn();
    client.expect("0\n1\n2\nup\n");
    let supervisors = md.supervisors();
    assert_eq!(supervisors.len(), 1, "{supervisors:?}");
    let of_supervisor = fs::read_dir(format!("/proc/{}/fd", supervisors[0].pid)).unwrap();
    let open: Vec<_> = of_supervisor.flatten().flat_map(|fd| fs::read_link(fd.path())).collect();
    assert!(open.len() > 3, "{open:?}");
    let foreign = open.iter().filter(|to| to.starts_with("/etc")).count();
    assert_eq!(foreign, 0, "{open:?}");
    assert_eq!(supervisors[0].comm, "minidocker-sup");
    client.send(b"x\n");
    client.finish().ok();
    md.nothing_left();
}

#[test]
fn after_run_with_rm_no_process_is_left() {
    // An empty store: the image is made, and its layer is not yet on the disk when the program ends.
    for round in 0..8 {
        let md = if round < 3 {
            Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), Who::Me)
        } else {
            kit::ours!(Who::Me)
        };
        let out = md.line("run --rm hostbox true");
        let left = md.processes();
        assert!(left.is_empty(), "{left:?} after {out:?}");
        assert_eq!(out.code, 0, "{out:?}");
        md.nothing_left();
    }
}
