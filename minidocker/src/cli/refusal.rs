//! Docker's words for a command line that is wrong, made from clap's findings.
//!
//! Docker parses by `github.com/spf13/pflag`; its texts are known by heart to users and scripts.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::Refused;

/// Appends the usage of a command and where to find more, as Docker does.
pub(super) fn with_usage(code: u8, text: &str, path: &str, usage: &str, see: &str) -> Refused {
    let name = named(path);
    Refused::new(
        code,
        format!(
            "{text}\n\nUsage:  {}\n\n{see} '{name} --help' for more information",
            format!("{name} {usage}").trim_end()
        ),
    )
}

fn named(path: &str) -> String {
    if path.is_empty() { "minidocker".to_owned() } else { format!("minidocker {path}") }
}

pub(super) fn unknown_flag(flag: &str, path: &str, usage: &str) -> Refused {
    with_usage(125, &format!("unknown flag: {flag}"), path, usage, "Run")
}

/// A word that no command has. `group` is what stands before it, or an empty string.
pub(super) fn unknown_command(path: &str, group: &str) -> Refused {
    let text = format!("unknown command: {}", named(path));
    match group {
        "" => Refused::new(1, format!("{text}\n\nRun 'minidocker --help' for more information")),
        group => with_usage(1, &text, group, "", "Run"),
    }
}

/// Too few or too many words.
pub(super) fn too_few(path: &str, usage: &str) -> Refused {
    with_usage(1, &format!("'{}' requires at least 1 argument", named(path)), path, usage, "See")
}

pub(super) fn too_many(path: &str, usage: &str) -> Refused {
    with_usage(1, &format!("'{}' accepts no arguments", named(path)), path, usage, "Run")
}

/// What clap found, said by Docker.
pub(super) fn translated(
    error: &Error,
    command: &Command,
    words: &[OsString],
    path: &str,
    usage: &str,
) -> Refused {
    let text = match error.kind() {
        ErrorKind::UnknownArgument => unknown(&context(error, ContextKind::InvalidArg), words),
        ErrorKind::InvalidValue => {
            no_value(&flag_names(command, &context(error, ContextKind::InvalidArg)), words)
        }
        ErrorKind::ValueValidation => {
            let flag = flag_names(command, &context(error, ContextKind::InvalidArg));
            let value = context(error, ContextKind::InvalidValue);
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("invalid argument {value:?} for {flag:?} flag: {why}")
        }
        ErrorKind::InvalidUtf8 => "an argument is not valid UTF-8".to_owned(),
        _ => error.to_string(),
    };
    with_usage(125, &text, path, usage, "Run")
}

fn context(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    }
}

fn unknown(argument: &str, words: &[OsString]) -> String {
    let typed = |word: &&OsString| word.to_string_lossy().starts_with(argument);
    match argument.strip_prefix('-') {
        Some(short) if !short.starts_with('-') => {
            // The rest of the cluster is part of the message: `-xrm` with a known x gives "'r' in -rm".
            let cluster = words.iter().find_map(|word| {
                let word = word.to_string_lossy().into_owned();
                let one_dash = word.starts_with('-') && !word.starts_with("--");
                let at = if one_dash { word.find(short) } else { None };
                at.map(|at| word[at..].to_owned())
            });
            format!("unknown shorthand flag: '{short}' in -{}", cluster.as_deref().unwrap_or(short))
        }
        _ if argument.starts_with("---") || argument == "--" => {
            let word = words.iter().find(typed).map(|word| word.to_string_lossy().into_owned());
            format!("bad flag syntax: {}", word.as_deref().unwrap_or(argument))
        }
        _ => format!("unknown flag: {argument}"),
    }
}

/// A flag without a value, or with an empty one where that can't be meant (`--rootfs ''`): to clap it
/// is the same. Only the last word can lack its value: any other takes the next word, whatever it is.
fn no_value(names: &str, words: &[OsString]) -> String {
    let last = words.last().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let (short, long) = names.split_once(", ").unwrap_or(("", names));
    if last == long {
        return format!("flag needs an argument: {long}");
    }
    match short.chars().nth(1) {
        Some(short) if !last.starts_with("--") && last.starts_with('-') && last.ends_with(short) => {
            format!("flag needs an argument: '{short}' in -{short}")
        }
        _ => format!("invalid argument \"\" for {names:?} flag: the value is empty"),
    }
}

/// `--tty[=<TTY>]` of clap as `-t, --tty` of Docker.
fn flag_names(command: &Command, shown: &str) -> String {
    let name = shown.split(['[', '=', ' ', '<']).next().unwrap_or(shown);
    let found =
        command.get_arguments().find(|arg| arg.get_long().is_some_and(|long| name == format!("--{long}")));
    match found.and_then(clap::Arg::get_short) {
        Some(short) => format!("-{short}, {name}"),
        None => name.to_owned(),
    }
}
