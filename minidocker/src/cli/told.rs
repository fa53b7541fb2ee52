//! Commands with several names go on past a failure.

use super::Refused;
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

    /// Tells of one that is no failure of the command.
    pub(super) fn note(error: impl Into<anyhow::Error>) {
        tell(&render(&error.into()));
    }

    /// As [`Told::tell`], for a text.
    pub(super) fn say(&mut self, text: String) {
        self.tell(Refused::new(1, text));
    }

    /// Docker's exit code: 1 if any failed.
    pub(super) fn code(&self) -> u8 {
        u8::from(self.failed)
    }
}
