//! What counts as the host.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a demo of a chapter leaves for us.
const LEFT_BY_DEMO: &str = "/bin/holes.host";

/// Where numbers start that the kernel gives away (linux/proc_ns.h, PROC_DYNAMIC_FIRST).
const DYNAMIC_FIRST: u64 = 0xF000_0000;

/// The numbers of the first namespaces: linux/nsfs.h, *_NS_INIT_INO. Those of net and mnt are fixed
/// since Linux 6.18.
const FIRST: [(&str, u64); 6] = [
    ("ipc", 0xEFFF_FFFF),
    ("uts", 0xEFFF_FFFE),
    ("user", 0xEFFF_FFFD),
    ("pid", 0xEFFF_FFFC),
    ("net", 0xEFFF_FFF9),
    ("mnt", 0xEFFF_FFF8),
];

/// What we compare ourselves with.
pub(super) struct Host {
    /// What a demo has left: device and inode number of each file below /proc/self of its starter.
    left: BTreeMap<String, String>,
    /// Whether user and mount namespace are a room that is borrowed from chapter 2.
    pub(super) borrowed: bool,
}

impl Host {
    pub(super) fn read() -> Self {
        Self::parse(&fs::read_to_string(LEFT_BY_DEMO).unwrap_or_default())
    }

    /// Lines like `ns/pid 4:4026531836`, and perhaps `borrowed`.
    fn parse(text: &str) -> Self {
        let pair = |line: &str| line.split_once(' ').map(|(name, id)| (name.to_owned(), id.to_owned()));
        let left = text.lines().filter_map(pair).collect();
        Self { left, borrowed: text.lines().any(|line| line == "borrowed") }
    }

    /// Whether `/` is the host's, as far as somebody has told us which that is.
    pub(super) fn has_root(&self, root: &str) -> Option<bool> {
        self.left.get("root").map(|id| id == root)
    }

    /// Whether our namespace of this kind is not the host's.
    pub(super) fn own(&self, kind: &str) -> Option<bool> {
        let file = format!("ns/{kind}");
        let path = Path::new("/proc/self").join(&file);
        match self.left.get(&file) {
            // User and mount namespace are not the starter's, but what was borrowed isn't own.
            Some(_) if self.borrowed && ["mnt", "user"].contains(&kind) => Some(false),
            Some(id) => Some(id_of(&path)? != *id),
            None => is_first(kind, fs::metadata(&path).ok()?.ino()).map(|first| !first),
        }
    }
}

/// Device and inode number: two names with the same are the same thing.
pub(super) fn id_of(path: &Path) -> Option<String> {
    fs::metadata(path).ok().map(|m| format!("{}:{}", m.dev(), m.ino()))
}

/// Whether a namespace of ours with this number is the machine's first one of its kind.
fn is_first(kind: &str, number: u64) -> Option<bool> {
    let first = FIRST.iter().find(|(name, _)| *name == kind)?.1;
    if number < DYNAMIC_FIRST || !["net", "mnt"].contains(&kind) {
        return Some(number == first);
    }
    Some(match kind {
        // Before 6.18 it is one of the first numbers that were given away, and never given back.
        "mnt" => number <= DYNAMIC_FIRST + 1,
        // This sysctl is global, and only the first network namespace shows it (net/core/sysctl_net_core.c).
        _ => Path::new("/proc/sys/net/core/netdev_max_backlog").exists(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_namespaces_have_fixed_numbers() {
        assert_eq!(is_first("uts", 4_026_531_838), Some(true));
        assert_eq!(is_first("uts", 4_026_532_201), Some(false));
        assert_eq!(is_first("mnt", 4_026_531_832), Some(true));
        // Linux 5.10 and 6.1.
        assert_eq!(is_first("mnt", 4_026_531_840), Some(true));
        assert_eq!(is_first("mnt", 4_026_531_841), Some(true));
        assert_eq!(is_first("mnt", 4_026_532_201), Some(false));
        assert_eq!(is_first("time", 4_026_531_834), None);
    }

    #[test]
    fn what_a_demo_left_counts_before_the_numbers() {
        let id = id_of(Path::new("/proc/self/ns/uts")).unwrap();
        let host = Host::parse(&format!("root 1:2\nns/uts {id}\nns/ipc 4:1\nns/user 4:1\n"));
        assert_eq!(
            (host.own("uts"), host.own("ipc"), host.own("user")),
            (Some(false), Some(true), Some(true))
        );
        assert_eq!((host.has_root("1:2"), host.has_root("1:3")), (Some(true), Some(false)));
        let borrowed = Host::parse(&format!("borrowed\nns/uts {id}\nns/user 4:1\nns/ipc 4:1\n"));
        assert_eq!((borrowed.own("user"), borrowed.own("ipc")), (Some(false), Some(true)));
        assert_eq!(Host::parse("").has_root("1:2"), None);
    }
}
