//! Id maps: which id outside an id inside is (user_namespaces(7), "User and group ID mappings").
//!
//! The kernel keeps one id of each file and process, the one of the first user namespace. A map
//! only translates what is shown and asked for. An id without a place in the map is shown
//! as 65534 (`nobody`), and can't be asked for: setuid and chown answer EINVAL.

use std::fmt;
use std::str::FromStr;

pub use crate::helpers::{NoHelper, helper};
pub use crate::maps::{Abilities, How, IdMapError, Maps, User, write_maps};
pub use crate::subids::SubIds;

/// How many ids there are: 2^32 - 1, since (uid_t)-1 means "no change" in chown(2).
pub const ALL_IDS: u32 = u32::MAX;

/// One line of a map: `count` ids from `inside` on are those from `outside` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first id in the user namespace.
    pub inside: u32,
    /// The first id in its parent, as the reader of the file sees it.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// The lines of a /proc/pid/uid_map or gid_map. The kernel answers EINVAL to a map whose lines
/// share ids, are empty, or reach past the last id; that isn't checked here once more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdMap(pub Vec<Range>);

/// A line that isn't `inside outside count`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no line of an id map: three numbers are wanted, inside outside count")]
pub struct BadLine(String);

impl IdMap {
    /// As many lines as the kernel takes in any case: 340, in one write of less than a page, and
    /// a line has 33 bytes at most. Source: user_namespaces(7).
    pub const MOST_LINES: usize = 4095 / 33;

    /// One id only.
    pub fn single(inside: u32, outside: u32) -> Self {
        Self(vec![Range { inside, outside, count: 1 }])
    }

    /// The uid map of `who` (a pid or `self`), with outside ids as we see them.
    ///
    /// # Errors
    /// `ENOENT`: no such process, or a kernel without user namespaces.
    pub fn of(who: &str) -> std::io::Result<Self> {
        Self::read(&format!("/proc/{who}/uid_map"))
    }

    /// As [`IdMap::of`], of group ids.
    ///
    /// # Errors
    /// As [`IdMap::of`].
    pub fn of_groups(who: &str) -> std::io::Result<Self> {
        Self::read(&format!("/proc/{who}/gid_map"))
    }

    fn read(path: &str) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        text.parse().map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    }

    /// What an id inside is outside; None where it has no place.
    pub fn to_outside(&self, id: u32) -> Option<u32> {
        let range = self.0.iter().find(|r| id >= r.inside && id - r.inside < r.count)?;
        range.outside.checked_add(id - range.inside)
    }

    /// What an id outside is inside; None where it is shown as 65534.
    pub fn to_inside(&self, id: u32) -> Option<u32> {
        let range = self.0.iter().find(|r| id >= r.outside && id - r.outside < r.count)?;
        range.inside.checked_add(id - range.outside)
    }

    /// Whether each of the 2^32 - 1 ids is itself: the map of the first user namespace.
    pub fn is_full(&self) -> bool {
        self.0.iter().all(|r| r.inside == r.outside) && self.len() == u64::from(ALL_IDS)
    }

    /// How many ids have a place.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|r| u64::from(r.count)).sum()
    }

    /// Whether the map wasn't written: then all ids are shown as 65534.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for IdMap {
    /// As it is written to the file: one line a range, each with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|r| writeln!(f, "{} {} {}", r.inside, r.outside, r.count))
    }
}

impl FromStr for IdMap {
    type Err = BadLine;

    fn from_str(text: &str) -> Result<Self, BadLine> {
        let lines = text.lines().filter(|l| !l.trim().is_empty());
        lines.map(|l| range(l).ok_or_else(|| BadLine(l.to_owned()))).collect::<Result<_, _>>().map(Self)
    }
}

fn range(line: &str) -> Option<Range> {
    let numbers: Result<Vec<u32>, _> = line.split_ascii_whitespace().map(str::parse).collect();
    let [inside, outside, count] = numbers.ok()?[..] else { return None };
    Some(Range { inside, outside, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn podman_like() -> IdMap {
        "0 1000 1\n1 100000 65536\n".parse().unwrap()
    }

    #[test]
    fn a_map_reads_back_from_its_text() {
        for map in [podman_like(), IdMap::single(0, 1000), IdMap::default()] {
            assert_eq!(map.to_string().parse(), Ok(map));
        }
        let kernel = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(kernel.parse(), Ok(podman_like()));
    }

    #[test]
    fn ids_translate_both_ways() {
        let map = podman_like();
        for (inside, outside) in [(0, 1000), (1, 100_000), (2, 100_001), (65_536, 165_535)] {
            assert_eq!(map.to_outside(inside), Some(outside));
            assert_eq!(map.to_inside(outside), Some(inside));
        }
        assert_eq!(map.to_outside(65_537), None);
        assert_eq!([0, 999, 1001, 99_999, 165_536, u32::MAX].map(|id| map.to_inside(id)), [None; 6]);
        assert_eq!(map.len(), 65_537);
    }

    #[test]
    fn full_means_every_id_is_itself() {
        assert!("0 0 4294967295\n".parse::<IdMap>().unwrap().is_full());
        assert!("0 0 1000\n1000 1000 4294966295\n".parse::<IdMap>().unwrap().is_full());
        for text in ["0 0 4294967294\n", "0 1 4294967294\n", "0 1000 1\n", ""] {
            assert!(!text.parse::<IdMap>().unwrap().is_full(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_map_is_refused_with_the_line() {
        for line in ["0 1000", "0 1000 1 1", "a b c", "0 -1 1", "0 0 4294967296"] {
            let text = format!("0 0 1\n{line}\n");
            assert_eq!(text.parse::<IdMap>(), Err(BadLine(line.to_owned())));
        }
    }

    #[test]
    fn a_map_of_the_most_lines_fits_into_a_page() {
        let widest = Range { inside: u32::MAX - 1, outside: u32::MAX - 1, count: u32::MAX };
        let map = IdMap(vec![widest; IdMap::MOST_LINES]);
        assert!(map.to_string().len() < 4096);
    }

    #[test]
    fn a_range_past_the_last_id_leads_nowhere() {
        let map = IdMap(vec![Range { inside: 5, outside: u32::MAX - 1, count: 10 }]);
        assert_eq!([5, 6, 7].map(|id| map.to_outside(id)), [Some(u32::MAX - 1), Some(u32::MAX), None]);
    }

    #[test]
    fn the_harness_has_a_map() {
        let map = IdMap::of("self").unwrap();
        let uid = nix::unistd::getuid().as_raw();
        assert!(map.to_outside(uid).is_some());
        assert!(IdMap::of_groups("self").unwrap().to_outside(nix::unistd::getgid().as_raw()).is_some());
    }
}
