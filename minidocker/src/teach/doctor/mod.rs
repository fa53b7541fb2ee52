//! `doctor`: what this machine lets us do, what not, why, and the one command that changes it.
//!
//! [`Facts`] is what was looked at and tried; [`conditions`] judges it, a pure table; [`report`] tells it.
//! An ability is tried where it can be, in namespaces of a child that ends with the attempt: nothing is
//! changed on the host, nothing is left, and no file of the store is made. (A first mount of overlay may
//! let the kernel load its module, as the first `run` does.)

mod attempt;
mod condition;
mod conditions;
mod facts;
mod look;
mod place;
mod profile;
mod report;
mod why;

pub use condition::{Condition, Found, Level, Need};
pub use facts::{Facts, Outcome, Refusal};
pub use profile::apparmor_profile;
pub use report::{class, json, text};
pub use why::why;

/// What was found on a machine: the facts, and the conditions that hold.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// What was seen and tried.
    pub facts: Facts,
    /// The conditions that hold, those that stop most first.
    pub found: Vec<Found>,
}

impl Diagnosis {
    /// Looks at this machine and tries it. The process must have one thread.
    #[must_use]
    pub fn here() -> Self {
        Self::of(look::facts("/".as_ref(), true))
    }

    /// Judges what was seen, here or elsewhere.
    #[must_use]
    pub fn of(facts: Facts) -> Self {
        let mut found: Vec<Found> = conditions::all().filter_map(|c| c.judge(&facts)).collect();
        found.sort_by_key(|found| found.level);
        Self { facts, found }
    }

    /// Whether one of the main commands is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.found.iter().any(|found| found.level == Level::Stops)
    }
}

/// Why a call failed here, and what to do: the condition that explains it, where one holds.
///
/// `call` is the failed call as strace shows it. The machine is looked at only where some condition
/// could explain that call.
#[must_use]
pub fn explain(call: &str) -> Option<(String, String)> {
    let could = || conditions::all().filter(|c| c.explains(call));
    could().next()?;
    let facts = look::facts("/".as_ref(), true);
    let found = could().filter(|c| !c.is_of_lessons(&facts)).find_map(|c| c.judge(&facts))?;
    let [remedy, _] = found.remedies.into_iter().next()?;
    // A call that showed it says no more than the one that failed.
    let seen = if found.seen.contains(" : E") { String::new() } else { format!(": {}", found.seen) };
    // Behind the reason, not the remedy: that one is to be typed as it stands.
    Some((format!("{}{seen} (minidocker doctor tells more)", found.title), remedy))
}

#[cfg(test)]
mod tests;
