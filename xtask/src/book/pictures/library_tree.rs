//! Which files `ls` needs before its first instruction runs, and who names whom.

use std::collections::BTreeMap;

use super::svg::{LINE, Svg, WIDTH, Whose};
use super::{Picture, Section, section};

/// A file, and the names that it holds.
struct Needed<'a> {
    path: &'a str,
    /// Rows of other files.
    names: Vec<usize>,
}

const BOX: (usize, usize) = (210, LINE + 20);
const BETWEEN_ROWS: usize = 56;

pub(super) fn draw(sections: &[Section]) -> Result<Picture, String> {
    let files = files(section(sections, "needs")?)?;
    let rows = rows(&files)?;
    let mut places = BTreeMap::new();
    for (row, members) in rows.iter().enumerate() {
        let room = WIDTH / members.len();
        for (column, file) in members.iter().enumerate() {
            let left = column * room + (room - BOX.0) / 2;
            places.insert(*file, (left, 2 + row * (BOX.1 + BETWEEN_ROWS)));
        }
    }
    let mut svg = Svg::default();
    for (at, (left, top)) in &places {
        let path = files[*at].path;
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        svg.rect((*left, *top), BOX, if *at == 0 { Whose::Own } else { Whose::Host });
        svg.text((left + BOX.0 / 2, top + 17), "middle", &format!("{folder}/"));
        svg.text((left + BOX.0 / 2, top + 35), "middle", name);
        for other in &files[*at].names {
            // Only downwards: a name that a file above has too is said in words.
            if let Some((to_left, to_top)) = places.get(other).filter(|(_, below)| below > top) {
                let from = (left + BOX.0 / 2, top + BOX.1);
                svg.arrow(from, (to_left + BOX.0 / 2, *to_top));
            }
        }
    }
    let caption = "Which files must lie in a root before ls can start there, and which of them names which?";
    Ok(Picture { caption, svg, words: words(&files) })
}

/// Lines of `PATH: NAME NAME`, where each name is the end of another line's path.
fn files(lines: &[String]) -> Result<Vec<Needed<'_>>, String> {
    let cut: Option<Vec<(&str, &str)>> = lines.iter().map(|line| line.split_once(':')).collect();
    let cut = cut.ok_or("a line has no `:`")?;
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut files = Vec::new();
    for (at, (path, names)) in cut.iter().enumerate() {
        let mut found = Vec::new();
        for name in names.split_whitespace() {
            let other = cut.iter().position(|(path, _)| last(path) == last(name));
            let other = other.ok_or_else(|| format!("{path} names {name}, which is no line"))?;
            if other != at && !found.contains(&other) {
                found.push(other);
            }
        }
        files.push(Needed { path, names: found });
    }
    Ok(files)
}

/// The files by their distance from the program. Those that nobody names stand in no row: they are
/// opened while the program runs.
fn rows(files: &[Needed<'_>]) -> Result<Vec<Vec<usize>>, String> {
    let (mut rows, mut seen) = (vec![vec![0]], vec![0]);
    while let Some(last) = rows.last() {
        let mut next: Vec<usize> = Vec::new();
        for other in last.iter().flat_map(|at| &files[*at].names) {
            if !seen.contains(other) {
                seen.push(*other);
                next.push(*other);
            }
        }
        if next.is_empty() {
            break;
        }
        if next.len() * BOX.0 > WIDTH {
            return Err(format!("{} files side by side are too many to draw", next.len()));
        }
        rows.push(next);
    }
    if rows.len() < 2 { Err("the program names nothing".to_owned()) } else { Ok(rows) }
}

fn words(files: &[Needed<'_>]) -> Vec<String> {
    let named = |at: usize| files.iter().any(|file| file.names.contains(&at));
    let one = |(at, file): (usize, &Needed<'_>)| {
        let names: Vec<&str> = file.names.iter().map(|other| files[*other].path).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        let later = if at > 0 && !named(at) { "; no file names it, it is opened at run time" } else { "" };
        format!("{} names {names}{later}.", file.path)
    };
    files.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::sections;
    use super::draw;

    fn of(lines: &str) -> Result<Vec<String>, String> {
        draw(&sections(&[("needs", lines)])).map(|picture| picture.words)
    }

    #[test]
    fn who_names_whom_is_said_in_words() {
        let words = of(
            "/bin/ls: /lib64/ld.so libc.so.6\n/lib64/ld.so:\n/lib/libc.so.6: ld.so\n/lib/nss.so: libc.so.6",
        );
        let expected = [
            "/bin/ls names /lib64/ld.so, /lib/libc.so.6.",
            "/lib64/ld.so names nothing.",
            "/lib/libc.so.6 names /lib64/ld.so.",
            "/lib/nss.so names /lib/libc.so.6; no file names it, it is opened at run time.",
        ];
        assert_eq!(words.unwrap(), expected);
    }

    #[test]
    fn a_name_without_a_file_is_refused() {
        assert_eq!(of("/bin/ls: libc.so.6").unwrap_err(), "/bin/ls names libc.so.6, which is no line");
        assert_eq!(of("/bin/ls:").unwrap_err(), "the program names nothing");
        assert_eq!(of("/bin/ls").unwrap_err(), "a line has no `:`");
    }
}
