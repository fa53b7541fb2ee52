//! Id maps: which id outside an id inside is (user_namespaces(7), "User and group ID mappings").
//!
//! The kernel keeps one id of each file and process, the one of the first user namespace. A map
//! only translates what is shown and asked for. An id without a place in the map is shown
//! as 65534 (`nobody`), and can't be asked for: setuid and chown answer EINVAL.

use std::fmt;
use std::str::FromStr;

pub use crate::helpers::helper;
pub use crate::maps::{Abilities, How, IdMapError, Maps, User, write_maps};
pub use crate::subids::{SubIds, SubRange};

/// What an id without a place in the map is shown as. Source: proc_sys_kernel(5), overflowuid.
pub const OVERFLOW_ID: u32 = 65_534;

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

impl Range {
    fn line_ends(&self) -> (u64, u64) {
        let count = u64::from(self.count);
        (u64::from(self.inside) + count, u64::from(self.outside) + count)
    }
}

/// The lines of a /proc/pid/uid_map or gid_map. [`FromStr`] and [`IdMap::new`] hold the kernel's
/// rules, so that a bad map is refused with words before the kernel refuses it with EINVAL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdMap(pub Vec<Range>);

/// Why a map is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMap {
    /// Not three numbers.
    #[error("{0:?} is no line of an id map: three numbers are wanted, inside outside count")]
    Line(String),
    /// A range of nothing, or one that reaches past the last id.
    #[error("the range {0} is empty or reaches past id 4294967294")]
    Bounds(Range),
    /// An id has two meanings.
    #[error("the ranges {0} and {1} share ids")]
    Overlap(Range, Range),
    /// More lines than the kernel takes.
    #[error("{0} ranges: the kernel takes 340 (since Linux 4.15; 5 before), in less than a page of text")]
    TooLong(usize),
}

impl IdMap {
    /// The most lines that the kernel takes. Source: user_namespaces(7).
    pub const MOST_LINES: usize = 340;
    /// The text must be written at once, and be shorter than a page. Source: user_namespaces(7).
    const MOST_BYTES: usize = 4095;

    /// A map of these ranges, by the kernel's rules.
    ///
    /// # Errors
    /// See [`BadMap`].
    pub fn new(ranges: Vec<Range>) -> Result<Self, BadMap> {
        let last = u64::from(ALL_IDS);
        for (i, range) in ranges.iter().enumerate() {
            let (inside_end, outside_end) = range.line_ends();
            if range.count == 0 || inside_end > last || outside_end > last {
                return Err(BadMap::Bounds(*range));
            }
            if let Some(earlier) = ranges[..i].iter().find(|e| share_ids(e, range)) {
                return Err(BadMap::Overlap(*earlier, *range));
            }
        }
        let map = Self(ranges);
        if map.0.len() > Self::MOST_LINES || map.to_string().len() > Self::MOST_BYTES {
            return Err(BadMap::TooLong(map.0.len()));
        }
        Ok(map)
    }

    /// One id only.
    #[must_use]
    pub fn single(inside: u32, outside: u32) -> Self {
        Self(vec![Range { inside, outside, count: 1 }])
    }

    /// Every id is itself, as in the first user namespace.
    #[must_use]
    pub fn full() -> Self {
        Self(vec![Range { inside: 0, outside: 0, count: ALL_IDS }])
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
    #[must_use]
    pub fn to_outside(&self, id: u32) -> Option<u32> {
        let range = self.0.iter().find(|r| id >= r.inside && id - r.inside < r.count)?;
        range.outside.checked_add(id - range.inside)
    }

    /// What an id outside is inside; None where it is shown as [`OVERFLOW_ID`].
    #[must_use]
    pub fn to_inside(&self, id: u32) -> Option<u32> {
        let range = self.0.iter().find(|r| id >= r.outside && id - r.outside < r.count)?;
        range.inside.checked_add(id - range.outside)
    }

    /// Whether each of the 2^32 - 1 ids is itself: the map of the first user namespace.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.iter().all(|r| r.inside == r.outside) && self.len() == u64::from(ALL_IDS)
    }

