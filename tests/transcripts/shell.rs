//! A shell into which a page is typed, line by line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kit::{Minidocker, Running};

use crate::console::typed;

/// Ends what a command has printed. No program prints it (ASCII's record separator).
const MARK: &str = "\u{1e}";
/// What the demo says to whoever has no subordinate ids. The pages are written for those who have.
const SINGLE_ID: &str = "ch02-namespaces: only one id is mapped: ";
/// For all commands of a page together.
const LIMIT: Duration = Duration::from_secs(300);

/// One shell, its user and its directory.
pub(crate) struct Shell<'a> {
    md: &'a Minidocker,
    dir: PathBuf,
    path: String,
    running: Running,
}

impl<'a> Shell<'a> {
    /// Starts it in `dir`, with `bin` before the usual PATH.
    pub(crate) fn start(md: &'a Minidocker, dir: &Path, bin: &Path) -> Self {
        let path = format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
        let call = md.call([""; 0]).through("exec sh").env("PATH", &path).env("LC_ALL", "C.UTF-8");
        let running = call.env("PS1", "").cwd(dir).limit(LIMIT).stdin_open().spawn();
        Self { md, dir: dir.to_owned(), path, running }
    }

    /// What `command` prints, standard error in its place.
    pub(crate) fn line(&mut self, command: &str) -> Vec<String> {
        // In the shell itself, for `cd` and variables, but it can't read what is typed next.
        let typed = format!("{{ {command}\n}} </dev/null 2>&1; printf '\\n\\036'\n");
        self.running.send(typed.as_bytes());
        let text = self.running.expect(MARK);
        lines(text.trim_end_matches(MARK))
    }

    /// What appears on a terminal where `command` runs and the typed parts of `shown` are typed.
    pub(crate) fn on_terminal(&self, command: &str, shown: &[String]) -> Vec<String> {
        let call = self.md.call([""; 0]).through(command).env("PATH", &self.path).env("LC_ALL", "C.UTF-8");
        let mut running = call.cwd(&self.dir).limit(LIMIT).on_terminal(24, 80);
        for (prompt, words) in shown.iter().filter_map(|line| typed(line)) {
            running.expect(prompt);
            running.send(format!("{words}\n").as_bytes());
        }
        lines(&running.finish().out())
    }
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.trim_end_matches(['\n', '\r']).lines();
    lines.filter(|line| !line.starts_with(SINGLE_ID)).map(|line| line.trim_end().to_owned()).collect()
}
