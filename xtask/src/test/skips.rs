//! Tests that did not run here, and the reasons that are allowed in CI.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace;

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

/// The reasons that are allowed in CI for this user, each with its fact about the machine.
///
/// A line is `reason who fact`; `who` is `root`, `user` or `both`, because what a plain user can't do
/// is no excuse for root.
pub(crate) fn allowed(root: &Path) -> Result<BTreeMap<String, String>> {
    let who = if workspace::is_root()? { "root" } else { "user" };
    parse_allowed(&fs::read_to_string(root.join(LIST)).with_context(|| format!("read {LIST}"))?, who)
}

fn parse_allowed(text: &str, me: &str) -> Result<BTreeMap<String, String>> {
    if text.lines().count() > MOST {
        bail!("{LIST} has more than {MOST} lines");
    }
    let mut allowed = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ' ').map(str::trim).filter(|field| !field.is_empty());
        let (Some(reason), Some(who), Some(fact)) = (fields.next(), fields.next(), fields.next()) else {
            bail!("{LIST}: `{line}` is not `reason who fact`");
        };
        match who {
            "root" | "user" | "both" if who != me && who != "both" => continue,
            "root" | "user" | "both" => allowed.insert(reason.to_owned(), fact.to_owned()),
            _ => bail!("{LIST}: {who} is neither root nor user nor both"),
        };
    }
    Ok(allowed)
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
    fn a_reason_is_allowed_for_one_kind_of_user() {
        let list = "no-v2 both the tree is empty\nnot-root user it isn't\n";
        assert_eq!(parse_allowed(list, "root").unwrap().into_keys().collect::<Vec<_>>(), ["no-v2"]);
        assert_eq!(parse_allowed(list, "user").unwrap()["not-root"], "it isn't");
    }

    #[test]
    fn the_list_is_short_and_each_line_states_a_fact() {
        let message = |list: &str| parse_allowed(list, "root").unwrap_err().to_string();
        assert!(message("no-v2 both\n").ends_with("is not `reason who fact`"));
        assert!(message("no-v2 all x\n").ends_with("all is neither root nor user nor both"));
        assert!(message(&"a both b\n".repeat(9)).ends_with("more than 8 lines"));
    }
}
