//! The demo binary: how it starts a program, what it shows, and what it says when that fails.
#![allow(clippy::unwrap_used)]

use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use kit::require;

const WHY: &str = "user namespaces are forbidden here";
/// Nobody: no subordinate ids, no home.
const PLAIN: u32 = 65534;

fn userns_allowed() -> bool {
    let tried = Command::new("unshare").args(["-Um", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

fn demo(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ch00-syscalls"));
    command.args(args).envs(env.to_vec()).stdin(Stdio::null()).output().unwrap()
}

fn code(args: &[&str]) -> Option<i32> {
    demo(args, &[]).status.code()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_exit_code_is_the_programs() {
    require!(userns_allowed(), "no-userns", WHY);
    assert_eq!(code(&["true"]), Some(0));
    assert_eq!(code(&["sh", "-c", "exit 7"]), Some(7));
    assert_eq!(code(&["sh", "-c", "kill -KILL $$"]), Some(128 + 9));
    // A real-time signal, which has no name in nix's Signal.
    assert_eq!(code(&["sh", "-c", "kill -40 $$"]), Some(128 + 40));
}

#[test]
fn what_cannot_be_started_is_126_or_127() {
    require!(userns_allowed(), "no-userns", WHY);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::write(&data, "no program").unwrap();
    assert_eq!(code(&["no-such-program"]), Some(127));
    assert_eq!(code(&["/no/such/program"]), Some(127));
    assert_eq!(code(&[data.to_str().unwrap()]), Some(126));
    assert_eq!(code(&["/"]), Some(126));
    // A file without the x bit is passed by when a later directory of PATH has a program.
    std::fs::write(dir.path().join("true"), "no program").unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    assert_eq!(demo(&["true"], &[("PATH", &path)]).status.code(), Some(0));
    assert_eq!(demo(&["true"], &[("PATH", dir.path().to_str().unwrap())]).status.code(), Some(126));
}

#[test]
fn arguments_environment_and_output_pass_through() {
    require!(userns_allowed(), "no-userns", WHY);
    let output =
        demo(&["sh", "-c", "printf '%s|' \"$@\" $X; echo oops >&2", "0", "a b", "--trace"], &[("X", "x")]);
    assert_eq!(text(&output.stdout), "a b|--trace|x|");
    assert_eq!(text(&output.stderr), "oops\n");
}

#[test]
fn trace_prints_a_line_for_each_call() {
    require!(userns_allowed(), "no-userns", WHY);
    let output = demo(&["--trace", "true"], &[]);
    let shown = text(&output.stderr);
    for line in [
        "unshare(CLONE_NEWNS|CLONE_NEWUSER) = 0",
        "write(\"/proc/self/setgroups\", \"deny\", 4) = 0",
        "mount(NULL, \"/\", NULL, MS_REC|MS_PRIVATE, NULL) = 0",
    ] {
        assert!(shown.lines().any(|l| l == line), "{line} is missing in\n{shown}");
    }
    let clones =
        shown.lines().filter(|l| l.starts_with("clone3({flags=CLONE_PIDFD, exit_signal=SIGCHLD}) = "));
    assert_eq!(clones.count(), 1, "by the parent alone: {shown}");
    assert!(shown.contains("execve(\"") && shown.contains("/true\", [\"true\"]"), "{shown}");
    assert!(shown.trim_end().ends_with("= Exited(0)"), "{shown}");
    assert_eq!(text(&demo(&["true"], &[]).stderr), "");
}

#[test]
fn in_the_borrowed_room_one_id_is_mapped_and_mounts_stay_inside() {
    require!(userns_allowed(), "no-userns", WHY);
    let (me, before) = (nix::unistd::geteuid(), std::fs::read_to_string("/proc/self/mountinfo").unwrap());
    let script = "cat /proc/self/uid_map; mount -t tmpfs none /tmp && ls -A /tmp | wc -l";
    let shown = text(&demo(&["sh", "-c", script], &[]).stdout);
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(words, ["0", &me.to_string(), "1", "0"]);
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
}

#[test]
fn a_plain_user_is_root_in_the_room() {
    require!(userns_allowed(), "no-userns", WHY);
    require!(nix::unistd::geteuid().is_root(), "not-root", "only root can become another user");
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let binary = dir.path().join("ch00-syscalls");
    // By cp(1) and chmod(1): an open descriptor of ours would make execve(2) answer ETXTBSY.
    for (program, args) in [
        ("cp", [env!("CARGO_BIN_EXE_ch00-syscalls"), binary.to_str().unwrap()]),
        ("chmod", ["755", dir.path().to_str().unwrap()]),
    ] {
        assert!(Command::new(program).args(args).status().unwrap().success());
    }
    let output = Command::new(&binary)
        .args(["sh", "-c", "id -u; cat /proc/self/uid_map"])
        .uid(PLAIN)
        .gid(PLAIN)
        .current_dir("/")
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert_eq!(shown.split_whitespace().collect::<Vec<_>>(), ["0", "0", "65534", "1"], "{output:?}");
}

#[test]
fn ctrl_c_is_for_the_program() {
    require!(userns_allowed(), "no-userns", WHY);
    // The signal reaches us as it does from a terminal; the program ends by itself, later.
    let script =
        "while ! grep -q '^SigIgn:.*[67ef]$' /proc/$PPID/status; do :; done; kill -INT $PPID; exit 5";
    assert_eq!(code(&["sh", "-c", script]), Some(5));
}

#[test]
fn without_clone3_there_is_clone() {
    require!(userns_allowed(), "no-userns", WHY);
    let output = demo(&["--trace", "true"], &[("MINIDOCKER_INJECT", "client:clone3:ENOSYS")]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stderr);
    assert!(shown.contains("clone3({flags=CLONE_PIDFD, exit_signal=SIGCHLD}) = -1 ENOSYS"), "{shown}");
    assert!(shown.contains("clone(CLONE_PIDFD|SIGCHLD, NULL) = "), "{shown}");
}

#[test]
fn a_refused_call_is_shown_with_its_reason_and_a_remedy() {
    let output = demo(&["true"], &[("MINIDOCKER_INJECT", "client:unshare:EPERM")]);
    assert_eq!(output.status.code(), Some(125));
    let shown = text(&output.stderr);
    let mut lines = shown.lines();
    assert_eq!(
        lines.next(),
        Some("ch00-syscalls: unshare(CLONE_NEWNS|CLONE_NEWUSER) : EPERM (Operation not permitted)")
    );
    assert!(lines.next().unwrap().starts_with("  because: this host forbids user namespaces"), "{shown}");
    assert!(lines.next().unwrap().starts_with("  do: "), "{shown}");
}
