//! Tests that did not run here, and the reasons that are allowed in CI.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

const LIST: &str = "tests/allowed-skips.txt";
/// More reasons than that, and the machine is the wrong one.
const MOST: usize = 8;

/// One test that said why it can't run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) test: String,
    pub(crate) reason: String,
    pub(crate) words: String,
}

/// Reads lines of `name TAB reason TAB words`.
pub(crate) fn read(text: &str) -> Vec<Skip> {
    let one = |line: &str| {
        let mut fields = line.splitn(3, '\t').map(str::to_owned);
        let mut field = || fields.next().unwrap_or_default();
        Skip { test: field(), reason: field(), words: field() }
    };
    text.lines().filter(|line| !line.is_empty()).map(one).collect()
}

/// The reasons that are allowed in CI, each with its fact about the machine.
pub(crate) fn allowed(root: &Path) -> Result<BTreeMap<String, String>> {
    parse_allowed(&fs::read_to_string(root.join(LIST)).with_context(|| format!("read {LIST}"))?)
}

fn parse_allowed(text: &str) -> Result<BTreeMap<String, String>> {
    if text.lines().count() > MOST {
        bail!("{LIST} has more than {MOST} lines");
    }
    let one = |line: &str| {
        let (reason, fact) =
            line.split_once(' ').with_context(|| format!("{LIST}: `{line}` states no fact"))?;
        Ok((reason.to_owned(), fact.trim().to_owned()))
    };
    text.lines().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::{Skip, parse_allowed, read};

    #[test]
    fn a_skip_has_three_fields() {
        let skip = Skip { test: "a::b".into(), reason: "no-v2".into(), words: "no tree".into() };
        assert_eq!(read("a::b\tno-v2\tno tree\n"), [skip]);
    }

    #[test]
    fn the_list_is_short_and_each_line_states_a_fact() {
        assert_eq!(parse_allowed("no-v2 the tree is empty\n").unwrap()["no-v2"], "the tree is empty");
        assert!(parse_allowed("no-v2\n").unwrap_err().to_string().ends_with("states no fact"));
        assert!(parse_allowed(&"a b\n".repeat(9)).unwrap_err().to_string().ends_with("more than 8 lines"));
    }
}
