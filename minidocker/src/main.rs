//! `minidocker`: the thin binary. It parses, runs, prints, and owns the exit codes.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use minidocker::{cli, supervisor};

fn main() -> ExitCode {
    // What a container sees of our files must not depend on the shell's umask.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let mut argv = std::env::args_os();
    if argv.next().is_some_and(|name| name == supervisor::ARGV0) {
        let args: Vec<String> = argv.filter_map(|word| word.into_string().ok()).collect();
        return supervisor::main(&args);
    }
    match cli::main(std::env::args_os()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            cli::tell(&cli::error::render(&error));
            ExitCode::from(cli::error::exit_code(&error))
        }
    }
}
