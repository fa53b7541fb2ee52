//! Commands with several names go on past a failure.

use super::error::render;
use super::tell;

/// The failures that were told so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    failed: bool,
    said: Vec<String>,
}

impl Told {
    /// Tells of one on stderr, the same one once; the command will end with 1.
    pub(super) fn tell(&mut self, error: impl Into<anyhow::Error>) {
        self.failed = true;
        let text = render(&error.into());
        if !self.said.contains(&text) {
            tell(&text);
            self.said.push(text);
        }
    }

    /// Does `act` to each name, goes on past failures, and returns the exit code.
    pub(super) fn each(names: &[String], mut act: impl FnMut(&str) -> anyhow::Result<()>) -> u8 {
        let mut told = Self::default();
        for name in names {
            act(name).unwrap_or_else(|e| told.tell(e));
        }
        told.code()
    }

    /// Tells of the one failure of a command, and returns the exit code.
    pub(super) fn one(error: impl Into<anyhow::Error>) -> u8 {
        let mut told = Self::default();
        told.tell(error);
        told.code()
    }

    /// Tells of one that is no failure of the command.
    pub(super) fn note(error: impl Into<anyhow::Error>) {
        tell(&render(&error.into()));
    }

    /// Docker's exit code: 1 if any failed.
    pub(super) fn code(&self) -> u8 {
        u8::from(self.failed)
    }
}
