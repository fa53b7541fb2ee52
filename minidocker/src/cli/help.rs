//! `--help`: short, in Docker's shape, to standard output.

use std::fmt::Write;

use clap::{Arg, Command};

use super::verb::Verb;
use super::{Create, Doctor, Inspect, Kill, Ps, Rm, Run, Start, Version};

/// The help of one command.
pub(super) fn of<V: Verb>(path: &str, command: &Command) -> String {
    let mut text = format!("Usage:  minidocker {path} {}\n\n{}\n\nOptions:\n", V::usage(path), V::ABOUT);
    let mut shown: Vec<_> =
        command.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_positional()).collect();
    shown.sort_by_key(|arg| arg.get_long());
    let flags: Vec<_> = shown.iter().map(|arg| (flag(arg), arg.get_help())).collect();
    let width = flags.iter().map(|(flag, _)| flag.len()).max().unwrap_or(0);
    for (flag, help) in flags {
        let help = help.map(ToString::to_string).unwrap_or_default();
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {flag:width$}   {help}");
    }
    text
}

fn flag(arg: &Arg) -> String {
    // Docker shows --help without its letter, which it calls deprecated.
    let short = arg.get_short().filter(|_| arg.get_id() != "help");
    let short = short.map_or("    ".to_owned(), |short| format!("-{short}, "));
    // A switch: clap gives it a value for the sake of `=false`.
    let names = arg.get_value_names().filter(|_| !arg.is_require_equals_set());
    let value = names.and_then(|names| names.first());
    let value = value.map_or(String::new(), |name| format!(" {name}"));
    format!("{short}--{}{value}", arg.get_long().unwrap_or_default())
}

/// The help of the whole program.
pub(super) fn top() -> String {
    format!(
        "Usage:  minidocker [OPTIONS] COMMAND

{}

Commands:
{}
Management Commands:
  container   Manage containers

Global Options:
  -v, --version   Print version information and quit

Run 'minidocker COMMAND --help' for more information on a command.
Docker's other commands and flags are known by name, and say so, until they are built.
",
        <super::Global as Verb>::ABOUT,
        list(&[
            ("run", Run::ABOUT),
            PS,
            CREATE,
            DOCTOR,
            INSPECT,
            KILL,
            RM,
            START,
            ("version", Version::ABOUT)
        ])
    )
}

const CREATE: (&str, &str) = ("create", Create::ABOUT);
const DOCTOR: (&str, &str) = ("doctor", Doctor::ABOUT);
const PS: (&str, &str) = ("ps", Ps::ABOUT);
const INSPECT: (&str, &str) = ("inspect", Inspect::ABOUT);
const KILL: (&str, &str) = ("kill", Kill::ABOUT);
const RM: (&str, &str) = ("rm", Rm::ABOUT);
const START: (&str, &str) = ("start", Start::ABOUT);

/// The help of the management command.
pub(super) fn container() -> String {
    format!(
        "Usage:  minidocker container COMMAND

Manage containers

Commands:
{}
Run 'minidocker container COMMAND --help' for more information on a command.
",
        list(&[CREATE, INSPECT, KILL, ("ls", Ps::ABOUT), RM, ("run", Run::ABOUT), START])
    )
}

fn list(commands: &[(&str, &str)]) -> String {
    commands.iter().fold(String::new(), |mut text, (name, about)| {
        let _ = writeln!(text, "  {name:9}   {about}");
        text
    })
}
