//! Rust sources as tokens with their lines: enough to tell code from comments and strings.
//!
//! A full parser would read the same files; a hundred lines are enough here because no check
//! needs types, and a token never lies about where it stands. Comments are dropped.
//! Source: The Rust Reference, "Lexical structure".

/// What a token is, as far as the checks care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or a keyword (`r#type` without its prefix).
    Ident,
    /// A string, byte string, character or number.
    Literal,
    /// `'a`
    Lifetime,
    /// One character of punctuation.
    Punct,
}

/// One token, and the lines (from 1) on which it begins and ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) line: usize,
    pub(crate) end_line: usize,
}

impl Token<'_> {
    /// Whether this is the identifier or keyword `word`.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Ident && self.text == word
    }

    /// Whether this is the punctuation `c`.
    pub(crate) fn punct(&self, c: char) -> bool {
        self.kind == Kind::Punct && self.text.starts_with(c)
    }
}

/// Splits `text` into tokens. Text that isn't Rust gives some tokens, never an error.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0, line: 1 };
    let mut all = Vec::new();
    while let Some(token) = lexer.next_token() {
        all.push(token);
    }
    all
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn next_token(&mut self) -> Option<Token<'a>> {
        self.skip_blanks_and_comments();
        let rest = self.rest();
        let first = rest.chars().next()?;
        let (kind, len) = match string_len(rest) {
            Some(len) => (Kind::Literal, len),
            None if first == '\'' => quote(rest),
            None if first.is_ascii_digit() => (Kind::Literal, number_len(rest)),
            None if is_word(first) => (Kind::Ident, word_len(rest)),
            None => (Kind::Punct, first.len_utf8()),
        };
        let (line, text) = (self.line, &rest[..len]);
        self.skip(len);
        let text = text.strip_prefix("r#").filter(|_| kind == Kind::Ident).unwrap_or(text);
        Some(Token { kind, text, line, end_line: self.line })
    }

    fn skip(&mut self, len: usize) {
        self.line += self.rest()[..len].matches('\n').count();
        self.at += len;
    }

    fn skip_blanks_and_comments(&mut self) {
        loop {
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start().len();
            let len = if blanks > 0 {
                blanks
            } else if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                block_comment_len(rest)
            } else {
                return;
            };
            self.skip(len);
        }
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word_len(text: &str) -> usize {
    let raw = if text.starts_with("r#") { 2 } else { 0 };
    raw + text[raw..].find(|c| !is_word(c)).unwrap_or(text.len() - raw)
}

/// `1.5e3_u8` is one token, `1..2` and `x.0.len()` end before the dot.
fn number_len(text: &str) -> usize {
    let len = word_len(text);
    let fraction =
        text[len..].strip_prefix('.').filter(|after| after.starts_with(|c: char| c.is_ascii_digit()));
    fraction.map_or(len, |after| len + 1 + word_len(after))
}

/// Block comments nest.
fn block_comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of a string literal of any kind at the head of `text`.
fn string_len(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|p| {
        let after = text.strip_prefix(p).map(|t| t.trim_start_matches('#'));
        after.is_some_and(|t| t.starts_with('"'))
    })?;
    let body = &text[prefix.len()..];
    let hashes = body.len() - body.trim_start_matches('#').len();
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        let open = prefix.len() + hashes + 1;
        return Some(text[open..].find(&end).map_or(text.len(), |at| open + at + end.len()));
    }
    (hashes == 0).then(|| prefix.len() + escaped_len(body, b'"'))
}

/// The length of a quoted run with backslash escapes, both quotes included.
fn escaped_len(text: &str, quote: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// A character (`'x'`, `'\n'`) or a lifetime (`'a`).
fn quote(text: &str) -> (Kind, usize) {
    let mut chars = text[1..].chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => (Kind::Literal, escaped_len(text, b'\'')),
        (Some(c), Some('\'')) => (Kind::Literal, c.len_utf8() + 2),
        _ => (Kind::Lifetime, 1 + word_len(&text[1..])),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, tokens};

    fn words(text: &str) -> Vec<&str> {
        tokens(text).iter().map(|t| t.text).collect()
    }

    #[test]
    fn comments_are_no_tokens_and_strings_are_one() {
        let text = "a // b\n/* c /* d */ e */ f(\"g // \\\" h\", r#\"i \" j\"#, b'\\'', c\"k\")";
        let strings = ["\"g // \\\" h\"", "r#\"i \" j\"#"];
        assert_eq!(
            words(text),
            ["a", "f", "(", strings[0], ",", strings[1], ",", "b", "'\\''", ",", "c\"k\"", ")"]
        );
    }

    #[test]
    fn lifetimes_are_told_from_characters() {
        let kinds: Vec<_> = tokens("'a 'b' '\\n' 'static '_'").iter().map(|t| t.kind).collect();
        use Kind::{Lifetime as L, Literal as C};
        assert_eq!(kinds, [L, C, C, L, C]);
    }

    #[test]
    fn a_token_knows_its_lines() {
        let all = tokens("x\n\"two\nlines\"\ny");
        let lines: Vec<_> = all.iter().map(|t| (t.line, t.end_line)).collect();
        assert_eq!(lines, [(1, 1), (2, 3), (4, 4)]);
    }

    #[test]
    fn numbers_end_before_a_range_and_a_method() {
        assert_eq!(words("0..10 1.5 r#type 1_u8.max(2)").join(" "), "0 . . 10 1.5 type 1_u8 . max ( 2 )");
    }
}
