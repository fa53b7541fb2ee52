//! What the user sees when something failed, and the exit code.

use std::fmt::Write;

use crate::container::ContainerError;
use crate::image::ImageError;
use crate::runtime::{Failure, in_words};
use crate::store::{Below, StoreError, in_one_line};
use crate::teach::doctor;

/// What was typed can't be done. The text is Docker's, without `minidocker: `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    code: u8,
    text: String,
}

impl Refused {
    /// A refusal that ends with `code`.
    #[must_use]
    pub fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// A word of Docker's that isn't built.
    #[must_use]
    pub fn not_yet(what: &str) -> Self {
        Self::new(125, format!("{what}: not in minidocker yet"))
    }
}

/// Standard output can't be written, such as on a full disk: ends with 1, as ls(1) does.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub struct Unwritable(#[from] sys::SysError);

/// The code to end with: 125, unless the error says otherwise.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let code = error.chain().find_map(|cause| {
        let failed = cause.downcast_ref::<Failure>().map(|failure| failure.code);
        let refused = || cause.downcast_ref::<Refused>().map(|refused| refused.code);
        failed.or_else(refused).or(cause.is::<Unwritable>().then_some(1))
    });
    code.unwrap_or(125)
}

/// The error as it is printed, with its last line end: what failed in Docker's words, then the
/// call as strace(1) shows it, why, and what to do.
#[must_use]
pub fn render(error: &anyhow::Error) -> String {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        let Failure { message, call, because, remedy, .. } = failure.clone();
        return lines(&message, explained(Below { call, because, remedy }));
    }
    let told = explained(error.chain().find_map(below).unwrap_or_default());
    let first = in_one_line(error.as_ref(), told.call.as_deref(), in_words);
    // What a child said of its failed call stands in its message already, as lines of its own.
    if let (true, Some((head, child))) = (told == Below::default(), first.split_once("\n  ")) {
        let said = Below { call: child.lines().next().map(str::to_owned), ..told };
        let told = explained(said.clone());
        return if told == said { lines(&first, Below::default()) } else { lines(head, told) };
    }
    let call = told.call.filter(|call| !first.ends_with(call));
    lines(&first, Below { call, ..told })
}

/// Where the machine is the reason, doctor's words say more than the errno's hint.
fn explained(told: Below) -> Below {
    match told.call.as_deref().and_then(doctor::explain) {
        Some((because, remedy)) => Below { because: Some(because), remedy: Some(remedy), ..told },
        None => told,
    }
}

/// What a cause has for the lines below the first one.
fn below(cause: &(dyn std::error::Error + 'static)) -> Option<Below> {
    let told = if let Some(e) = cause.downcast_ref::<ContainerError>() {
        e.below()
    } else if let Some(e) = cause.downcast_ref::<ImageError>() {
        e.below()
    } else if let Some(e) = cause.downcast_ref::<StoreError>() {
        e.below()
    } else {
        Below::of(cause.downcast_ref::<sys::SysError>()?)
    };
    (told != Below::default()).then_some(told)
}

fn lines(first: &str, told: Below) -> String {
    let mut text = format!("minidocker: {}\n", first.trim_end());
    for (tag, line) in [("", told.call), ("because: ", told.because), ("do: ", told.remedy)] {
        // Writing to a String can't fail.
        let _ = line.map(|line| writeln!(text, "  {tag}{line}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot make the rootfs")]
    struct Rootfs(#[source] sys::SysError);

    fn failed_chroot() -> sys::SysError {
        sys::chdir("/no/such/place".as_ref()).unwrap_err()
    }

    #[test]
    fn a_failed_call_stands_below_what_it_was_for() {
        let text = render(&anyhow::Error::new(Rootfs(failed_chroot())).context("cannot start"));
        assert_eq!(
            text,
            "minidocker: cannot start: cannot make the rootfs\n  \
             chdir(\"/no/such/place\") : ENOENT (No such file or directory)\n"
        );
    }

    #[test]
    fn a_bare_call_is_said_once() {
        let text = render(&failed_chroot().into());
        assert_eq!(text, "minidocker: chdir(\"/no/such/place\") : ENOENT (No such file or directory)\n");
    }

    #[test]
    fn a_refusal_keeps_its_code_under_context() {
        let error = anyhow::Error::new(Refused::new(127, "not found")).context("run");
        assert_eq!(exit_code(&error), 127);
        assert_eq!(exit_code(&anyhow::anyhow!("x")), 125);
    }
}
