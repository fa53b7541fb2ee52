//! The subordinate ids of a user: /etc/subuid and /etc/subgid (subuid(5), subgid(5)).
//!
//! Each line is `owner:first:count`, owner a login name or a numeric *user* id, also in subgid.
//! Our reading must be no wider than that of newuidmap(1), which reads the same lines again and
//! refuses the rest. podman and shadow also ask nsswitch.conf (`subid: sss`); we read the files.

use crate::idmap::{ALL_IDS, IdMap, Range, User};

/// Ids from `start` on that were given to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubRange {
    /// The first id.
    pub start: u32,
    /// How many; never 0, and never past the last id.
    pub count: u32,
}

impl SubRange {
    fn end(self) -> u64 {
        u64::from(self.start) + u64::from(self.count)
    }

    /// What is left of it without the ids from `start` to before `end`: zero, one or two pieces.
    fn without(self, start: u64, end: u64) -> impl Iterator<Item = Self> {
        let before = (u64::from(self.start), self.end().min(start));
        let after = (end.max(u64::from(self.start)), self.end());
        [before, after].into_iter().filter_map(|(from, to)| Self::of(from, to))
    }

    fn of(from: u64, to: u64) -> Option<Self> {
        let count = u32::try_from(to.checked_sub(from)?).ok().filter(|count| *count > 0)?;
        Some(Self { start: u32::try_from(from).ok()?, count })
    }
}

/// What a user may map besides its own ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubIds {
    /// From /etc/subuid, in the order of the lines, disjoint.
    pub uids: Vec<SubRange>,
    /// From /etc/subgid, likewise.
    pub gids: Vec<SubRange>,
}

impl SubIds {
    /// The lines of `user` in the texts of /etc/subuid and /etc/subgid.
    ///
    /// Lines that are none are skipped, as newuidmap(1) skips them. An id counts once, however
    /// many lines hold it; id 0 and the user's own never count.
    #[must_use]
    pub fn parse(subuid: &str, subgid: &str, user: &User) -> Self {
        Self { uids: ranges(subuid, user, user.uid), gids: ranges(subgid, user, user.gid) }
    }

    /// As [`SubIds::parse`], of this machine. A missing file holds no lines.
    #[must_use]
    pub fn read(user: &User) -> Self {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::parse(&text("/etc/subuid"), &text("/etc/subgid"), user)
    }
}

fn ranges(text: &str, user: &User, own_id: u32) -> Vec<SubRange> {
    let mut found: Vec<SubRange> = Vec::new();
    for line in text.lines().filter_map(|line| line_of(line, user)) {
        // Root of the host must not become an ordinary id of a container, whatever the file says.
        let mut pieces: Vec<SubRange> = line.without(0, 1).collect();
        let own = SubRange { start: own_id, count: 1 };
        for taken in found.iter().chain([&own]) {
            let (start, end) = (u64::from(taken.start), taken.end());
            pieces = pieces.into_iter().flat_map(|piece| piece.without(start, end)).collect();
        }
        found.extend(pieces);
    }
    found
}

fn line_of(line: &str, user: &User) -> Option<SubRange> {
    let mut fields = line.split(':');
    let (owner, start, count) = (fields.next()?, fields.next()?, fields.next()?);
    let ours = Some(owner) == user.name.as_deref() || owner.parse() == Ok(user.uid);
    if !ours || owner.is_empty() || fields.next().is_some() {
        return None;
    }
    let start: u64 = start.parse().ok()?;
    let count: u64 = count.parse().ok()?;
    let end = start.checked_add(count)?;
    if end > u64::from(ALL_IDS) { None } else { SubRange::of(start, end) }
}

/// `own_id` becomes 0, and the ranges follow from 1 on: the order of podman.
///
/// Only ids that have a place in `here`, the map of the user namespace that we are in, can be
/// given on. The kernel takes 340 lines; what would be too many is left out.
pub(crate) fn map_of(own_id: u32, ranges: &[SubRange], here: &IdMap) -> IdMap {
    let mut map = IdMap::single(0, own_id);
    let mut next_inside: u32 = 1;
    for piece in ranges.iter().flat_map(|range| present(*range, here)) {
        let Some(after) = next_inside.checked_add(piece.count).filter(|after| *after < ALL_IDS) else {
            break;
        };
        let mut longer = map.0.clone();
        longer.push(Range { inside: next_inside, outside: piece.start, count: piece.count });
        match IdMap::new(longer) {
            Ok(longer) => (map, next_inside) = (longer, after),
            Err(_) => break,
        }
    }
    map
}