    /// How many ids have a place.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().map(|r| u64::from(r.count)).sum()
    }

    /// Whether the map wasn't written: then all ids are shown as [`OVERFLOW_ID`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn share_ids(a: &Range, b: &Range) -> bool {
    let ((a_in, a_out), (b_in, b_out)) = (a.line_ends(), b.line_ends());
    let meet = |a: u32, a_end: u64, b: u32, b_end: u64| u64::from(a) < b_end && u64::from(b) < a_end;
    meet(a.inside, a_in, b.inside, b_in) || meet(a.outside, a_out, b.outside, b_out)
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.inside, self.outside, self.count)
    }
}

impl fmt::Display for IdMap {
    /// As it is written to the file: one line a range, each with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|range| writeln!(f, "{range}"))
    }
}

impl FromStr for IdMap {
    type Err = BadMap;

    fn from_str(text: &str) -> Result<Self, BadMap> {
        let lines = text.lines().filter(|l| !l.trim().is_empty());
        Self::new(
            lines.map(|l| range(l).ok_or_else(|| BadMap::Line(l.to_owned()))).collect::<Result<_, _>>()?,
        )
    }
}

fn range(line: &str) -> Option<Range> {
    let mut words = line.split_ascii_whitespace().map(|w| w.parse::<u32>().ok());
    let range = Range { inside: words.next()??, outside: words.next()??, count: words.next()?? };
    words.next().is_none().then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn podman_like() -> IdMap {
        "0 1000 1\n1 100000 65536\n".parse().unwrap()
    }

    #[test]
    fn a_map_reads_back_from_its_text() {
        for map in [podman_like(), IdMap::full(), IdMap::single(0, 1000), IdMap::default()] {
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
        assert!(IdMap::full().is_full());
        assert!("0 0 1000\n1000 1000 4294966295\n".parse::<IdMap>().unwrap().is_full());
        for text in ["0 0 4294967294\n", "0 1 4294967294\n", "0 1000 1\n", ""] {
            assert!(!text.parse::<IdMap>().unwrap().is_full(), "{text:?}");
        }
    }

    #[test]
    fn what_the_kernel_would_refuse_is_refused_with_words() {
        let parse = |text: &str| text.parse::<IdMap>().unwrap_err();
        for line in ["0 1000", "0 1000 1 1", "a b c", "0 -1 1", "0 0 4294967296"] {
            assert_eq!(parse(line), BadMap::Line(line.to_owned()));
        }
        assert!(matches!(parse("0 1000 0"), BadMap::Bounds(_)));
        assert!(matches!(parse("1 0 4294967295"), BadMap::Bounds(_)));
        assert!(matches!(parse("0 10 5\n4 100 1"), BadMap::Overlap(..)));
        assert!(matches!(parse("0 10 5\n5 14 1"), BadMap::Overlap(..)));
        let many: String = (0..341).map(|i| format!("{i} {i} 1\n")).collect();
        assert_eq!(parse(&many), BadMap::TooLong(341));
        let wide: String = (0..200).map(|i| format!("{i} {} 1\n", 4_000_000_000_u32 + i)).collect();
        assert!(wide.parse::<IdMap>().is_ok());
        let wider: String = (0..300).map(|i| format!("{i} {} 1\n", 4_000_000_000_u32 + i)).collect();
        assert_eq!(parse(&wider), BadMap::TooLong(300), "more than a page");
    }

    #[test]
    fn the_harness_has_a_map() {
        let map = IdMap::of("self").unwrap();
        let uid = nix::unistd::getuid().as_raw();
        assert!(map.to_outside(uid).is_some());
        assert!(IdMap::of_groups("self").unwrap().to_outside(nix::unistd::getgid().as_raw()).is_some());
    }
}
