//! A command line in one string, for tables of cases.

/// Splits at blanks; single and double quotes keep a word together, nothing is expanded.
///
/// ```
/// assert_eq!(kit::words("run hostbox sh -c 'exit 3'"), ["run", "hostbox", "sh", "-c", "exit 3"]);
/// assert_eq!(kit::words("-e A=\"b c\" ''"), ["-e", "A=b c", ""]);
/// ```
#[must_use]
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "unclosed quote in {line:?}");
    words.extend(word);
    words
}
