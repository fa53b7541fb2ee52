//! A command about to be run: its input, its environment, its descriptors.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Minidocker, Output, Running};

/// Where a command's standard input comes from.
pub(crate) enum Input {
    Null,
    Bytes(Vec<u8>),
    Open,
}

/// A command about to be run.
pub struct Call<'a> {
    md: &'a Minidocker,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    input: Input,
    script: Option<String>,
    cwd: Option<PathBuf>,
    as_root: Vec<String>,
    limit: Duration,
}

impl<'a> Call<'a> {
    pub(crate) fn new(md: &'a Minidocker, args: Vec<OsString>, env: BTreeMap<OsString, OsString>) -> Self {
        let as_root = Vec::new();
        Self { md, args, env, input: Input::Null, script: None, cwd: None, as_root, limit: limit() }
    }

    /// Gives these bytes to its standard input, then the end of file. Without this it is /dev/null.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Leaves its standard input open, for [`Running::send`].
    #[must_use]
    pub fn stdin_open(mut self) -> Self {
        self.input = Input::Open;
        self
    }

    /// Runs `sh -c script`, where `"$@"` stands for the command.
    #[must_use]
    pub fn through(mut self, script: &str) -> Self {
        self.script = Some(script.to_owned());
        self
    }

    /// Runs it on a kernel without some calls, see [`crate::without`]: `&["clone3=ENOSYS"]`.
    #[must_use]
    pub fn without_calls(mut self, rules: &[&str]) -> Self {
        self.as_root.extend(crate::without(rules));
        self
    }

    /// Has it started by this program, which is run by the user of the tests before the user is changed.
    #[must_use]
    pub fn under(mut self, program: Vec<String>) -> Self {
        self.as_root.extend(program);
        self
    }

    /// Runs a shell script as root in a mount namespace of the command's own, before it changes the user:
    /// `$ROOT` is the store, `$OWNER` the user's id.
    #[must_use]
    pub fn in_world(mut self, script: &str) -> Self {
        let (root, owner) = (self.md.root().display().to_string(), self.md.who.uid().to_string());
        let script = format!("set -e\n{script}\nunset ROOT OWNER; exec \"$@\"");
        let words = ["env", &format!("ROOT={root}"), &format!("OWNER={owner}"), "unshare", "--mount"];
        let words = words.into_iter().chain(["--propagation", "private", "sh", "-c", &script, "sh"]);
        self.as_root.extend(words.map(str::to_owned));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.into(), value.as_ref().into());
        self
    }

    /// Takes a variable out of its environment.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.env.remove(OsStr::new(name));
        self
    }

    /// Gives it this long, in place of two minutes or `$MINIDOCKER_TEST_TIMEOUT` seconds.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts it in this directory.
    #[must_use]
    pub fn cwd(mut self, dir: &Path) -> Self {
        self.cwd = Some(dir.to_owned());
        self
    }

    /// Runs it to its end.
    #[must_use = "an output that nobody looks at tests nothing"]
    pub fn run(self) -> Output {
        self.spawn().finish()
    }

    /// Starts it.
    #[must_use]
    pub fn spawn(mut self) -> Running {
        let input = std::mem::replace(&mut self.input, Input::Null);
        Running::start(self.command(&[]), input, self.shown(), self.limit, Some(self.md.room.clone()))
    }

    /// Starts it on a new terminal of this size, which is its controlling terminal.
    #[must_use]
    pub fn on_terminal(self, rows: u16, columns: u16) -> Running {
        // setsid(1) execs in place, because a process that was just spawned leads no group.
        let command = self.command(&["setsid", "--ctty"]);
        let room = self.md.room.clone();
        crate::pty::start(command, rows, columns, self.md.who, self.shown(), self.limit, room)
    }

    fn command(&self, before: &[&str]) -> Command {
        let mut words: Vec<OsString> = before.iter().map(OsString::from).collect();
        words.extend(self.md.who.prefix(&self.as_root).into_iter().map(OsString::from));
        if let Some(script) = &self.script {
            words.extend(["sh".into(), "-c".into(), script.into(), "sh".into()]);
        }
        words.push(self.md.program.clone().into());
        words.extend(self.args.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().envs(&self.env).stdin(Stdio::null());
        command.current_dir(self.cwd.as_deref().unwrap_or(&self.md.room.path));
        command
    }

    fn shown(&self) -> String {
        let args: Vec<_> = self.args.iter().map(|a| a.to_string_lossy()).collect();
        let how: String = self.as_root.iter().map(|word| format!("{word} ")).collect();
        format!("{how}{} {} (as {:?})", self.md.program.display(), args.join(" "), self.md.who)
    }
}

/// How long a command may take before the test fails. `$MINIDOCKER_TEST_TIMEOUT`, in seconds.
fn limit() -> Duration {
    let told = std::env::var("MINIDOCKER_TEST_TIMEOUT").ok().and_then(|t| t.parse().ok());
    Duration::from_secs(told.unwrap_or(120))
}
