//! What a page shows, held against what was printed.

const ANY: &str = "[..]";
const LINES: &str = "...";

/// How many characters of `printed` only wildcards match; `None` where `shown` doesn't fit.
pub(crate) fn fit(shown: &[String], printed: &[String]) -> Option<usize> {
    let Some((first, rest)) = shown.split_first() else { return printed.is_empty().then_some(0) };
    if first == LINES {
        // As few lines as will do.
        return (0..=printed.len()).find_map(|n| {
            let taken: usize = printed[..n].iter().map(|line| line.chars().count() + 1).sum();
            Some(taken + fit(rest, &printed[n..])?)
        });
    }
    let (line, others) = printed.split_first()?;
    Some(in_line(first, line)? + fit(rest, others)?)
}

/// The same for one line.
fn in_line(shown: &str, line: &str) -> Option<usize> {
    let Some((before, rest)) = shown.split_once(ANY) else { return (shown == line).then_some(0) };
    let line = line.strip_prefix(before)?;
    let mut ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    ends.find_map(|end| Some(line[..end].chars().count() + in_line(rest, &line[end..])?))
}

/// What the page should show: the lines that were printed, but a line of the page that still fits one of
/// them (in their order) stays. `...` is kept only where everything fits.
pub(crate) fn blessed(shown: &[String], printed: &[String]) -> Vec<String> {
    if fit(shown, printed).is_some() {
        return shown.to_vec();
    }
    let mut rest = shown;
    let mut kept = |line: &String| {
        let at = rest.iter().position(|old| old != LINES && in_line(old, line).is_some());
        let old = at.map_or(line, |at| &rest[at]);
        rest = &rest[at.map_or(0, |at| at + 1)..];
        old.clone()
    };
    printed.iter().map(&mut kept).collect()
}

/// `- shown` and `+ printed` where they part, with what they share at both ends.
pub(crate) fn difference(shown: &[String], printed: &[String]) -> String {
    let same = |a: &String, b: &String| in_line(a, b).is_some();
    let before = shown.iter().zip(printed).take_while(|(a, b)| same(a, b)).count();
    let (mine, theirs) = (&shown[before..], &printed[before..]);
    let after = mine.iter().rev().zip(theirs.iter().rev()).take_while(|(a, b)| same(a, b)).count();
    let marked =
        |mark: &str, lines: &[String]| lines.iter().map(|l| format!("{mark}{l}\n")).collect::<String>();
    let (mine, theirs) = (&mine[..mine.len() - after], &theirs[..theirs.len() - after]);
    let end = marked("  ", &printed[printed.len() - after..]);
    marked("  ", &printed[..before]) + &marked("- ", mine) + &marked("+ ", theirs) + &end
}

#[cfg(test)]
fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn wildcards_count_what_they_swallow() {
    let of = |shown: &str, printed: &str| fit(&lines(shown), &lines(printed));
    assert_eq!(of("a\nb", "a\nb"), Some(0));
    assert_eq!(of("pid [..] of [..]", "pid 4711 of é"), Some(5));
    assert_eq!(of("[..]b", "abab"), Some(3));
    assert_eq!(of("a\n...\nd", "a\nbb\nc\nd"), Some(5));
    assert_eq!(of("...", ""), Some(0));
    assert_eq!(of("a", "a\nb"), None);
    assert_eq!(of("a[..]x", "abc"), None);
    assert_eq!(of("a\n...\nx", "a\nb"), None);
}

#[test]
fn blessing_keeps_the_wildcards_that_still_fit() {
    let of = |shown: &str, printed: &str| blessed(&lines(shown), &lines(printed)).join("|");
    assert_eq!(of("pid [..]\nold", "pid 7\nnew"), "pid [..]|new");
    assert_eq!(of("a\n...\nd", "a\nb\nd"), "a|...|d");
    assert_eq!(of("a\n...\nd", "a\nb\ne"), "a|b|e");
    assert_eq!(of("x [..]", "y 1\nx 2"), "y 1|x [..]");
}

#[test]
fn a_difference_shows_both_sides() {
    let of = |shown: &str, printed: &str| difference(&lines(shown), &lines(printed));
    assert_eq!(of("a [..]\nb\nd", "a 1\nc\nd"), "  a 1\n- b\n+ c\n  d\n");
    assert_eq!(of("a", "a\na"), "  a\n+ a\n");
}
