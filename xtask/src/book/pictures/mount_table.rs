//! The mount table around pivot_root, in three frames.

use super::svg::{LINE, Svg, WIDTH, Whose};
use super::{Picture, Section, section};

const FRAMES: [&str; 3] = ["before", "after pivot_root", "after umount2"];
const NEW: &str = "/new";

/// One mount: a labelled arrow to a directory.
#[derive(Clone, PartialEq, Eq)]
struct Mount {
    point: String,
    fstype: String,
}

pub(super) fn draw(sections: &[Section]) -> Result<Picture, String> {
    let frames = FRAMES.map(|title| section(sections, title).and_then(mounts));
    let [before, between, after] = frames;
    let frames = [before?, between?, after?];
    check(&frames)?;
    let width = WIDTH / FRAMES.len();
    let mut svg = Svg::default();
    let mut words = Vec::new();
    for (at, (title, mounts)) in FRAMES.iter().zip(&frames).enumerate() {
        let left = at * width;
        svg.text((left, 16), "start", title);
        for (row, mount) in mounts.iter().enumerate() {
            let top = 28 + row * (LINE + 6);
            let is_new = at > 0 && !frames[at - 1].contains(mount);
            svg.rect((left, top), (80, LINE), if is_new { Whose::Own } else { Whose::Host });
            svg.text((left + 40, top + 16), "middle", &mount.fstype);
            svg.arrow((left + 80, top + LINE / 2), (left + 104, top + LINE / 2));
            svg.text((left + 110, top + 16), "start", &mount.point);
        }
        let all: Vec<_> = mounts.iter().map(|m| format!("{} on {}", m.fstype, m.point)).collect();
        words.push(format!("{title}: {}.", all.join(", ")));
    }
    let caption = "Where is the old root, before pivot_root, after it, and after it was unmounted? \
        (filled: a line of the table that is new)";
    Ok(Picture { caption, svg, words })
}

fn mounts(lines: &[String]) -> Result<Vec<Mount>, String> {
    let one = |line: &String| {
        let (point, fstype) = line.split_once(' ').filter(|(point, _)| point.starts_with('/'))?;
        // The new root is named `/new/` where it is the root of the table's reader.
        Some(Mount { point: point.to_owned(), fstype: fstype.to_owned() })
    };
    lines.iter().map(|line| one(line).ok_or_else(|| format!("`{line}` is no mount"))).collect()
}

/// The three frames tell the story that the page tells.
fn check([before, between, after]: &[Vec<Mount>; 3]) -> Result<(), String> {
    let root = |frame: &[Mount]| frame.iter().find(|m| m.point == "/").map(|m| m.fstype.clone());
    let old = root(before).ok_or("no root before")?;
    let holds = |frame: &[Mount], point: &str, fstype: &str| {
        frame.iter().any(|m| m.point == point && m.fstype == fstype)
    };
    let new = before.iter().find(|m| m.point == NEW).ok_or("no new root before")?.fstype.clone();
    if root(between) != Some(new.clone()) || !holds(between, "/old", &old) {
        return Err("pivot_root did not move the old root to /old".to_owned());
    }
    if root(after) != Some(new) || after.iter().any(|m| m.point.starts_with("/old")) {
        return Err("the old root is still there after umount2".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::sections;
    use super::draw;

    fn of(after: &str) -> Result<Vec<String>, String> {
        let between = "/old ext4\n/old/proc proc\n/ tmpfs\n/proc proc";
        let before = "/ ext4\n/proc proc\n/new tmpfs";
        let all = [("before", before), ("after pivot_root", between), ("after umount2", after)];
        draw(&sections(&all)).map(|picture| picture.words)
    }

    #[test]
    fn each_frame_is_said_in_words() {
        let words = of("/ tmpfs\n/proc proc").unwrap();
        assert_eq!(words[0], "before: ext4 on /, proc on /proc, tmpfs on /new.");
        assert_eq!(words[2], "after umount2: tmpfs on /, proc on /proc.");
    }

    #[test]
    fn a_table_that_tells_another_story_is_refused() {
        assert_eq!(of("/ tmpfs\n/old ext4").unwrap_err(), "the old root is still there after umount2");
        assert_eq!(of("/ ext4").unwrap_err(), "the old root is still there after umount2");
        assert_eq!(of("tmpfs").unwrap_err(), "`tmpfs` is no mount");
    }
}
