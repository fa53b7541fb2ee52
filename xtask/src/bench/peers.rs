//! runc and docker, set up to run the very root file system that hostbox is.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::stats::Peer;
use crate::workspace;

/// Docker's default capabilities (moby, oci/caps/defaults.go).
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];
/// The daemon is ready within this time, or never.
const PATIENCE: Duration = Duration::from_secs(60);

/// The one layer of the only image in a store: the blob, a tar, maybe compressed.
pub(super) fn layer(store: &Path) -> Result<PathBuf> {
    let images = store.join("images");
    let read = |path: PathBuf| -> Result<Value> {
        let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))
    };
    let blob = |descriptor: &Value| -> Result<PathBuf> {
        let digest = descriptor["digest"].as_str().context("a descriptor without digest")?;
        Ok(images.join("blobs").join(digest.replace(':', "/")))
    };
    let index = read(images.join("index.json"))?;
    let manifest = read(blob(&index["manifests"][0])?)?;
    blob(&manifest["layers"][0])
}

/// runc with a bundle as docker would write it: no terminal, docker's capabilities.
pub(super) fn runc(folder: &Path, layer: &Path) -> Result<Peer> {
    let bundle = folder.join("bundle");
    let rootfs = bundle.join("rootfs");
    fs::create_dir_all(&rootfs)?;
    workspace::run(Command::new("tar").arg("-xf").arg(layer).arg("-C").arg(&rootfs))?;
    let runc = program(&["runc"]).context("is not installed")?;
    workspace::run(Command::new(&runc).args(["spec", "--bundle"]).arg(&bundle))?;
    let path = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
    config["process"]["args"] = json!(["true"]);
    config["process"]["terminal"] = json!(false);
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(CAPABILITIES);
    }
    config["root"]["readonly"] = json!(false);
    fs::write(&path, config.to_string())?;
    let state = folder.join("runc");
    let peer = Peer::new("runc", move |number| {
        let mut command = Command::new(&runc);
        command.arg("--root").arg(&state).args(["run", "--bundle"]).arg(&bundle);
        command.arg(format!("minidocker-bench-{}-{number}", std::process::id()));
        command
    });
    peer.once(usize::MAX)?;
    Ok(peer)
}

/// A docker daemon in namespaces of its own, which end with it.
pub(super) struct Docker {
    daemon: Child,
    cgroup: String,
    command: Vec<OsString>,
}

impl Docker {
    /// Starts dockerd on a private socket and gives it the layer as image `hostbox`.
    pub(super) fn start(folder: &Path, layer: &Path) -> Result<Self> {
        let dockerd = program(&["/usr/sbin/dockerd", "dockerd"]).context("dockerd is not installed")?;
        let docker =
            program(&["/usr/bin/docker", "docker"]).context("the docker command is not installed")?;
        let data = folder.join("docker");
        fs::create_dir(&data)?;
        let socket = format!("unix://{}/docker.sock", data.display());
        let cgroup = format!("minidocker-bench-{}", std::process::id());
        let log = fs::File::create(data.join("log"))?;
        let daemon = Command::new("unshare")
            .args(["-m", "-n", "-p", "-f", "--mount-proc", "--kill-child", "--", "sh", "-c"])
            // An empty /run: no containerd of the host is found there.
            .args(["mount -t tmpfs run /run && exec \"$@\"", "sh"])
            .arg(dockerd)
            .args(["--host", &socket, "--cgroup-parent", &format!("/{cgroup}")])
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
            .context("start unshare")?;
        let command = vec![docker.into_os_string(), "--host".into(), socket.into()];
        let mut started = Docker { daemon, cgroup, command };
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
        Peer::new("docker", move |_| {
            let mut run = Command::new(&command[0]);
            run.args(&command[1..]).args(["run", "--rm", "--network", "none", "hostbox", "true"]);
            run
        })
    }
}

impl Drop for Docker {
    /// Ends the daemon with its pid namespace, and removes the cgroups that it made.
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            // A cgroup whose processes are dying is busy for a moment.
            let cgroup = hierarchy.path().join(&self.cgroup);
            for _ in 0..100 {
                if fs::remove_dir(&cgroup).is_ok() || !cgroup.exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = fs::remove_dir(Path::new("/sys/fs/cgroup").join(&self.cgroup));
    }
}

/// The first of `names` that is there and tells its version.
fn program(names: &[&str]) -> Result<PathBuf> {
    let answers = |name: &&&str| {
        Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    let name = names.iter().find(answers);
    ensure!(name.is_some(), "no {} that answers", names.join(" or "));
    Ok(name.map(PathBuf::from).unwrap_or_default())
}
