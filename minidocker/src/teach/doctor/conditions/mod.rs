//! The table. Of two that explain the same failed call, the first one is told.

mod around;
mod groups;
mod kernel;
mod network;
mod store;
mod users;

use super::Facts;
use super::condition::{Condition, Need};

/// All conditions.
pub(super) fn all() -> impl Iterator<Item = &'static Condition> {
    [around::ALL, users::ALL, kernel::ALL, groups::ALL, store::ALL, network::ALL].into_iter().flatten()
}

/// The evidence of a file that holds this number.
fn reads(facts: &Facts, path: &str, wrong: impl Fn(u64) -> bool) -> Option<String> {
    facts.number(path).filter(|n| wrong(*n)).map(|n| format!("{path} is {n}"))
}
