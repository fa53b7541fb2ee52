//! The demo binary, started by root, by a user with subordinate ids and by one with a single id.
#![allow(dead_code, clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

pub(crate) const DEMO: &str = "ch02-namespaces";
pub(crate) const WHY: &str = "user namespaces are forbidden here";

/// Who starts the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The user that runs the tests.
    Me,
    /// A user with a line in /etc/subuid.
    Plain,
    /// A user without.
    Single,
}

/// Not given away by systemd (its UIDS-GIDS.md), and not those that the kit uses.
const PLAIN: u32 = 60_810;
const SINGLE: u32 = 60_811;
/// The first subordinate id of the plain user.
pub(crate) const FIRST: u32 = 1_910_000_000;

/// Covers the tables of users in a mount namespace of the command, so that nothing is written
/// to the host's. `$1` is their directory, `$2` the uid; `$COVER` is run before the change of user, and
/// `$FILTER`, a word a line, starts what changes the user.
const COVER: &str = r#"
for f in passwd group subuid subgid; do mount --bind "$1/$f" "/etc/$f" || exit 99; done
eval "$COVER" || exit 98
uid=$2; shift 2
IFS='
'
exec $FILTER setpriv --reuid="$uid" --regid="$uid" --clear-groups -- "$@""#;

/// Root can play them all; a plain user is all the users there are.
pub(crate) fn everybody() -> Vec<Who> {
    if me() == 0 { vec![Who::Me, Who::Plain, Who::Single] } else { vec![Who::Me] }
}

pub(crate) fn me() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Whether this machine lets a user make a user namespace.
pub(crate) fn userns_allowed() -> bool {
    let tried = Command::new("unshare").args(["-Um", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

impl Who {
    pub(crate) fn uid(self) -> u32 {
        match self {
            Self::Me => me(),
            Self::Plain => PLAIN,
            Self::Single => SINGLE,
        }
    }

    fn prefix(self, etc: &Path) -> Vec<String> {
        if self == Self::Me {
            return Vec::new();
        }
        let words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", COVER, "sh"];
        let more = [etc.display().to_string(), self.uid().to_string()];
        words.into_iter().map(str::to_owned).chain(more).collect()
    }
}

/// A directory that every user may read: the binaries, a root file system, tables of users.
pub(crate) struct Room {
    dir: tempfile::TempDir,
    pub(crate) who: Who,
}

impl Room {
    /// A room whose root file system holds these programs of the host, by name or path.
    pub(crate) fn new(who: Who, programs: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let room = Self { dir, who };
        fs::create_dir(room.path().join("tmp")).unwrap();
        room.own(&room.path().join("tmp"));
        copy(Path::new(env!("CARGO_BIN_EXE_ch02-namespaces")), &room.path().join(DEMO));
        room.tables();
        let dirs = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"].map(Path::new);
        let find = |name: &&str| match Path::new(name) {
            path if path.is_absolute() => path.to_owned(),
            name => dirs.iter().map(|dir| dir.join(name)).find(|path| path.exists()).unwrap(),
        };
        let found: Vec<PathBuf> = programs.iter().map(find).collect();
        fs::create_dir_all(room.rootfs().join("tmp")).unwrap();
        let report = chroot::assemble(Path::new("/"), &found, &room.rootfs(), u64::MAX).unwrap();
        assert!(report.refused.is_empty(), "{:?}", report.refused);
        room.own(&room.rootfs());
        room
    }

    fn tables(&self) {
        let user = |name, id: u32| format!("{name}:x:{id}:{id}::/nonexistent:/bin/sh\n");
        let range = format!("testplain:{FIRST}:65536\n");
        let root = "root:x:0:0:root:/root:/bin/sh\n".to_owned();
        let users = root + &user("testplain", PLAIN) + &user("testsingle", SINGLE);
        let group = |name, id: u32| format!("{name}:x:{id}:\n");
        let groups = group("root", 0) + &group("testplain", PLAIN) + &group("testsingle", SINGLE);
        for (name, text) in [("passwd", &users), ("group", &groups), ("subuid", &range), ("subgid", &range)] {
            fs::write(self.path().join(name), text).unwrap();
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// Gives a tree to the user.
    fn own(&self, path: &Path) {
        lchown(path, Some(self.who.uid()), Some(self.who.uid())).unwrap();
        if path.is_dir() && !path.is_symlink() {
            fs::read_dir(path).unwrap().for_each(|entry| self.own(&entry.unwrap().path()));
        }
    }

    /// Puts an example of this package beside the demo.
    pub(crate) fn with_example(self, name: &str) -> Self {
        let tests = std::env::current_exe().unwrap();
        let built = tests.parent().unwrap().parent().unwrap().join("examples").join(name);
        if !built.exists() {
            // `cargo test` builds examples, `cargo test --test gallery` doesn't.
            let args = ["build", "-q", "-p", DEMO, "--example", name];
            assert!(Command::new(env!("CARGO")).args(args).status().unwrap().success());
        }
        copy(&built, &self.path().join(name));
        self
    }

    /// A program of this room, as its user.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        self.command_under(&[], program, args)
    }

    /// As [`Room::command`], with words before the program's name, such as `setpriv` and its options.
    pub(crate) fn command_under(&self, before: &[&str], program: &str, args: &[&str]) -> Command {
        let mut words = self.who.prefix(self.path());
        words.extend(before.iter().map(|word| (*word).to_owned()));
        words.push(self.path().join(program).display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(args).stdin(Stdio::null()).current_dir("/");
        // The demo, killed, leaves its directory for a root there: it goes with the room.
        command.env("TMPDIR", self.path().join("tmp")).env("COVER", "true").env("LC_ALL", "C");
        command
    }

    /// The demo on our root file system.
    pub(crate) fn demo(&self, args: &[&str]) -> Command {
        let rootfs = self.rootfs();
        let all: Vec<&str> =
            ["--rootfs", rootfs.to_str().unwrap()].into_iter().chain(args.to_owned()).collect();
        self.command(DEMO, &all)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.demo(args).output().unwrap()
    }

    pub(crate) fn sh(&self, script: &str) -> String {
        out(&self.run(&["sh", "-c", script]))
    }

    /// Starts a script that says `ready` when it may be disturbed.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let mut child = self.demo(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Running { child, stdout }
    }

    /// The processes, of whatever namespace, that have this room in their arguments, oldest first.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mark = self.path().display().to_string();
        let pids = fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
        let named = |pid: &i32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).contains(&mark)
        };
        let mut found: Vec<i32> = pids.filter(named).collect();
        found.sort_unstable();
        found
    }
}

/// A demo that runs.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stdout: BufReader<std::process::ChildStdout>,
}

impl Running {
    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// The process that is number 1 inside, as we number it.
    pub(crate) fn init(&self) -> i32 {
        let me = self.child.id();
        let children = fs::read_to_string(format!("/proc/{me}/task/{me}/children")).unwrap();
        children.trim().parse().unwrap()
    }

    /// The rest of its output, and its exit code.
    pub(crate) fn end(mut self) -> (String, Option<i32>) {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.stdout, &mut rest).unwrap();
        (rest, self.child.wait().unwrap().code())
    }
}

/// By cp(1): a descriptor of ours that is open for writing would go into what another thread starts
/// at that moment, and execve(2) would answer ETXTBSY.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
}

/// Asks again until it is so. Bounded, so that a failure ends.
#[track_caller]
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("never: {what}");
}

/// Standard output, after a check that all went well.
#[track_caller]
pub(crate) fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
