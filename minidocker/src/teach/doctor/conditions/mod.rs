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

const EPERM: &[&str] = &["EPERM", "EACCES"];
const EPERM_OR_ENOSYS: &[&str] = &["EPERM", "ENOSYS"];

/// What every container needs; the order is that of a set-up.
const ESSENTIAL: &[&str] = &[
    "clone",
    "id-maps",
    "root",
    "cgroup-namespace",
    "private-mounts",
    "tmpfs",
    "proc",
    "sysfs",
    "pivot-root",
    "overlay",
];

/// The evidence in the words of the call that showed it.
fn tried(facts: &Facts, tries: &[&str], errnos: &[&str]) -> Option<String> {
    facts.refused_in_room(tries, errnos).map(|refusal| refusal.call.clone())
}

/// The evidence of a file that holds this number.
fn reads(facts: &Facts, path: &str, wrong: impl Fn(u64) -> bool) -> Option<String> {
    facts.number(path).filter(|n| wrong(*n)).map(|n| format!("{path} is {n}"))
}
