//! Kernels that lack a newer call, played by a seccomp filter.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

use kit::require;

const WHY: &str = "a filter without no_new_privs takes root";
/// Nobody: no subordinate ids, no home.
const DROP: [&str; 5] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];

/// The exit code, and both outputs in one, as root and as a plain user.
fn each(rules: &[&str], program: &str, args: &[&str], check: impl Fn(Option<i32>, &str)) {
    for drop in [&DROP[..0], &DROP] {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let copy = dir.path().join("program");
        // By cp(1) and chmod(1): an open descriptor of ours would make execve(2) answer ETXTBSY.
        for words in [["cp", program, copy.to_str().unwrap()], ["chmod", "755", dir.path().to_str().unwrap()]]
        {
            assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success());
        }
        let words = kit::without(rules);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(drop).arg(&copy).args(args).stdin(Stdio::null()).current_dir("/");
        let out = command.output().unwrap();
        let text = [out.stdout, out.stderr].concat();
        check(out.status.code(), &String::from_utf8_lossy(&text));
    }
}

fn newer() -> String {
    kit::example("ch00-syscalls", "newer").display().to_string()
}

#[test]
fn clone_takes_the_place_of_clone3() {
    require!(kit::may_filter(), "not-root", WHY);
    for errno in ["ENOSYS (Function not implemented)", "EPERM (Operation not permitted)"] {
        let rule = format!("clone3={}", &errno[..errno.find(' ').unwrap()]);
        each(&[&rule], &newer(), &["clone3"], |code, text| {
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!((code, lines.len()), (Some(0), 3), "{text}");
            assert_eq!(lines[0], format!("clone3({{flags=CLONE_PIDFD, exit_signal=SIGCHLD}}) = -1 {errno}"));
            assert!(lines[1].starts_with("clone(CLONE_PIDFD|SIGCHLD, NULL) = "), "{text}");
            assert!(lines[2].ends_with("= Exited(5)"), "{text}");
        });
        let demo = env!("CARGO_BIN_EXE_ch00-syscalls");
        each(&[&rule], demo, &["--trace", "sh", "-c", "exit 7"], |code, text| {
            assert_eq!(code, Some(7), "{text}");
            assert!(text.contains("\nclone(CLONE_PIDFD|SIGCHLD, NULL) = "), "{text}");
        });
    }
}

#[test]
fn clone_has_no_bit_for_a_time_namespace() {
    require!(kit::may_filter(), "not-root", WHY);
    for errno in ["ENOSYS", "EPERM"] {
        each(&[&format!("clone3={errno}")], &newer(), &["clone3-newtime"], |code, text| {
            assert_eq!((code, text.lines().count()), (Some(1), 3), "{text}");
            assert!(
                text.starts_with("clone3({flags=CLONE_NEWTIME|CLONE_PIDFD,") && text.contains(errno),
                "{text}"
            );
        });
    }
}

#[test]
fn what_clone3_and_clone_both_refuse_is_told_of_the_first() {
    require!(kit::may_filter(), "not-root", WHY);
    let demo = env!("CARGO_BIN_EXE_ch00-syscalls");
    each(&["clone3=EPERM", "clone&0x1000=EPERM"], demo, &["true"], |code, text| {
        assert_eq!(code, Some(125), "{text}");
        assert!(text.starts_with("ch00-syscalls: clone3({flags=CLONE_PIDFD,"), "{text}");
    });
    each(&["clone3=ENOSYS", "clone&0x1000=EPERM"], demo, &["true"], |code, text| {
        assert_eq!(code, Some(125), "{text}");
        assert!(text.starts_with("ch00-syscalls: clone(CLONE_PIDFD|SIGCHLD, NULL) : EPERM"), "{text}");
    });
}

#[test]
fn descriptors_are_closed_one_by_one_where_close_range_is_missing() {
    require!(kit::may_filter(), "not-root", WHY);
    each(&[], &newer(), &["close_range"], |code, text| {
        assert_eq!(code, Some(0));
        assert_eq!(text.lines().skip(2).collect::<Vec<_>>(), ["3 closed", "4 open", "5 closed"], "{text}");
        assert!(!text.contains("\nclose("), "{text}");
    });
    for errno in ["ENOSYS", "EPERM"] {
        each(&[&format!("close_range={errno}")], &newer(), &["close_range"], |code, text| {
            assert_eq!(code, Some(0));
            let lines: Vec<&str> = text.lines().collect();
            let first = format!("close_range(3, 3, 0) = -1 {errno}");
            assert!(lines[0].starts_with(&first), "{text}");
            assert_eq!(lines[1], "close(3) = 0");
            assert!(lines.contains(&"close(5) = 0") && !lines.contains(&"close(4) = 0"), "{text}");
            assert_eq!(lines[lines.len() - 3..], ["3 closed", "4 open", "5 closed"], "{text}");
        });
    }
}

#[test]
fn a_missing_call_without_an_older_one_is_told_with_its_reason() {
    require!(kit::may_filter(), "not-root", WHY);
    for call in ["openat2", "pidfd_open", "pidfd_send_signal", "fsopen"] {
        each(&[&format!("{call}=ENOSYS")], &newer(), &[call], |code, text| {
            assert_eq!(code, Some(1), "{call}: {text}");
            let lines: Vec<&str> = text.lines().rev().take(3).collect();
            let [remedy, because, event] = lines[..] else { panic!("{text}") };
            assert!(event.starts_with(&format!("{call}(")) && event.contains("= -1 ENOSYS"), "{text}");
            assert!(because.starts_with("because: the kernel is older than this call"), "{text}");
            assert!(remedy.starts_with("do: uname -r"), "{text}");
        });
    }
}

#[test]
fn a_filter_like_dockers_is_named_as_a_possible_reason() {
    require!(kit::may_filter(), "not-root", WHY);
    let demo = env!("CARGO_BIN_EXE_ch00-syscalls");
    for rule in ["unshare=EPERM", "mount=EPERM"] {
        each(&["clone3=ENOSYS", rule], demo, &["true"], |code, text| {
            assert_eq!(code, Some(125), "{text}");
            assert!(text.contains("seccomp filter") && text.contains("(Docker's)"), "{text}");
            assert!(text.contains("inside Docker: --security-opt seccomp=unconfined"), "{text}");
        });
    }
}
