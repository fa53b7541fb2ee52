//! The processes of one root, told apart from those of tests that run beside it.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process that belongs to a root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number, seen from the tests.
    pub pid: i32,
    /// The name that ps(1) shows, at most 15 bytes.
    pub comm: String,
    /// Its arguments.
    pub argv: Vec<String>,
}

impl Process {
    fn read(dir: &Path, pid: i32) -> Self {
        let comm = fs::read_to_string(dir.join("comm")).unwrap_or_default().trim_end().to_owned();
        let argv = strings(&dir.join("cmdline"));
        Self { pid, comm, argv }
    }

    /// Sends it a signal, by a pidfd. That it has ended is no error.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid);
        if let Some(fd) = pid.and_then(|p| pidfd_open(p, PidfdFlags::empty()).ok()) {
            let _ = pidfd_send_signal(fd, signal);
        }
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}) {}", self.pid, self.comm, self.argv.join(" "))
    }
}

/// All processes that name one of `marks` (the path of the root, an id) in their environment,
/// arguments, mount table, or as exe, root or working directory. Processes of other users that
/// we may not look into are not seen.
pub(crate) fn marked(marks: &[String]) -> Vec<Process> {
    let mine = fs::read_link("/proc/self/ns/mnt").ok();
    let found = all().filter(|(pid, dir)| {
        *pid != std::process::id().cast_signed() && is_marked(dir, marks, mine.as_ref())
    });
    let mut found: Vec<Process> = found.map(|(pid, dir)| Process::read(&dir, pid)).collect();
    found.sort();
    found
}

fn all() -> impl Iterator<Item = (i32, PathBuf)> {
    let entries = fs::read_dir("/proc").expect("read /proc").flatten();
    entries.filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path())))
}

fn is_marked(dir: &Path, marks: &[String], my_mounts: Option<&PathBuf>) -> bool {
    let has = |text: &str| marks.iter().any(|m| text.contains(m.as_str()));
    let words = ["environ", "cmdline"].iter().any(|f| strings(&dir.join(f)).iter().any(|s| has(s)));
    let links = || ["exe", "root", "cwd"].iter().any(|l| link(&dir.join(l)).is_some_and(|t| has(&t)));
    let mounts = || {
        let elsewhere = fs::read_link(dir.join("ns/mnt")).is_ok_and(|ns| Some(&ns) != my_mounts);
        elsewhere && fs::read_to_string(dir.join("mountinfo")).is_ok_and(|t| has(&t))
    };
    words || links() || mounts()
}

fn strings(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    let parts = bytes.split(|b| *b == 0).filter(|p| !p.is_empty());
    parts.map(|p| String::from_utf8_lossy(p).into_owned()).collect()
}

fn link(path: &Path) -> Option<String> {
    fs::read_link(path).ok().map(|p| p.to_string_lossy().into_owned())
}

/// Files below `dir` that some process has open: `pid (comm) path`.
pub(crate) fn open_files(dir: &Path) -> Vec<String> {
    let mut open = Vec::new();
    for (pid, proc) in all().filter(|(pid, _)| *pid != std::process::id().cast_signed()) {
        for fd in crate::place::entries(&proc.join("fd")) {
            if let Some(target) = fs::read_link(&fd).ok().filter(|t| t.starts_with(dir)) {
                open.push(format!("{} has {} open", Process::read(&proc, pid), target.display()));
            }
        }
    }
    open
}
