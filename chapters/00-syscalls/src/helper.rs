//! A program that does for us what only a privileged program may.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::SysError;
use crate::call::{Shown, call, quoted};

impl Shown for Child {
    fn shown(&self) -> String {
        format!("0 (pid {})", self.id())
    }
}

/// Starts a helper beside us, with nothing on stdin, and its stderr kept for our error message.
/// It speaks English (`LC_ALL=C`), and no signal is blocked or ignored in it.
///
/// # Errors
/// `ENOENT`, `EACCES`, `EAGAIN`. Source: execve(2), in a child.
pub fn start_helper(program: &Path, args: &[String]) -> Result<Child, SysError> {
    let name = program.display().to_string();
    let shown = || {
        let argv: Vec<String> = std::iter::once(&name).chain(args).map(|a| quoted(a.as_bytes())).collect();
        format!("{}, [{}]", quoted(name.as_bytes()), argv.join(", "))
    };
    call("execve", shown, || {
        Command::new(program)
            .args(args)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
    })
}
