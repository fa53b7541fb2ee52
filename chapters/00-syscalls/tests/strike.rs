//! The tracer of the fault tests itself: what it says that it struck, it has struck.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

/// Runs `mkdir DIR` as a program by the name that the tracer looks for. Its exit code, what it said, the report.
fn traced(room: &Path, blow: &[&str]) -> (Option<i32>, String, Vec<String>) {
    let (report, new) = (room.join("report"), room.join("new"));
    let mut tracer = Command::new(kit::example("ch00-syscalls", "strike"));
    tracer.arg(&report).args(blow).arg("--").arg(room.join("minidocker")).arg(&new).env("LC_ALL", "C");
    let output = tracer.output().unwrap();
    let words = std::fs::read_to_string(report).unwrap();
    let _ = std::fs::remove_dir(new);
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said, words.trim().splitn(3, ' ').map(str::to_owned).collect())
}

#[test]
fn a_call_that_is_told_as_struck_has_failed_each_time() {
    let room = tempfile::tempdir().unwrap();
    let mkdir = ["/bin/mkdir", "/usr/bin/mkdir"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    // A busybox would take the name for an applet's.
    let is_busybox = Path::new(mkdir).canonicalize().unwrap().ends_with("busybox");
    kit::require!(!is_busybox, "no-mkdir", "mkdir is an applet here");
    std::os::unix::fs::symlink(mkdir, room.path().join("minidocker")).unwrap();
    let (code, said, words) = traced(room.path(), &[]);
    kit::require!(!said.contains("EPERM"), "no-ptrace", "nobody may be traced here");
    assert_eq!((code, said.as_str(), words[2].as_str()), (Some(0), "", "-"));
    let (changing, failing) = (words[0].parse::<u32>().unwrap(), words[1].parse::<u32>().unwrap());
    assert!(0 < changing && changing < failing, "{words:?}: whoever starts looks more than he changes");

    let fail = |at: u32| traced(room.path(), &["--at", &at.to_string(), "--fail", "28"]);
    let is_mkdir =
        |words: &[String]| words[2].starts_with(&format!("call {} of the client", nix::libc::SYS_mkdir));
    let at = (1..=failing).rev().find(|at| is_mkdir(&fail(*at).2)).unwrap();
    // Seized at another moment each time.
    for _ in 0..20 {
        let (code, said, words) = fail(at);
        assert!(is_mkdir(&words), "{words:?}");
        assert!(code == Some(1) && said.contains("No space left on device"), "{code:?}: {said}");
    }
}
