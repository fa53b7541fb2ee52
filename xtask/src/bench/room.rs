//! A room for measuring: namespaces of its own, whose end takes all processes and mounts of the
//! peers with it, and a fresh file system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use tempfile::TempDir;

use crate::workspace;

/// Set inside of the room.
const INSIDE: &str = "MINIDOCKER_BENCH_ROOM";

/// Where the stores lie. An ext4 without a journal has slow mkdirs after large deletions, so the
/// host's own file system is no place to measure.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Store {
    Tmpfs,
    Ext4,
}

/// The fresh file system, mounted on a folder of its own.
pub(super) struct Room {
    folder: TempDir,
    mounted: bool,
}

/// Starts this very command again in a room, if we are root and not yet in one. A plain user has
/// no room: nothing of it outlives its commands.
pub(super) fn enter() -> Result<()> {
    if !workspace::is_root()? || is_inside() {
        return Ok(());
    }
    let error = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--net", "--pid", "--fork", "--mount-proc"])
        .args(["--kill-child", "--"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(error).context("start unshare")
}

/// Whether this process is in a room.
pub(super) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// A name that no other bench has, for what its programs make outside of the room: cgroups.
pub(super) fn tag(room: &Path) -> String {
    room.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Room {
    /// Makes the file system. Inside, /run and /dev/shm are empty: no daemon of the host is found.
    pub(super) fn make(store: Store) -> Result<Self> {
        let mounted = workspace::is_root()?;
        let place = if mounted { "/var/tmp" } else { "/dev/shm" };
        let folder = tempfile::Builder::new().prefix("minidocker-bench-").tempdir_in(place)?;
        if mounted {
            mount(store, folder.path())?;
            // podman keeps its locks in /dev/shm.
            for own in ["/run", "/dev/shm"] {
                workspace::run(Command::new("mount").args(["-t", "tmpfs", "bench", own]))?;
            }
            workspace::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        }
        fs::create_dir(folder.path().join("bin"))?;
        Ok(Self { folder, mounted })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Copies a program to where every user may run it.
    pub(super) fn take(&self, program: &Path, name: &str) -> Result<PathBuf> {
        let copy = self.path().join("bin").join(name);
        fs::copy(program, &copy).with_context(|| format!("copy {}", program.display()))?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        Ok(copy)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
        }
    }
}

fn mount(store: Store, at: &Path) -> Result<()> {
    let mut mount = Command::new("mount");
    match store {
        Store::Tmpfs => mount.args(["-t", "tmpfs", "-o", "size=4g", "bench"]),
        Store::Ext4 => {
            // Sparse, and without a name once it is mounted: the end of the mount frees it.
            let image = at.with_extension("ext4");
            let file = fs::File::create(&image)?;
            file.set_len(4 << 30)?;
            let made = workspace::run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
            let mounted = made.and_then(|()| {
                workspace::run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(at))
            });
            fs::remove_file(&image)?;
            return mounted;
        }
    };
    workspace::run(mount.arg(at))
}
