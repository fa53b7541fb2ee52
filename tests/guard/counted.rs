//! The binary once more, with an allocator that counts.
//!
//! Client and supervisor are both this program (the supervisor is started by /proc/self/exe). Each
//! writes `ROLE CALLS BYTES` into `$MINIDOCKER_ALLOCATIONS` when its work is done. It is an example so
//! that cargo builds it for the tests, and the engine need not know of it.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use minidocker::{cli, supervisor};

fn main() -> ExitCode {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let mut argv = std::env::args_os();
    let is_supervisor = argv.next().is_some_and(|name| name == supervisor::ARGV0);
    let mut code = ExitCode::FAILURE;
    let counted = allocation_counter::measure(|| {
        code = if is_supervisor {
            let args: Vec<String> = argv.filter_map(|word| word.into_string().ok()).collect();
            supervisor::main(&args)
        } else {
            cli::main(std::env::args_os()).map_or(ExitCode::from(125), ExitCode::from)
        };
    });
    let role = if is_supervisor { "supervisor" } else { "client" };
    let line = format!("{role} {} {}\n", counted.count_total, counted.bytes_total);
    let path = std::env::var_os("MINIDOCKER_ALLOCATIONS").unwrap_or_default();
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    match file.and_then(|mut file| file.write_all(line.as_bytes())) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}
