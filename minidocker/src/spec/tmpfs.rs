//! `--tmpfs DIR[:OPTIONS]`, as Docker reads it: what was typed, over its own `noexec,nosuid,nodev`.
//!
//! Source: moby 28, `daemon/oci_linux.go` (`withMounts`) and `github.com/moby/sys` (`MergeTmpfsOptions`).

use super::SpecError;

/// What each such mount has unless the options say otherwise.
const DEFAULTS: [&str; 4] = ["noexec", "nosuid", "nodev", "rprivate"];

/// Flags of mount(8) that contradict each other, a line each; the last one typed counts.
const FLAGS: [&[&str]; 10] = [
    &["ro", "rw"],
    &["exec", "noexec"],
    &["suid", "nosuid"],
    &["dev", "nodev"],
    &["sync", "async"],
    &["atime", "noatime"],
    &["diratime", "nodiratime"],
    &["relatime", "norelatime"],
    &["strictatime", "nostrictatime"],
    &["private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"],
];

/// What the file system itself reads (tmpfs(5)).
const VALUES: [&str; 7] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

/// The options of the mount, each once.
///
/// # Errors
/// [`SpecError::TmpfsOption`]: one that Docker doesn't take.
pub(super) fn options(typed: &str) -> Result<Vec<String>, SpecError> {
    let typed = typed.split(',').filter(|_| !typed.is_empty());
    let mut merged: Vec<(&str, &str)> = Vec::new();
    for option in DEFAULTS.into_iter().chain(typed).filter(|option| *option != "defaults") {
        let key = key(option)?;
        merged.retain(|(other, _)| *other != key);
        merged.push((key, option));
    }
    Ok(merged.into_iter().map(|(_, option)| option.to_owned()).collect())
}

/// What an option decides on.
fn key(option: &str) -> Result<&str, SpecError> {
    if let Some(flags) = FLAGS.iter().find(|flags| flags.contains(&option)) {
        return Ok(flags[0]);
    }
    match option.split_once('=') {
        Some((name, _)) if VALUES.contains(&name) => Ok(name),
        _ => Err(SpecError::TmpfsOption(option.splitn(2, '=').map(str::to_owned).collect())),
    }
}
