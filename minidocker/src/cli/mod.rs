//! What was typed: Docker's commands and flags, Docker's words when they are wrong.
//!
//! One file a command. A command of Docker that isn't built is known by name ([`known`]), and so is
//! each flag of those that are ([`Verb::NOT_YET`]): they are refused, never ignored and never
//! called unknown. Only the parser of the command that was typed is built: a start costs
//! microseconds, not the tables of sixty commands.

mod create;
mod doctor;
pub mod error;
mod facts;
mod foreground;
mod found;
mod help;
mod inspect;
mod keys;
mod kill;
mod known;
mod launch;
pub mod make;
mod parse;
mod ps;
mod refusal;
mod rm;
mod run;
pub mod signal;
mod sources;
mod start;
mod told;
mod verb;
mod version;
mod volume;

use std::ffi::OsString;
use std::io::Write;

pub use create::Create;
pub use doctor::Doctor;
pub use error::Refused;
pub use inspect::Inspect;
pub use kill::Kill;
pub use ps::Ps;
pub use rm::Rm;
pub use run::Run;
pub use start::Start;
pub use version::Version;

use parse::{Asked, parse};
use verb::{Arity, Verb};

/// What stands before the command.
#[derive(Debug, clap::Args)]
struct Global {
    /// Print version information and quit
    #[arg(short, long)]
    version: bool,
    #[arg(trailing_var_arg = true)]
    words: Vec<OsString>,
}

impl Verb for Global {
    const ABOUT: &'static str = "Containers without a daemon, made of system calls that you can watch";
    const USAGE: &'static str = "[OPTIONS] COMMAND [ARG...]";
    const NOT_YET: &'static str =
        "config= c,context= D,debug H,host= l,log-level= tls tlscacert= tlscert= tlskey= tlsverify";
    const ARITY: Arity = Arity::Any;

    fn words(&self) -> usize {
        self.words.len()
    }

    fn act(self, _: &str) -> anyhow::Result<u8> {
        if self.version {
            print(&format!("minidocker version {}\n", env!("CARGO_PKG_VERSION")))?;
            return Ok(0);
        }
        command(self.words)
    }
}

/// Runs the command in `argv` and returns its exit code.
///
/// # Errors
/// A text for the user, and with [`error::exit_code`] the code to end with.
pub fn main(argv: impl IntoIterator<Item = OsString>) -> anyhow::Result<u8> {
    let words: Vec<_> = argv.into_iter().skip(1).collect();
    match words.first() {
        // The usual case needs no parser for what stands before the command.
        Some(first) if !first.to_string_lossy().starts_with('-') => command(words),
        _ => match parse::<Global>("", words)? {
            Asked::Help(_) => show(&help::top()),
            Asked::Verb(global) => global.act(""),
        },
    }
}

fn command(mut words: Vec<OsString>) -> anyhow::Result<u8> {
    if words.is_empty() {
        return show(&help::top());
    }
    let first = words.remove(0).to_string_lossy().into_owned();
    if first == "help" {
        return help_on(words);
    }
    let Some(members) = known::group(&first) else { return one(&first, words) };
    let second = match words.first().map(|word| word.to_string_lossy().into_owned()) {
        None if first == "container" => return show(&help::container()),
        Some(flag) if first == "container" && ["--help", "-h"].contains(&flag.as_str()) => {
            return show(&help::container());
        }
        None => return Err(Refused::not_yet(&first).into()),
        Some(second) => second,
    };
    let path = format!("{first} {second}");
    match members.split(' ').any(|member| member == second) {
        true => one(&path, words.split_off(1)),
        false if second.starts_with('-') => Err(refusal::unknown_flag(&second, &first, "").into()),
        false => Err(refusal::unknown_command(&path, &first).into()),
    }
}

/// `minidocker help run`.
fn help_on(words: Vec<OsString>) -> anyhow::Result<u8> {
    if words.is_empty() {
        return show(&help::top());
    }
    command(words.into_iter().chain([OsString::from("--help")]).collect())
}

/// One command, by the name under which it was typed.
fn one(path: &str, words: Vec<OsString>) -> anyhow::Result<u8> {
    match path {
        "run" | "container run" => go::<Run>(path, words),
        "ps" | "container ls" | "container list" | "container ps" => go::<Ps>(path, words),
        "create" | "container create" => go::<Create>(path, words),
        "start" | "container start" => go::<Start>(path, words),
        "inspect" | "container inspect" => go::<Inspect>(path, words),
        "kill" | "container kill" => go::<Kill>(path, words),
        "rm" | "container rm" | "container remove" => go::<Rm>(path, words),
        "version" => go::<Version>(path, words),
        "doctor" => go::<Doctor>(path, words),
        path if path.contains(' ') || known::command(path) => Err(Refused::not_yet(path).into()),
        path => Err(refusal::unknown_command(path, "").into()),
    }
}

fn go<V: Verb>(path: &str, words: Vec<OsString>) -> anyhow::Result<u8> {
    match parse::<V>(path, words)? {
        Asked::Help(text) => show(&text),
        Asked::Verb(verb) => verb.act(path),
    }
}

fn show(text: &str) -> anyhow::Result<u8> {
    print(text)?;
    Ok(0)
}

/// Writes to standard output. A reader that went away (`| head -1`) is no error.
///
/// # Errors
/// Standard output can't be written, such as on a full disk.
pub fn print(text: &str) -> Result<(), error::Unwritable> {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        // Not by std's stdout, which takes EBADF for success: an id that nobody got would pass for told. One
        // that was closed is /dev/null by now: std opens that before main.
        match rustix::io::retry_on_intr(|| rustix::io::write(rustix::stdio::stdout(), rest)) {
            Ok(written) => rest = &rest[written..],
            Err(rustix::io::Errno::PIPE) => break,
            Err(e) => return Err(sys::SysError::of("write", format!("1, \"…\", {}", rest.len()), e).into()),
        }
    }
    Ok(())
}

/// Writes to standard error. One that can't be written (EPIPE, ENOSPC) changes nothing: nobody is
/// left to be told, and the exit code says the rest.
pub fn tell(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests;
