//! The binary under test on a throw-away root.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::processes::Process;
use crate::room::Room;
use crate::{Call, Left, Output, Who};

/// The binary under test, its root, and the user who runs it.
///
/// Each has a root of its own, in which `hostbox` is ready: hard links to a store that is made
/// once for each build of the binary.
/// `MINIDOCKER_BIN=docker` puts Docker in its place, any other value another build of minidocker.
pub struct Minidocker {
    pub(crate) program: PathBuf,
    pub(crate) who: Who,
    env: BTreeMap<OsString, OsString>,
    pub(crate) room: Arc<Room>,
}

impl Minidocker {
    /// The binary at `program` with a root where `hostbox` is ready. Tests write [`crate::ours!`]
    /// or [`crate::common!`].
    #[must_use]
    pub fn new(program: &str, who: Who) -> Self {
        let md = Self::fresh(program, who);
        if !Self::is_docker() {
            crate::store::fill(&md.program, who, &md.root());
        }
        md
    }

    /// The same with an empty root, as on the first day.
    #[must_use]
    pub fn fresh(program: &str, who: Who) -> Self {
        let given = std::env::var_os("MINIDOCKER_BIN").map_or_else(|| program.into(), PathBuf::from);
        let program = if Self::is_docker() { in_path(given) } else { crate::place::readable_copy(&given) };
        let room = Arc::new(Room::new(who));
        let env = known_environment(&room.path, who);
        Self { program, who, env, room }
    }

    /// Whether Docker stands in the binary's place.
    #[must_use]
    pub fn is_docker() -> bool {
        std::env::var_os("MINIDOCKER_BIN")
            .is_some_and(|b| Path::new(&b).file_name() == Some(OsStr::new("docker")))
    }

    /// Sets a variable in the environment of every command.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.into(), value.as_ref().into());
        self
    }

    /// Runs a command to its end.
    #[must_use = "an output that nobody looks at tests nothing"]
    pub fn run<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Output {
        self.call(args).run()
    }

    /// Runs a command that is written as one line, see [`crate::words`].
    #[must_use = "an output that nobody looks at tests nothing"]
    pub fn line(&self, line: &str) -> Output {
        self.run(crate::words(line))
    }

    /// A command about to be run, to which more can be said.
    pub fn call<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Call<'_> {
        let args = args.into_iter().map(|a| a.as_ref().to_owned()).collect();
        Call::new(self, args, self.env.clone())
    }

    /// The throw-away directory, writable by the user who runs the binary.
    #[must_use]
    pub fn room(&self) -> &Path {
        &self.room.path
    }

    /// `$MINIDOCKER_ROOT`.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.room.root()
    }

    /// The binary under test.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The user.
    #[must_use]
    pub fn who(&self) -> Who {
        self.who
    }

    /// Makes an empty directory in the throw-away directory, owned by the user.
    #[must_use]
    pub fn dir(&self, name: &str) -> PathBuf {
        let dir = self.room.path.join(name);
        crate::place::make_dir(&dir, 0o755);
        self.who.own(&dir);
        dir
    }

    /// A name for a container that no other test has (Docker's daemon is shared).
    #[must_use]
    pub fn name(&self, stem: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("{stem}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The directories of the containers in this root.
    #[must_use]
    pub fn containers(&self) -> Vec<PathBuf> {
        let mut dirs = crate::place::entries(&self.root().join("containers"));
        dirs.sort();
        dirs
    }

    /// The processes of this root: clients, supervisors, payloads.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let mut marks = self.room.ids();
        marks.push(self.room.path.display().to_string());
        crate::processes::marked(&marks)
    }

    /// The supervisors of this root: their argv\[0\] is `minidocker-supervisor`. A child that one of
    /// them has for a moment (to sync its record) has the same and doesn't count, nor one that ends meanwhile.
    #[must_use]
    pub fn supervisors(&self) -> Vec<Process> {
        let named = |p: &Process| p.argv.first().is_some_and(|a| a.ends_with("minidocker-supervisor"));
        let all: Vec<Process> = self.processes().into_iter().filter(named).collect();
        let pids: Vec<_> = all.iter().map(|p| p.pid).collect();
        let a_child = |p: &Process| parent(p.pid).is_none_or(|parent| pids.contains(&parent));
        all.into_iter().filter(|p| !a_child(p)).collect()
    }

    /// Fails the test unless the host shows nothing of this root any more, and its store no
    /// container and no name.
    #[track_caller]
    pub fn nothing_left(&self) {
        if !Self::is_docker() {
            let left = Left::at_last(&self.room, true);
            assert!(left.is_empty(), "left behind:\n{left}");
        }
    }
}

impl Minidocker {
    /// What the host shows of this root, once nothing goes away any more; no container runs in it.
    #[must_use]
    pub fn left(&self) -> Left {
        Left::at_last(&self.room, true)
    }
}

impl Drop for Minidocker {
    fn drop(&mut self) {
        if std::thread::panicking() || Self::is_docker() {
            return;
        }
        for dir in self.containers() {
            let _ = self.run([OsStr::new("rm"), OsStr::new("-f"), dir.file_name().unwrap_or_default()]);
        }
        let left = Left::at_last(&self.room, false);
        assert!(left.is_empty(), "left behind after rm -f:\n{left}");
    }
}

/// Where our own PATH has it: the command's PATH is another one.
fn in_path(program: PathBuf) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(&program)).find(|p| p.is_file());
    found.unwrap_or(program)
}

fn known_environment(room: &Path, who: Who) -> BTreeMap<OsString, OsString> {
    let own = |dir: &str| room.join(dir).into_os_string();
    let user = match who {
        Who::Me => std::env::var("USER").unwrap_or_else(|_| "root".to_owned()),
        Who::Plain => "mdplain".to_owned(),
        Who::Single => "mdsingle".to_owned(),
    };
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut env: BTreeMap<OsString, OsString> =
        [("PATH", path), ("LANG", "C.UTF-8"), ("TERM", "xterm"), ("USER", &user), ("LOGNAME", &user)]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
    for (name, dir) in
        [("HOME", "home"), ("TMPDIR", "tmp"), ("XDG_RUNTIME_DIR", "run"), ("MINIDOCKER_ROOT", "root")]
    {
        env.insert(name.into(), own(dir));
    }
    let kept = ["DOCKER_HOST", "LLVM_PROFILE_FILE"];
    env.extend(kept.iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?))));
    env
}

/// Field 4 of /proc/pid/stat (proc(5)); the name before it may hold blanks and parentheses.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
