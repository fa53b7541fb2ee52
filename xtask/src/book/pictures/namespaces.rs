//! The eight namespaces of a process of the host, of chapter 1 and of chapter 2: rooms with a door.

use std::collections::BTreeMap;

use super::svg::{LINE, Svg, Whose};
use super::{Picture, Section, section};

const KINDS: [&str; 8] = ["user", "mnt", "pid", "uts", "ipc", "net", "cgroup", "time"];
const HOST: &str = "the host";
const ROWS: [&str; 3] = [HOST, "cargo ch1", "cargo ch2"];
/// The left edge of the rooms.
const LEFT: usize = 96;
const ROOM: (usize, usize) = (68, 44);
const STEP: usize = 78;

pub(super) fn draw(sections: &[Section]) -> Result<Picture, String> {
    let host = inodes(section(sections, HOST)?)?;
    let mut svg = Svg::default();
    let mut words = Vec::new();
    for (i, kind) in KINDS.iter().enumerate() {
        svg.text((LEFT + i * STEP + ROOM.0 / 2, 16), "middle", kind);
    }
    for (row, title) in ROWS.iter().enumerate() {
        let inodes = inodes(section(sections, title)?)?;
        let top = 30 + row * (ROOM.1 + LINE);
        svg.text((0, top + ROOM.1 / 2 + 5), "start", title);
        let is_own = |kind: &&&str| *title != HOST && inodes[**kind] != host[**kind];
        for (i, kind) in KINDS.iter().enumerate() {
            let whose = if is_own(&kind) { Whose::Own } else { Whose::Host };
            room(&mut svg, (LEFT + i * STEP, top), whose);
        }
        let (own, shared): (Vec<&&str>, Vec<&&str>) = KINDS.iter().partition(|kind| is_own(kind));
        let join = |kinds: Vec<&&str>| kinds.into_iter().copied().collect::<Vec<_>>().join(", ");
        if *title != HOST {
            let shared = if shared.is_empty() { "none".to_owned() } else { join(shared) };
            words.push(format!("{title}: own {}; shared with the host: {shared}.", join(own)));
        }
    }
    let caption = "Which of its eight namespaces does a process share with the host? \
        (filled: its own; outline: the host's)";
    Ok(Picture { caption, svg, words })
}

/// A room with a door at its lower edge.
fn room(svg: &mut Svg, (x, y): (usize, usize), whose: Whose) {
    svg.rect((x, y), ROOM, whose);
    svg.rect((x + 28, y + 26), (12, 18), Whose::Host);
    svg.text((x + ROOM.0 / 2, y + 18), "middle", if whose == Whose::Own { "own" } else { "host" });
}

/// `KIND INODE` lines, of all eight kinds and no other.
fn inodes(lines: &[String]) -> Result<BTreeMap<&str, &str>, String> {
    let pairs = lines.iter().map(|line| line.split_once(' ').ok_or_else(|| format!("`{line}` is no pair")));
    let inodes: BTreeMap<&str, &str> = pairs.collect::<Result<_, _>>()?;
    let known = inodes.len() == KINDS.len() && KINDS.iter().all(|kind| inodes.contains_key(kind));
    let digits = inodes.values().all(|inode| inode.parse::<u32>().is_ok());
    if known && digits { Ok(inodes) } else { Err(format!("not the inodes of the eight kinds: {inodes:?}")) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sections;
    use super::{KINDS, draw};

    fn lines(first: usize) -> String {
        KINDS.iter().enumerate().map(|(i, kind)| format!("{kind} {}\n", first + i)).collect()
    }

    #[test]
    fn a_namespace_of_ones_own_has_another_inode() {
        let ch1 = lines(1).replace("mnt 2", "mnt 99");
        let all = [("the host", &*lines(1)), ("cargo ch1", &*ch1), ("cargo ch2", &*lines(50))];
        let words = draw(&sections(&all)).unwrap().words;
        assert_eq!(
            words[0],
            "cargo ch1: own mnt; shared with the host: user, pid, uts, ipc, net, cgroup, time."
        );
        assert!(words[1].ends_with("shared with the host: none."), "{}", words[1]);
    }

    #[test]
    fn a_ninth_kind_or_a_missing_row_is_refused() {
        let nine = lines(1) + "new 9\n";
        let of = |all: &[(&str, &str)]| draw(&sections(all)).map(|_| ()).unwrap_err();
        assert!(of(&[("the host", &nine)]).starts_with("not the inodes of the eight kinds"));
        assert_eq!(of(&[("the host", &lines(1))]), "no section cargo ch1");
    }
}
