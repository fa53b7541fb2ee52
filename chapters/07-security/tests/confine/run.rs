//! Runs the example as root of the host and as root of a user namespace with one id.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// As whom the example runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum As {
    /// Root of the host.
    Root,
    /// A plain user who is root of a user namespace with one id.
    Rootless,
    /// A plain user.
    Plain,
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Those that are root somewhere. Root can try both, a plain user the second.
pub(crate) fn roots() -> &'static [As] {
    let mut test = Command::new("unshare");
    test.args(["--user", "--map-root-user", "true"]).stderr(Stdio::null());
    if is_root() {
        test.uid(65534).gid(65534);
    }
    match (is_root(), test.status().is_ok_and(|s| s.success())) {
        (true, true) => &[As::Root, As::Rootless],
        (false, true) => &[As::Rootless],
        (root, false) => {
            kit::skip("no-userns", &"plain users may not make user namespaces here");
            if root { &[As::Root] } else { &[] }
        }
    }
}

/// What the example prints in a mount namespace that goes with it. `{}` in an argument becomes a
/// directory that is the user's, `{program}` the example itself.
pub(crate) fn run(who: As, words: &[&str]) -> String {
    let room = tempfile::tempdir().unwrap();
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Copied by another process: a copy that we write ourselves may be open in a child of another
    // test that just starts (ETXTBSY).
    let test = std::env::current_exe().unwrap();
    let example = test.parent().unwrap().parent().unwrap().join("examples/confine");
    let copy = room.path().join("confine");
    assert!(Command::new("cp").args([&example, &copy]).status().unwrap().success());
    let own = room.path().join("own");
    fs::create_dir(&own).unwrap();
    let mut command = Command::new(if who == As::Plain { "env" } else { "unshare" });
    match who {
        As::Root => command.args(["--mount", "--propagation", "private"]),
        As::Rootless => command.args(["--user", "--map-root-user", "--mount"]),
        As::Plain => &mut command,
    };
    if who != As::Root && is_root() {
        std::os::unix::fs::chown(&own, Some(65534), Some(65534)).unwrap();
        command.uid(65534).gid(65534);
    }
    let (own, program) = (own.to_str().unwrap(), copy.to_str().unwrap());
    command.arg(program).args(words.iter().map(|w| w.replace("{}", own).replace("{program}", program)));
    let out = command.current_dir("/").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
    text.replace(own, "{}")
}

/// The field of /proc/self/status with this name, without the tabs.
pub(crate) fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find(|l| l.starts_with(name) && l[name.len()..].starts_with(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}"))[name.len() + 1..].trim()
}
