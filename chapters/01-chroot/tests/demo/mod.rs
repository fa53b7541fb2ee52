//! The demo binary, started by root and by a plain user.
#![allow(dead_code, clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Nobody: no subordinate ids, no home.
const PLAIN: u32 = 65534;

/// A directory that every user may read, with the binaries and a root file system in it.
pub(crate) struct Room {
    dir: tempfile::TempDir,
    uid: u32,
}

/// Who runs a test: the user that runs the tests, and a plain one where that is root.
pub(crate) fn users() -> Vec<u32> {
    let me = nix::unistd::geteuid().as_raw();
    if me == 0 { vec![0, PLAIN] } else { vec![me] }
}

/// Whether this machine lets a user make a user namespace.
pub(crate) fn userns_allowed() -> bool {
    let tried = Command::new("unshare").args(["-Um", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

impl Room {
    pub(crate) fn new(uid: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        // The target directory may lie in a home that others can't enter.
        copy(Path::new(env!("CARGO_BIN_EXE_ch01-chroot")), &dir.path().join("ch01-chroot"));
        let room = Self { dir, uid };
        std::fs::create_dir(room.rootfs()).unwrap();
        room
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// Puts programs of this host into the root file system.
    pub(crate) fn with(self, programs: &[&str]) -> Self {
        let dirs = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"].map(Path::new);
        let found: Vec<PathBuf> = programs
            .iter()
            .map(|name| dirs.iter().map(|dir| dir.join(name)).find(|path| path.exists()).unwrap())
            .collect();
        let report = chroot::assemble(Path::new("/"), &found, &self.rootfs(), u64::MAX).unwrap();
        assert!(report.refused.is_empty(), "{:?}", report.refused);
        self.own(&self.rootfs());
        self
    }

    /// Gives a tree to the user.
    pub(crate) fn own(&self, path: &Path) {
        std::os::unix::fs::lchown(path, Some(self.uid), Some(self.uid)).unwrap();
        if path.is_dir() && !path.is_symlink() {
            std::fs::read_dir(path).unwrap().for_each(|entry| self.own(&entry.unwrap().path()));
        }
    }

    /// An example of this package, where the user can start it.
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        let tests = std::env::current_exe().unwrap();
        let built = tests.parent().unwrap().parent().unwrap().join("examples").join(name);
        if !built.exists() {
            // `cargo test` builds examples, `cargo test --test rooms` doesn't.
            let args = ["build", "-q", "-p", "ch01-chroot", "--example", name];
            assert!(Command::new(env!("CARGO")).args(args).status().unwrap().success());
        }
        let there = self.path().join(name);
        copy(&built, &there);
        there
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.start("ch01-chroot", args)
    }

    /// Starts the demo in our root file system.
    pub(crate) fn run_in_rootfs(&self, args: &[&str]) -> Output {
        let rootfs = self.rootfs();
        let mut all = vec!["--rootfs", rootfs.to_str().unwrap()];
        all.extend(args);
        self.run(&all)
    }

    pub(crate) fn start(&self, program: &str, args: &[&str]) -> Output {
        self.start_with(program, args, &[])
    }

    pub(crate) fn start_with(&self, program: &str, args: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = Command::new(self.path().join(program));
        command.args(args).stdin(Stdio::null()).current_dir("/").env("TMPDIR", "/tmp").envs(env.to_vec());
        if self.uid != nix::unistd::geteuid().as_raw() {
            command.uid(self.uid).gid(self.uid);
        }
        command.output().unwrap()
    }
}

/// By cp(1): a descriptor of ours that is open for writing would go into what another thread starts
/// at that moment, and execve(2) would answer ETXTBSY.
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
}

/// Standard output, after a check that all went well.
#[track_caller]
pub(crate) fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The exit code and standard error.
pub(crate) fn failure(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}
