//! What is mounted where, from /proc/self/mountinfo (proc_pid_mountinfo(5)): our way to the cgroup trees.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// One line of mountinfo.
#[derive(Debug)]
pub struct Mount {
    id: u64,
    parent: u64,
    /// Which directory of the file system is seen at `point`.
    pub(crate) root: PathBuf,
    /// Where it is mounted, absolute.
    pub point: PathBuf,
    /// The optional fields, such as `shared:9 master:1`: its propagation (mount_namespaces(7)).
    pub propagation: String,
    pub(crate) fstype: String,
    /// The options of the file system: for v1 they name its controllers.
    pub(crate) options: Vec<String>,
}

/// All lines that have the right form; the kernel writes no others. Of several mounts on one point the
/// last one is on top.
#[must_use]
pub fn parse(table: &[u8]) -> Vec<Mount> {
    table.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// `36 35 98:0 /mnt1 /mnt/parent rw,noatime master:1 - ext3 /dev/root rw,errors=continue`:
/// between the mount's options and the hyphen stands any number of fields.
fn line(text: &[u8]) -> Option<Mount> {
    // No field holds a blank: in a path it is escaped.
    let hyphen = text.windows(3).position(|bytes| bytes == b" - ")?;
    let (mut left, mut right) = (text[..hyphen].splitn(7, is_blank), text[hyphen + 3..].split(is_blank));
    let id = number(left.next()?)?;
    let parent = number(left.next()?)?;
    let root = unescape(left.nth(1)?);
    let point = unescape(left.next()?);
    let propagation = word(left.nth(1).unwrap_or_default());
    let fstype = word(right.next()?);
    let options = right.nth(1).unwrap_or_default().split(|byte| *byte == b',').map(word).collect();
    Some(Mount { id, parent, root, point, propagation, fstype, options })
}

fn is_blank(byte: &u8) -> bool {
    *byte == b' '
}

fn word(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Space, tab, newline and backslash are written as three octal digits after a backslash.
fn unescape(bytes: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes.get(at + 1..at + 4).and_then(|d| std::str::from_utf8(d).ok());
        match octal.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) if bytes[at] == b'\\' => {
                plain.push(byte);
                at += 4;
            }
            _ => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

/// Whether a walk from `/` to the mount's point really arrives in it: no other mount lies on it,
/// nor on a directory on the way.
pub(crate) fn visible(mount: &Mount, all: &[Mount]) -> bool {
    let covered = all.iter().any(|other| {
        let on_top = other.parent == mount.id && other.point == mount.point;
        let on_the_way = other.parent == mount.parent
            && other.point != mount.point
            && mount.point.starts_with(&other.point);
        other.id != mount.id && (on_top || on_the_way)
    });
    let parent = all.iter().find(|m| m.id == mount.parent && m.id != mount.id);
    !covered && parent.is_none_or(|p| visible(p, all))
}

impl Mount {
    /// Where the cgroup `path` of /proc/self/cgroup is seen below this mount.
    ///
    /// Both `path` and `root` are relative to our cgroup namespace. A mount that was made outside
    /// of it has a root like `/../..`: of the directories between that one and ours nobody tells
    /// the names, so there is no way down from there (cgroup_namespaces(7)).
    pub(crate) fn place(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.root).ok()?;
        let climbs = below.components().any(|c| c == Component::ParentDir);
        (!climbs).then(|| self.point.join(below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Mount {
        line(text.as_bytes()).unwrap()
    }

    #[test]
    fn fields_are_found_with_none_one_or_two_optional_ones() {
        for optional in ["", "shared:9 ", "shared:9 master:1 "] {
            let m = one(&format!("25 21 0:22 /a /mnt rw,relatime {optional}- cgroup cgroup rw,cpu,cpuacct"));
            assert_eq!(m.propagation, optional.trim_end());
            assert_eq!((m.root.as_path(), m.point.as_path()), (Path::new("/a"), Path::new("/mnt")));
            assert_eq!(
                (m.fstype.as_str(), m.options.as_slice()),
                ("cgroup", &["rw", "cpu", "cpuacct"].map(str::to_owned)[..])
            );
        }
    }

    #[test]
    fn octal_escapes_are_read_and_a_lone_backslash_stays() {
        for (written, meant) in
            [(r"/a\040b", "/a b"), (r"/a\011\134b", "/a\t\\b"), (r"/a\04", r"/a\04"), (r"/ö", "/ö")]
        {
            assert_eq!(unescape(written.as_bytes()), Path::new(meant), "{written}");
        }
    }

    #[test]
    fn a_path_that_is_no_text_keeps_its_bytes() {
        let m = parse(b"25 21 0:22 / /\xff\\040x rw - tmpfs tmpfs rw\nno line\n");
        assert_eq!(
            m.iter().map(|m| m.point.as_os_str().as_encoded_bytes()).collect::<Vec<_>>(),
            [b"/\xff x"]
        );
    }

    #[test]
    fn place_honours_the_root_field() {
        let cases = [
            ("/", "/", Some("/cg")),
            ("/", "/user.slice/a", Some("/cg/user.slice/a")),
            ("/docker/1", "/docker/1", Some("/cg")),
            ("/docker/1", "/docker/1/x", Some("/cg/x")),
            ("/docker/1", "/docker/12", None),
            ("/docker/1", "/", None),
            ("/../..", "/", None),
            ("/..", "/../a", Some("/cg/a")),
            ("/..", "/../..", None),
            ("/", "/../x", None),
        ];
        for (root, path, place) in cases {
            let m = one(&format!("25 21 0:22 {root} /cg rw - cgroup2 cgroup2 rw"));
            assert_eq!(m.place(Path::new(path)).as_deref(), place.map(Path::new), "root {root}, path {path}");
        }
    }

    #[test]
    fn a_mount_below_another_one_is_not_visible() {
        let cgroup = "30 20 0:5 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        let cases = [
            ("20 1 0:4 / /sys rw - sysfs sysfs rw", true),
            ("31 30 0:6 / /sys/fs/cgroup rw - tmpfs tmpfs rw", false),
            ("31 20 0:6 / /sys/fs rw - tmpfs tmpfs rw", false),
            ("31 20 0:6 / /sys/fs/cgroup2 rw - tmpfs tmpfs rw", true),
            ("31 30 0:6 / /sys/fs/cgroup/x rw - tmpfs tmpfs rw", true),
        ];
        for (other, seen) in cases {
            let all = parse(format!("{cgroup}\n{other}\n").as_bytes());
            assert_eq!(visible(&all[0], &all), seen, "{other}");
        }
        let stacked = "20 1 0:4 / /sys rw - sysfs a rw\n40 20 0:7 / /sys rw - tmpfs b rw";
        let all = parse(format!("{cgroup}\n{stacked}\n").as_bytes());
        assert!(!visible(&all[0], &all), "its parent is covered");
    }
}