/// The parts of `range` that are ids in the user namespace with the map `here`.
fn present(range: SubRange, here: &IdMap) -> Vec<SubRange> {
    let part = |r: &Range| {
        let from = u64::from(range.start.max(r.inside));
        let to = range.end().min(u64::from(r.inside) + u64::from(r.count));
        SubRange::of(from, to)
    };
    let mut parts: Vec<SubRange> = here.0.iter().filter_map(part).collect();
    parts.sort_by_key(|p| p.start);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> User {
        User { uid: 1000, gid: 1000, name: Some("alice".to_owned()) }
    }

    fn uids(text: &str) -> Vec<(u32, u32)> {
        SubIds::parse(text, "", &alice()).uids.iter().map(|r| (r.start, r.count)).collect()
    }

    #[test]
    fn lines_count_by_name_and_by_number() {
        let cases: &[(&str, &[(u32, u32)])] = &[
            ("alice:100000:65536\n", &[(100_000, 65_536)]),
            ("1000:100000:65536", &[(100_000, 65_536)]),
            ("bob:1:5\nalice:100000:10\n1001:7:1\n1000:200000:20\n", &[(100_000, 10), (200_000, 20)]),
            ("alice2:100000:1\nali:100000:1\n10000:100000:1\n", &[]),
            ("", &[]),
        ];
        for (text, want) in cases {
            assert_eq!(uids(text), *want, "{text:?}");
        }
    }

    #[test]
    fn lines_that_are_none_are_skipped() {
        for line in [
            "# comment",
            "alice",
            "alice:100000",
            "alice:100000:65536:x",
            "alice:-1:5",
            "alice:a:b",
            "alice:100000:0",
            "alice::",
            "alice:4294967290:100",
            "alice:18446744073709551615:2",
            ":100000:65536",
            " alice:100000:65536",
        ] {
            assert_eq!(uids(&format!("{line}\nalice:300000:7\n")), [(300_000, 7)], "{line:?}");
        }
    }

    #[test]
    fn an_id_counts_once_and_never_root_nor_the_user() {
        assert_eq!(uids("alice:100:10\nalice:105:10\n"), [(100, 10), (110, 5)]);
        assert_eq!(uids("alice:105:2\nalice:100:10\n"), [(105, 2), (100, 5), (107, 3)]);
        assert_eq!(uids("alice:100:10\nalice:102:3\n"), [(100, 10)]);
        assert_eq!(uids("alice:0:3\n"), [(1, 2)]);
        assert_eq!(uids("alice:998:5\n"), [(998, 2), (1001, 2)]);
    }

    #[test]
    fn a_user_without_a_name_has_only_lines_by_number() {
        let nameless = User { uid: 1000, gid: 1000, name: None };
        let ids = SubIds::parse("alice:1:1\n1000:500:5\n", "1000:600:6\n", &nameless);
        assert_eq!(ids.uids, [SubRange { start: 500, count: 5 }]);
        assert_eq!(ids.gids, [SubRange { start: 600, count: 6 }]);
    }

    #[test]
    fn the_user_is_0_and_the_ranges_follow() {
        let ranges = [SubRange { start: 100_000, count: 10 }, SubRange { start: 7, count: 2 }];
        let map = map_of(1000, &ranges, &IdMap::full());
        assert_eq!(map.to_string(), "0 1000 1\n1 100000 10\n11 7 2\n");
    }

    #[test]
    fn ids_that_are_not_here_cannot_be_given_on() {
        let here: IdMap = "0 1000 1\n1 100000 65536\n".parse().unwrap();
        let of = |start, count| map_of(0, &[SubRange { start, count }], &here).to_string();
        assert_eq!(of(100_000, 65_536), "0 0 1\n");
        assert_eq!(of(60_000, 65_536), "0 0 1\n1 60000 5537\n");
    }

    #[test]
    fn more_lines_than_the_kernel_takes_are_left_out() {
        let ranges: Vec<SubRange> = (0..500).map(|i| SubRange { start: 2000 + 2 * i, count: 1 }).collect();
        let map = map_of(1000, &ranges, &IdMap::full());
        assert!(map.0.len() <= IdMap::MOST_LINES && map.0.len() > 200, "{}", map.0.len());
        assert_eq!(IdMap::new(map.0.clone()), Ok(map));
    }
}
