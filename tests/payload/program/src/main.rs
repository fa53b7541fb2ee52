//! One program of several small ones, as busybox(1) is: the name by which it is called says which, else
//! its first argument. `minidocker` and the demos of the chapters carry it into root file systems.

mod holes;
mod id;
mod ip;
mod mount;
mod netlink;
mod ps;
mod users;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

/// An applet: its name, its work, its exit code after an error. A new one is a line here.
struct Applet(&'static str, fn(&[String]) -> Result<u8>, u8);

const APPLETS: [Applet; 5] = [
    Applet("holes", holes::main, 2),
    Applet("id", id::main, 1),
    Applet("ip", ip::main, 1),
    // mount(8), "EXIT STATUS": 32, the mount failed.
    Applet("mount", mount::main, 32),
    Applet("ps", ps::main, 1),
];

fn main() -> ExitCode {
    // Rust's runtime ignores SIGPIPE; `ps | head` expects the default.
    let _ = sys::default_signals();
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let called = |word: &String| {
        let name = Path::new(word).file_name()?.to_str()?;
        APPLETS.iter().find(|applet| applet.0 == name)
    };
    for (at, word) in words.iter().enumerate().take(2) {
        if let Some(applet) = called(word) {
            return run(applet, &words[at + 1..]);
        }
    }
    let names = APPLETS.map(|applet| applet.0).join(", ");
    eprintln!("call one of these programs, by its name or as first argument: {names}");
    ExitCode::from(2)
}

fn run(applet: &Applet, arguments: &[String]) -> ExitCode {
    applet.1(arguments).map_or_else(
        |error| {
            eprintln!("{}: {error:#}", applet.0);
            let call = error.root_cause().downcast_ref::<sys::SysError>();
            if let Some(hint) = call.and_then(sys::SysError::hint) {
                eprintln!("  because: {}\n  do: {}", hint.because, hint.remedy);
            }
            ExitCode::from(applet.2)
        },
        ExitCode::from,
    )
}

/// Writes all of `text` to standard output.
fn print(text: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
