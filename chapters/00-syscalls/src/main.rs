//! Runs one program in a child process, and shows the system calls that this takes.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use nix::unistd::AccessFlags;

/// Runs a program in a child process.
#[derive(Parser)]
struct Args {
    /// Show our system calls on standard error, as strace(1) does.
    #[arg(long)]
    trace: bool,
    /// The program, and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.trace {
        sys::set_sink(Some(Box::new(|e| {
            // One write a line, for there are two processes.
            let line = format!("{}({}) = {}\n", e.call, e.args, e.result);
            eprint!("{line}");
        })));
    }
    run(&args).map_or_else(failed, ExitCode::from)
}

/// Docker's 125: it was us who failed, not the program.
fn failed(e: anyhow::Error) -> ExitCode {
    eprintln!("{}: {e:#}", env!("CARGO_BIN_NAME"));
    if let Some(hint) = e.root_cause().downcast_ref::<sys::SysError>().and_then(sys::SysError::hint) {
        eprintln!("  because: {}\n  do: {}", hint.because, hint.remedy);
    }
    ExitCode::from(125)
}

fn run(args: &Args) -> Result<u8> {
    match sys::clone3(&sys::CloneArgs::default())? {
        sys::Cloned::Child => {
            let code = enter(args).and_then(|()| exec(&args.program));
            sys::exit_now(code.unwrap_or_else(|e| {
                failed(e);
                125
            }))
        }
        sys::Cloned::Parent { pid, .. } => {
            // Ctrl-C is for the program, as system(3) does it.
            sys::ignore_signal(sys::Signal::SIGINT)?;
            sys::ignore_signal(sys::Signal::SIGQUIT)?;
            let code = sys::waitpid(pid)?.code();
            Ok(code.and_then(|c| u8::try_from(c).ok()).unwrap_or(125))
        }
    }
}

/// What the child does before it becomes the program.
fn enter(_args: &Args) -> Result<()> {
    sys::borrowed_room()?;
    Ok(())
}

/// Comes back only with the exit code of a failure: 127 not found, 126 found but not to be run.
fn exec(program: &[OsString]) -> Result<i32> {
    let Some(path) = find(&program[0]) else {
        failed(anyhow::anyhow!("{}: not found in PATH", program[0].display()));
        return Ok(127);
    };
    let text = |s: OsString| CString::new(s.into_vec()).context("a zero byte");
    let argv = program.iter().cloned().map(text).collect::<Result<Vec<_>>>()?;
    let env = std::env::vars_os().map(|(k, v)| text([k, v].join(OsStr::new("="))));
    let e = sys::execve(&text(path.into())?, &argv, &env.collect::<Result<Vec<_>>>()?);
    let code = if e.errno() == sys::Errno::ENOENT { 127 } else { 126 };
    failed(e.into());
    Ok(code)
}

/// Looks a name up in PATH as execvp(3) does, so that a file without the x bit is the last choice.
fn find(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(name.into());
    }
    let path = std::env::var_os("PATH").unwrap_or("/usr/bin:/bin".into());
    let found: Vec<_> = std::env::split_paths(&path).map(|d| d.join(name)).filter(|p| p.is_file()).collect();
    let runs = found.iter().find(|p| nix::unistd::access(p.as_path(), AccessFlags::X_OK).is_ok());
    runs.or(found.first()).cloned()
}
