//! The subordinate ids of a user: /etc/subuid and /etc/subgid (subuid(5), subgid(5)).
//!
//! Each line is `owner:first:count`, owner a login name or a numeric *user* id, also in subgid.
//! Our reading must be no wider than that of newuidmap(1), which reads the same lines again and
//! refuses the rest. podman and shadow also ask nsswitch.conf (`subid: sss`); we read the files.

use std::ops::Range;

use crate::idmap::{ALL_IDS, IdMap, User};

/// What a user may map besides its own ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubIds {
    /// From /etc/subuid, in the order of the lines, disjoint.
    pub uids: Vec<Range<u32>>,
    /// From /etc/subgid, likewise.
    pub gids: Vec<Range<u32>>,
}

impl SubIds {
    /// The lines of `user` in the texts of /etc/subuid and /etc/subgid.
    ///
    /// Lines that are none are skipped, as newuidmap(1) skips them. An id counts once, however
    /// many lines hold it; id 0 and the user's own never count.
    pub fn parse(subuid: &str, subgid: &str, user: &User) -> Self {
        Self { uids: ranges(subuid, user, user.uid), gids: ranges(subgid, user, user.gid) }
    }

    /// As [`SubIds::parse`], of this machine. A missing file holds no lines.
    pub fn read(user: &User) -> Self {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::parse(&text("/etc/subuid"), &text("/etc/subgid"), user)
    }
}

fn ranges(text: &str, user: &User, own_id: u32) -> Vec<Range<u32>> {
    // Root of the host must not become an ordinary id of a container, whatever the file says.
    let root = 0..1;
    let own = own_id..own_id.saturating_add(1);
    let mut found: Vec<Range<u32>> = Vec::new();
    for line in text.lines().filter_map(|line| line_of(line, user)) {
        let mut pieces = vec![line];
        for taken in [&root, &own].into_iter().chain(&found) {
            pieces = pieces.into_iter().flat_map(|piece| without(&piece, taken)).collect();
        }
        found.extend(pieces);
    }
    found
}

/// What is left of `piece` without `taken`: zero, one or two pieces.
fn without(piece: &Range<u32>, taken: &Range<u32>) -> impl Iterator<Item = Range<u32>> + use<> {
    let before = piece.start..piece.end.min(taken.start);
    let after = piece.start.max(taken.end)..piece.end;
    [before, after].into_iter().filter(|left| !left.is_empty())
}

fn line_of(line: &str, user: &User) -> Option<Range<u32>> {
    let fields: Vec<&str> = line.split(':').collect();
    let [owner, start, count] = fields[..] else { return None };
    let ours = Some(owner) == user.name.as_deref() || owner.parse() == Ok(user.uid);
    let (start, count): (u32, u32) = (start.parse().ok()?, count.parse().ok()?);
    let range = start..start.checked_add(count)?;
    (ours && !range.is_empty()).then_some(range)
}

/// `own_id` becomes 0, and the ranges follow from 1 on: the order of podman. What is more than the
/// kernel takes is left out.
pub(crate) fn map_of(own_id: u32, ranges: &[Range<u32>]) -> IdMap {
    let mut map = IdMap::single(0, own_id);
    let mut inside = 1;
    for range in ranges.iter().take(IdMap::MOST_LINES - 1) {
        let count = range.end.saturating_sub(range.start).min(ALL_IDS - inside);
        map.0.push(crate::idmap::Range { inside, outside: range.start, count });
        inside += count;
    }
    map.0.retain(|range| range.count > 0);
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> User {
        User { uid: 1000, gid: 1000, name: Some("alice".to_owned()) }
    }

    fn uids(text: &str) -> Vec<(u32, u32)> {
        SubIds::parse(text, "", &alice()).uids.iter().map(|r| (r.start, r.end - r.start)).collect()
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
        assert_eq!(ids.uids, vec![500_u32..505; 1]);
        assert_eq!(ids.gids, vec![600_u32..606; 1]);
    }

    #[test]
    fn the_user_is_0_and_the_ranges_follow() {
        let ranges = [100_000..100_010, 7..9];
        let map = map_of(1000, &ranges);
        assert_eq!(map.to_string(), "0 1000 1\n1 100000 10\n11 7 2\n");
    }

    #[test]
    fn ids_inside_end_where_ids_end() {
        let all = [1001..u32::MAX, 1..1000];
        let map = map_of(1000, &all);
        assert_eq!(map.to_string(), "0 1000 1\n1 1001 4294966294\n4294966295 1 999\n");
        assert_eq!(map.len(), u64::from(ALL_IDS) - 1, "all but root");
        assert_eq!(map_of(1000, &[2000..u32::MAX, 1..u32::MAX]).len(), u64::from(ALL_IDS));
    }

    #[test]
    fn more_lines_than_the_kernel_takes_are_left_out() {
        let ranges: Vec<Range<u32>> = (0..500).map(|i| 2000 + 2 * i..2001 + 2 * i).collect();
        assert_eq!(map_of(1000, &ranges).0.len(), IdMap::MOST_LINES);
    }
}
