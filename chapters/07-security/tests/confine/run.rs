//! Runs the example as root of the host and as root of a user namespace with one id.

use std::fs;
use std::os::unix::fs::PermissionsExt;

pub(crate) use kit::As;

/// What the example prints in a mount namespace that goes with it. `{}` in an argument becomes a
/// directory that is the user's, `{program}` the example itself.
pub(crate) fn run(who: As, words: &[&str]) -> String {
    let room = tempfile::tempdir().unwrap();
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (own, copy) = (room.path().join("own"), room.path().join("confine"));
    As::copy_example("ch07-security", "confine", &copy);
    fs::create_dir(&own).unwrap();
    who.own(&own);
    let (own, program) = (own.to_str().unwrap(), copy.to_str().unwrap());
    let mut command = who.command(&copy);
    command.args(words.iter().map(|w| w.replace("{}", own).replace("{program}", program)));
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
    text.replace(own, "{}")
}

/// The field of /proc/self/status with this name, without the tabs.
pub(crate) fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find(|l| l.starts_with(name) && l[name.len()..].starts_with(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}"))[name.len() + 1..].trim()
}
