//! Tables and cells.

use std::fmt::Write as _;
use std::io::Write as _;

use tabwriter::TabWriter;

/// Lays rows out as Docker does (Go's `tabwriter.NewWriter(out, 10, 1, 3, ' ', 0)`): columns of at
/// least ten, three of them blank, the last one without filling.
#[must_use]
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut lines = header.join("\t") + "\n";
    for row in rows {
        lines.push_str(&row.join("\t"));
        lines.push('\n');
    }
    // Go counts the blanks into the least width; this crate adds them.
    let mut writer = TabWriter::new(Vec::new()).minwidth(7).padding(3);
    let filled = writer.write_all(lines.as_bytes()).and_then(|()| writer.flush());
    let laid_out = filled.ok().and_then(|()| writer.into_inner().ok());
    // Writing to memory can't fail; if it did, tabs are better than nothing.
    laid_out.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or(lines)
}

/// At most `width` characters; what is cut off is shown as `…`.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Go's `strconv.Quote`: no control character reaches the terminal.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        // Writing to a String can't fail.
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            '\x07' => write!(out, "\\a"),
            '\x08' => write!(out, "\\b"),
            '\x0b' => write!(out, "\\v"),
            '\x0c' => write!(out, "\\f"),
            c if c.is_ascii_control() => write!(out, "\\x{:02x}", u32::from(c)),
            c if printable(c) => write!(out, "{c}"),
            c if u32::from(c) > 0xffff => write!(out, "\\U{:08x}", u32::from(c)),
            c => write!(out, "\\u{:04x}", u32::from(c)),
        };
    }
    out + "\""
}

fn printable(c: char) -> bool {
    // Debug's escapes leave exactly the printable ones as they are, but for these two.
    c == '\'' || c == ' ' || c.escape_debug().count() == 1
}
