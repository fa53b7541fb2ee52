//! What each command says about itself.

/// How many words a command wants behind its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    /// None.
    None,
    /// One or more.
    Some,
    /// The command checks it.
    Any,
}

/// A command: its flags are the fields of the type (clap derive), the help its doc comments.
pub(crate) trait Verb: clap::Args {
    /// One line.
    const ABOUT: &'static str;
    /// What comes behind the name of the command.
    const USAGE: &'static str;
    /// Docker's flags that aren't built yet, as `long`, `s,long`, and with `=` where a value follows.
    /// One text and not a table: a table of pointers would be relocated at each start.
    const NOT_YET: &'static str;
    /// How many words it wants.
    const ARITY: Arity;

    /// [`Verb::USAGE`], where it differs with the name under which the command was typed.
    fn usage(_path: &str) -> &'static str {
        Self::USAGE
    }

    /// How many words there are behind the flags.
    fn words(&self) -> usize;

    /// Does it, and returns the exit code. `path` is the name as typed: `ps` or `container ls`.
    fn act(self, path: &str) -> anyhow::Result<u8>;
}
