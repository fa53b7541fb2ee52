//! What the host shows of a root: mounts, cgroups, processes, open files, records; and the whole host.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::processes::{marked, open_files};
use crate::room::{Room, is_id};

/// How long a supervisor may need, after its client's end, to let go of everything.
/// A bound for the failure of a test, never a thing that a test measures.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one root left behind. Empty is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left(BTreeSet<String>);

impl Left {
    pub(crate) fn of(room: &Room, records_too: bool) -> Self {
        let ids = room.ids();
        let mut marks = ids.clone();
        marks.push(room.path.display().to_string());
        let mut left = BTreeSet::new();
        left.extend(mount_points(&marks).into_iter().map(|m| format!("mount {m}")));
        left.extend(cgroups_of(&ids).into_iter().map(|c| format!("cgroup {}", c.display())));
        left.extend(marked(&marks).into_iter().map(|p| format!("process {p}")));
        left.extend(open_files(&room.path).into_iter().map(|f| format!("open file: {f}")));
        if records_too {
            for dir in ["containers", "names"] {
                let found = crate::place::entries(&room.root().join(dir));
                left.extend(found.into_iter().map(|f| format!("record {}", f.display())));
            }
        }
        Self(left)
    }

    /// Looks until nothing is left or the patience ends.
    pub(crate) fn at_last(room: &Room, records_too: bool) -> Self {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = Self::of(room, records_too);
            if left.is_empty() || Instant::now() > end {
                return left;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether nothing was left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// The whole host, for a test that is alone in its process: every mount, interface and cgroup, and
/// the processes of this process's roots. What belongs to the roots of other test processes,
/// which may run beside it, is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSnapshot(BTreeSet<String>);

impl HostSnapshot {
    /// Reads the host as it is now.
    #[must_use]
    pub fn take() -> Self {
        let rooms = crate::place::base().join("t").display().to_string();
        let mine = format!("{rooms}/{}-", std::process::id());
        let mut others = ids_of_others();
        let cgroups = all_cgroups();
        // Once more: one that began in between.
        others.extend(ids_of_others());
        let foreign = |line: &String| {
            let elsewhere = line.contains(&rooms) && !line.contains(&mine);
            elsewhere || others.iter().any(|id| line.contains(id.as_str()))
        };
        let mounts = mountinfo().into_iter().map(|l| format!("mount {l}"));
        let names = crate::place::entries(Path::new("/sys/class/net"));
        let interfaces = names.iter().map(|n| format!("interface {}", n.display()));
        // Others make and remove groups of their own meanwhile.
        let cgroups =
            cgroups.into_iter().filter(|c| is_like_ours(c)).map(|c| format!("cgroup {}", c.display()));
        let processes = marked(std::slice::from_ref(&mine)).into_iter().map(|p| format!("process {p}"));
        let lines = mounts.chain(interfaces).chain(cgroups).filter(|l| !foreign(l));
        Self(lines.chain(processes).collect())
    }

    /// Fails the test with the difference unless the host comes to be as it was.
    #[track_caller]
    pub fn assert_same(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let now = Self::take();
            if now == *self {
                return;
            }
            let difference = crate::difference(&self.0, &now.0);
            assert!(Instant::now() < end, "the host is not as it was:\n{difference}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The containers that the roots of other test processes have now.
fn ids_of_others() -> Vec<String> {
    let rooms = crate::place::entries(&crate::place::base().join("t"));
    let mine = format!("{}-", std::process::id());
    let name = |p: &PathBuf| p.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let others = rooms.iter().filter(|r| !name(r).starts_with(&mine));
    let containers = others.flat_map(|r| crate::place::entries(&r.join("root/containers")));
    // What is being made or removed is called .new-<id> and .gone-<id>.
    let ids = containers.map(|c| name(&c).rsplit('-').next().unwrap_or_default().to_owned());
    ids.filter(|n| is_id(n)).collect()
}

fn mountinfo() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("read mountinfo");
    text.lines().map(str::to_owned).collect()
}

/// Where something of `marks` is mounted, or mounted from (proc_pid_mountinfo(5)).
pub(crate) fn mount_points(marks: &[String]) -> Vec<String> {
    let lines = mountinfo();
    let ours = lines.iter().filter(|l| marks.iter().any(|m| l.contains(m.as_str())));
    ours.filter_map(|l| l.split(' ').nth(4)).map(plain).collect()
}

/// Blanks, tabs, newlines and backslashes stand there as \ooo.
fn plain(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

/// The directories of all cgroup hierarchies that are mounted here, the roots left out.
fn all_cgroups() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in mountinfo() {
        let fields: Vec<&str> = line.split(' ').collect();
        let fs_type = fields.iter().position(|f| *f == "-").and_then(|n| fields.get(n + 1));
        if fs_type.is_some_and(|t| t.starts_with("cgroup")) {
            directories(Path::new(fields[4]), &mut found);
        }
    }
    found.sort();
    found
}

fn directories(dir: &Path, found: &mut Vec<PathBuf>) {
    let below = crate::place::entries(dir).into_iter().filter(|p| p.is_dir() && !p.is_symlink());
    for path in below {
        found.push(path.clone());
        directories(&path, found);
    }
}

/// Whether a group could be of minidocker: by its parent's name, or named like a container.
fn is_like_ours(group: &Path) -> bool {
    group.iter().filter_map(|part| part.to_str()).any(|part| {
        part.starts_with("minidocker") || part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// The cgroups that are named after one of these containers.
pub(crate) fn cgroups_of(ids: &[String]) -> Vec<PathBuf> {
    if ids.is_empty() {
        return Vec::new();
    }
    let names = |dir: &Path| dir.display().to_string();
    let short = |id: &String| if is_id(id) { id[..12].to_owned() } else { id.clone() };
    let marks: Vec<String> = ids.iter().map(short).collect();
    all_cgroups().into_iter().filter(|c| marks.iter().any(|m| names(c).contains(m))).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_mount_point_is_named_as_it_is() {
        assert_eq!(super::plain(r"/a\040b\011c\012d\134e"), "/a b\tc\nd\\e");
    }
}
