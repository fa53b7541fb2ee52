//! Docker and podman on private sockets and private stores. They end with the room.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::peers::program;
use super::stats::Peer;
use crate::workspace;

/// The daemon is ready within this time, or never.
const PATIENCE: Duration = Duration::from_secs(60);

/// The cgroup below which both make those of their containers; removed with it.
pub(super) struct Cgroup(String);

impl Cgroup {
    /// Named after the room: within it, each bench has the same pids.
    pub(super) fn of(room: &Path) -> Self {
        Self(super::room::tag(room))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        for hierarchy in hierarchies.chain([root.to_owned()]) {
            // A cgroup whose processes are dying is busy for a moment.
            let cgroup = hierarchy.join(&self.0);
            for _ in 0..100 {
                remove_groups(&cgroup);
                if !cgroup.exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Children first; their files go with them.
fn remove_groups(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(cgroup);
}

/// A docker daemon.
pub(super) struct Docker {
    daemon: Child,
    command: Vec<OsString>,
    version: String,
}

impl Docker {
    /// Starts dockerd and gives it the layer as image `hostbox`.
    pub(super) fn start(folder: &Path, layer: &Path, cgroup: &Cgroup) -> Result<Self> {
        // Debian's, where another one stands before it in PATH.
        let (dockerd, version) = program(&["/usr/sbin/dockerd", "dockerd"])?;
        let (docker, _) = program(&["/usr/bin/docker", "docker"])?;
        let data = folder.join("docker");
        fs::create_dir(&data)?;
        let socket = format!("unix://{}/docker.sock", data.display());
        let log = fs::File::create(data.join("log"))?;
        let daemon = Command::new(dockerd)
            .args(["--host", &socket, "--cgroup-parent", &format!("/{}", cgroup.0)])
            .arg("--data-root")
            .arg(data.join("data"))
            .arg("--exec-root")
            .arg(data.join("exec"))
            .arg("--pidfile")
            .arg(data.join("pid"))
            .args(["--bridge", "none", "--iptables=false", "--storage-driver", "overlay2"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start dockerd")?;
        let command = vec![docker.into_os_string(), "--host".into(), socket.into()];
        let mut started = Docker { daemon, command, version };
        started.wait_until_ready(&data.join("log"))?;
        let mut import = started.docker(&["import"]);
        workspace::run(import.arg(layer).arg("hostbox").stdout(Stdio::null()))?;
        started.peer().once(0)?;
        Ok(started)
    }

    fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(arguments);
        command
    }

    fn wait_until_ready(&mut self, log: &Path) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let answer = self.docker(&["version"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
            if answer.success() {
                return Ok(());
            }
            if let Some(status) = self.daemon.try_wait()? {
                let words = fs::read_to_string(log).unwrap_or_default();
                bail!("dockerd: {status}: {}", words.lines().last().unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("dockerd did not answer")
    }

    /// `docker run` of the same program.
    pub(super) fn peer(&self) -> Peer {
        let command = self.command.clone();
        Peer::new("docker", &self.version, move |_| {
            let mut run = Command::new(&command[0]);
            run.args(&command[1..]).args(["run", "--rm", "--network", "none", "hostbox", "true"]);
            run
        })
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// podman, which has no daemon, with the layer as image `hostbox`.
pub(super) fn podman(folder: &Path, layer: &Path, cgroup: &Cgroup) -> Result<Peer> {
    let (podman, version) = program(&["podman"])?;
    let data = folder.join("podman");
    let parent = format!("/{}", cgroup.0);
    let command = move |arguments: &[&str]| {
        let mut command = Command::new(&podman);
        command.arg("--root").arg(data.join("root")).arg("--runroot").arg(data.join("run"));
        command.arg("--tmpdir").arg(data.join("tmp")).args(["--storage-driver", "overlay"]);
        command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"]).args(arguments);
        command
    };
    workspace::run(command(&["import", "--quiet"]).arg(layer).arg("hostbox").stdout(Stdio::null()))?;
    let peer = Peer::new("podman", &version, move |_| {
        command(&["run", "--rm", "--network", "none", "--cgroup-parent", &parent, "hostbox", "true"])
    });
    peer.once(0)?;
    Ok(peer)
}
