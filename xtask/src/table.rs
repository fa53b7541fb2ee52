//! Tables for the terminal: columns as wide as their widest cell, numbers to the right.

/// Prints `rows` below `header`.
pub(crate) fn print(header: &[&str], rows: &[Vec<String>]) {
    print!("{}", layout(header, rows));
}

fn layout(header: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let widths: Vec<usize> = (0..header.len())
        .map(|i| all().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in all() {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| align(cell, *width)).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn align(cell: &str, width: usize) -> String {
    let number = cell.starts_with(|c: char| c.is_ascii_digit());
    if number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_stand_left_and_numbers_right() {
        let rows = [vec!["sys".into(), "7".into()], vec!["chroot".into(), "1,000".into()]];
        assert_eq!(
            super::layout(&["crate", "lines"], &rows),
            "crate   lines\nsys         7\nchroot  1,000\n"
        );
    }
}
