//! clap, bent to the rules of Docker's parser.
//!
//! A switch takes `=true` and `=false` but no separate word; a flag may be repeated, the last one
//! counts; a value may begin with a dash; flags end at the first word of a `run`.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::verb::{Arity, Verb};
use super::{Refused, help, refusal};

/// What is wanted of a command.
pub(super) enum Asked<V> {
    /// Its help, which is here.
    Help(String),
    /// That it acts.
    Verb(V),
}

/// Parses the words behind the name of a command.
///
/// # Errors
/// Docker's words for what is wrong.
pub(super) fn parse<V: Verb>(path: &str, words: Vec<OsString>) -> Result<Asked<V>, Refused> {
    // The flags that aren't built are nine of ten: their parser is made only where one may be meant.
    let mut command = built::<V>();
    if let Ok(matches) = command.try_get_matches_from_mut(&words) {
        return asked(path, &words, &command, matches);
    }
    let mut command = with_not_yet::<V>();
    match command.try_get_matches_from_mut(&words) {
        Ok(matches) => asked(path, &words, &command, matches),
        Err(error) => Err(refusal::translated(&error, &command, &words, path, V::usage(path))),
    }
}

fn asked<V: Verb>(
    path: &str,
    words: &[OsString],
    command: &Command,
    mut matches: ArgMatches,
) -> Result<Asked<V>, Refused> {
    if matches.get_flag(HELP) {
        return Ok(Asked::Help(help::of::<V>(path, command)));
    }
    if let Some(flag) = not_yet::<V>(&matches) {
        return Err(Refused::not_yet(format!("{path} --{flag}").trim_start()));
    }
    let verb = V::from_arg_matches_mut(&mut matches)
        .map_err(|error| refusal::translated(&error, command, words, path, V::usage(path)))?;
    match (V::ARITY, verb.words()) {
        (Arity::Some, 0) => Err(refusal::too_few(path, V::usage(path))),
        (Arity::None, 1..) => Err(refusal::too_many(path, V::usage(path))),
        _ => Ok(Asked::Verb(verb)),
    }
}

const HELP: &str = "help";

/// The parser of one command, as far as it is built.
fn built<V: Verb>() -> Command {
    let command = Command::new("minidocker")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true);
    let mut help = Arg::new(HELP).long(HELP).action(ArgAction::SetTrue).help("Print usage");
    let command = V::augment_args(command);
    if !command.get_arguments().any(|arg| arg.get_short() == Some('h')) {
        help = help.short('h');
    }
    command.arg(help).mut_args(as_docker)
}

/// The parser of one command, with the flags that aren't built.
pub(super) fn with_not_yet<V: Verb>() -> Command {
    built::<V>().args(hidden(V::NOT_YET).map(as_docker))
}

/// The flags of `NOT_YET`.
fn hidden(list: &'static str) -> impl Iterator<Item = Arg> {
    names(list).map(|(short, long, takes_value)| {
        let action = if takes_value { ArgAction::Append } else { ArgAction::SetTrue };
        let arg = Arg::new(long).long(long).action(action).hide(true);
        match short {
            Some(short) => arg.short(short),
            None => arg,
        }
    })
}

/// Short name, long name, and whether a value follows.
fn names(list: &'static str) -> impl Iterator<Item = (Option<char>, &'static str, bool)> {
    list.split_whitespace().map(|word| {
        let (name, takes_value) = word.strip_suffix('=').map_or((word, false), |name| (name, true));
        match name.split_once(',') {
            Some((short, long)) => (short.chars().next(), long, takes_value),
            None => (None, name, takes_value),
        }
    })
}

/// The first flag typed that isn't built.
fn not_yet<V: Verb>(matches: &ArgMatches) -> Option<&'static str> {
    // Asking for an id that the parser doesn't have is an error of its own.
    let known = |long: &&str| matches.try_contains_id(long).is_ok();
    let typed = |long: &&str| matches.value_source(long) == Some(ValueSource::CommandLine);
    let first = |long: &&str| matches.index_of(long);
    names(V::NOT_YET).map(|(_, long, _)| long).filter(known).filter(typed).min_by_key(first)
}

fn as_docker(arg: Arg) -> Arg {
    match arg.get_action() {
        _ if arg.is_positional() => arg,
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .value_parser(switch),
        // `-w -x`: pflag takes the next word, whatever it is.
        _ => arg.num_args(1).allow_hyphen_values(true),
    }
}

/// Go's `strconv.ParseBool`.
fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}
