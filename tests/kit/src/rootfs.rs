//! Root file systems for `--rootfs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::{Who, place};

/// A Debian tree made by mmdebstrap, once, and kept for later test runs. Nobody may write to it.
///
/// # Errors
/// Why there is none: mmdebstrap is missing, or could not reach Debian.
pub fn debian() -> Result<PathBuf, String> {
    static TREE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    TREE.get_or_init(|| {
        // A plain user takes the tree that root made in the run before.
        let roots =
            [Path::new("/var/tmp"), Path::new("/tmp")].map(|p| p.join("minidocker-tests-0/cache/debian"));
        let found = roots.into_iter().find(|t| t.join("usr/bin/apt-get").is_file());
        found.map_or_else(|| place::cached("debian", make_debian), Ok)
    })
    .clone()
}

fn make_debian(fresh: &Path) -> Result<(), String> {
    let mut command = Command::new("mmdebstrap");
    command.args(["--variant=apt", "--include=perl", "--quiet"]);
    if place::my_uid() == 0 {
        command.args(["--mode=root", "bookworm"]).arg(fresh);
        return ran(&mut command);
    }
    // A plain user can't own Debian's files; a tree of its own without devices is as good here.
    let tar = fresh.with_extension("tar");
    command.args(["--mode=unshare", "bookworm"]).arg(&tar);
    ran(&mut command)?;
    place::make_dir(fresh, 0o755);
    let mut unpack = Command::new("tar");
    unpack.args(["--no-same-owner", "--exclude=./dev/*", "-xf"]).arg(&tar).arg("-C").arg(fresh);
    ran(&mut unpack)?;
    fs::remove_file(&tar).map_err(|e| e.to_string())
}

fn ran(command: &mut Command) -> Result<(), String> {
    let out = command.stdin(Stdio::null()).output().map_err(|e| format!("{command:?}: {e}"))?;
    let last = || String::from_utf8_lossy(&out.stderr).lines().last().unwrap_or_default().to_owned();
    out.status.success().then_some(()).ok_or_else(|| format!("{command:?}: {}", last()))
}

/// A root file system of a few programs of the host and their libraries, in `dir`: sh, cat, ls, id,
/// stat, true. Small enough to spoil on purpose, and owned by `who`.
pub fn small_rootfs(dir: &Path, who: Who) {
    for path in ["bin", "etc", "dev", "proc", "sys", "tmp", "root"] {
        fs::create_dir_all(dir.join(path)).expect("mkdir");
    }
    fs::write(dir.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("write passwd");
    fs::write(dir.join("etc/group"), "root:x:0:\n").expect("write group");
    ["sh", "cat", "ls", "id", "stat", "true"].iter().for_each(|p| add_program(dir, p));
    give(dir, who);
}

/// Gives a tree and all in it to a user.
pub fn give(dir: &Path, who: Who) {
    who.own(dir);
    for path in place::entries(dir) {
        if path.is_dir() && !path.is_symlink() { give(&path, who) } else { who.own(&path) }
    }
}

/// Copies a program of the host to `dir`/bin, and its libraries to where it looks for them.
pub fn add_program(dir: &Path, name: &str) {
    let places = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"].map(|p| Path::new(p).join(name));
    let program = places.iter().find(|p| p.is_file()).unwrap_or_else(|| panic!("no {name} on this host"));
    let listed = Command::new("ldd").arg(program).stdin(Stdio::null()).output().expect("start ldd");
    for word in String::from_utf8_lossy(&listed.stdout).split_whitespace().filter(|w| w.starts_with('/')) {
        let target = dir.join(&word[1..]);
        fs::create_dir_all(target.parent().unwrap()).expect("mkdir");
        fs::copy(word, &target).unwrap_or_else(|e| panic!("copy {word}: {e}"));
    }
    fs::copy(program, dir.join("bin").join(name)).unwrap_or_else(|e| panic!("copy {name}: {e}"));
}
