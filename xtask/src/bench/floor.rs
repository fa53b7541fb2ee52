//! The floor: floor.c, compiled when it is needed, and the groups that it is given.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::stats::Peer;
use super::who::Who;
use crate::workspace;

const SOURCE: &str = include_str!("floor.c");

/// What each further value of `-s` adds. The C source names them the same.
pub(super) const STEPS: [&str; 7] = [
    "fork, exec, wait",
    "namespaces",
    "overlay and pivot_root",
    "mounts and devices",
    "masked and read-only paths",
    "loopback, name, capabilities",
    "cgroups and device list",
];

/// Compiles it, static: there is nothing below.
pub(super) fn compile(into: &Path) -> Result<PathBuf> {
    let (source, program) = (into.join("floor.c"), into.join("floor"));
    fs::write(&source, SOURCE)?;
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut cc = Command::new(compiler);
    cc.args(["-O2", "-static", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(&source);
    workspace::run(&mut cc)?;
    Ok(program)
}

/// The floor up to each step; the last one is the whole.
pub(super) fn peers(room: &Path, lower: &Path, who: &Who) -> Vec<Peer> {
    let program = room.join("bin/floor");
    let state = room.join(who.folder()).join("floor");
    let groups =
        if who.is_root() { groups(&format!("{}-floor", super::room::tag(room))) } else { Groups::default() };
    let before = who.floor_options();
    let subid = who.first_subid().map(|id| id.to_string());
    let lower = lower.to_owned();
    // Without root there are no groups to be in, so the last step would be none.
    let last = if groups.all.is_empty() { STEPS.len() - 2 } else { STEPS.len() - 1 };
    let peer = |steps: usize| {
        let (program, state, groups, before) =
            (program.clone(), state.clone(), groups.clone(), before.clone());
        let (lower, subid) = (lower.clone(), subid.clone());
        let name = if steps == last { "floor" } else { STEPS[steps] };
        Peer::new(name, "C, the same system calls and nothing else", move |_| {
            let mut command = Command::new(&program);
            command.args(["-s", &steps.to_string()]).args(&before);
            for (option, group) in groups.options() {
                command.arg(option).arg(group);
            }
            command.envs(subid.iter().map(|id| ("SUBID", id)));
            command.arg(&lower).arg(&state).arg("/usr/bin/true");
            command
        })
    };
    (0..=last).map(peer).collect()
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Groups {
    all: Vec<PathBuf>,
    devices: Option<PathBuf>,
}

impl Groups {
    fn options(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        self.all.iter().map(|group| ("-g", group)).chain(self.devices.iter().map(|group| ("-d", group)))
    }
}

/// Where minidocker makes its groups too: below our own place in v2, and in v1's `devices`.
fn groups(name: &str) -> Groups {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    groups_of(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"), name)
}

fn groups_of(cgroup: &str, mountinfo: &str, name: &str) -> Groups {
    // proc_pid_mountinfo(5): 4 root, 5 mount point; after `-` the type, the source, the options.
    let mount = |fstype: &str, option: &str| {
        mountinfo.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut after = after.split(' ');
            let fits = after.next() == Some(fstype)
                && (option.is_empty() || after.nth(1)?.split(',').any(|o| o == option));
            let mut before = before.split(' ').skip(3);
            fits.then_some((before.next()?, before.next()?))
        })
    };
    // cgroups(7): id:controllers:path.
    let place = |(root, point): (&str, &str), controllers: &str| {
        let path = cgroup.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (named, path) = rest.split_once(':')?;
            named.split(',').any(|c| c == controllers).then_some(path)
        })?;
        let below = Path::new(path).strip_prefix(root).ok()?;
        Some(Path::new(point).join(below).join(name))
    };
    let unified = mount("cgroup2", "").and_then(|m| place(m, ""));
    let devices = mount("cgroup", "devices").and_then(|m| place(m, "devices"));
    Groups { all: unified.into_iter().chain(devices.clone()).collect(), devices }
}

/// The lowerdir of the only image in a store.
pub(super) fn lower(store: &Path) -> Result<PathBuf> {
    let layers = store.join("layers");
    let mut all = fs::read_dir(&layers).with_context(|| format!("read {}", layers.display()))?.flatten();
    let layer = all.find(|entry| entry.path().join("fs").is_dir());
    Ok(layer.context("no layer in the store")?.path().join("fs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_on_hybrid_and_on_pure_v2() {
        let hybrid = "36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let groups = groups_of("5:devices:/a\n0::/b/c\n", hybrid, "x");
        let devices = PathBuf::from("/sys/fs/cgroup/devices/a/x");
        assert_eq!(groups.all, [PathBuf::from("/sys/fs/cgroup/unified/b/c/x"), devices.clone()]);
        assert_eq!(groups.devices, Some(devices));
        let pure = groups_of("0::/b\n", "41 31 0:38 /b /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "x");
        assert_eq!(pure, Groups { all: vec!["/sys/fs/cgroup/x".into()], devices: None });
    }

    #[test]
    fn the_c_source_knows_as_many_steps() {
        let list = SOURCE.split("enum {").nth(1).unwrap().split('}').next().unwrap();
        assert_eq!(list.split(',').count() + 1, STEPS.len(), "{list}");
    }
}
