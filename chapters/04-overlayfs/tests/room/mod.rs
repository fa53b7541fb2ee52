//! A directory with all that an overlay needs, and a throw-away namespace to mount it in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use kit::As;
use tempfile::TempDir;

/// A directory with `b`, `a` (lowers), `u`, `w`, `m`, owned by who mounts.
pub(crate) struct Room {
    pub(crate) dir: TempDir,
    pub(crate) who: As,
}

/// Places that may hold an upperdir: inside Docker, /tmp is itself an overlay.
fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let fit = |p: &Path| rustix::fs::statfs(p).is_ok_and(|s| s.f_type as u32 != 0x794c_7630);
        let places = ["/var/tmp", "/tmp", "/dev/shm"].map(PathBuf::from);
        places.iter().find(|p| fit(p)).unwrap_or(&places[0]).clone()
    })
}

impl Room {
    pub(crate) fn new(who: As) -> Self {
        Self::named(who, "overlay")
    }

    pub(crate) fn named(who: As, name: &str) -> Self {
        let dir = tempfile::Builder::new().prefix(name).tempdir_in(base()).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for sub in ["a", "b", "u", "w", "m"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        let room = Self { dir, who };
        room.put("a/both", "a");
        room.put("b/both", "b");
        room.put("a/gone", "x");
        room.put("a/dir/file", "x");
        room.put("a/new", "x");
        As::copy_example("ch04-overlayfs", "overlay", &room.program());
        room.own();
        room
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.at("program")
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    pub(crate) fn own(&self) {
        if self.who == As::Rootless && As::host_root() {
            let done = Command::new("chown").args(["-R", "65534:65534"]).arg(self.dir.path()).status();
            assert!(done.unwrap().success());
        }
    }

    /// Runs the example in a new mount namespace.
    pub(crate) fn run(&self, words: &[&str]) -> (i32, String) {
        let mut command = self.who.command(&self.program());
        command.args((self.who == As::Rootless).then_some("--userxattr")).args(words);
        let out = command.stderr(Stdio::inherit()).output().unwrap();
        (out.status.code().unwrap(), String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
    }

    /// Mounts b over a, and runs a shell script inside.
    pub(crate) fn sh(&self, flags: &[&str], script: &str) -> (i32, String) {
        let path = |p: &str| self.at(p).to_str().unwrap().to_owned();
        let (m, u, w, b, a) = (path("m"), path("u"), path("w"), path("b"), path("a"));
        let words = [m.as_str(), &u, &w, &b, &a, "--", "sh", "-ec", script];
        self.run(&flags.iter().copied().chain(words).collect::<Vec<_>>())
    }
}

impl Drop for Room {
    /// `work/work` has mode 0 and a foreign owner: root may, a plain user only inside the map.
    fn drop(&mut self) {
        if !As::host_root() {
            let words = ["--user", "--map-root-user", "chmod", "-R", "u+rwx"];
            let _ = Command::new("unshare").args(words).arg(self.dir.path()).status();
        }
    }
}
