//! Other tools, set up to run the very root file system that hostbox is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::stats::Peer;
use super::who::Who;
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

/// Peers that are ready, and for each other one the reason why it isn't measured.
#[derive(Default)]
pub(super) struct Peers {
    pub(super) ready: Vec<Peer>,
    pub(super) missing: Vec<String>,
}

impl Peers {
    pub(super) fn add(&mut self, name: &str, peer: Result<Peer>) {
        match peer {
            Ok(peer) => self.ready.push(peer),
            Err(error) => self.missing.push(format!("{name}: {error:#}")),
        }
    }
}

/// The binary under test.
pub(super) fn minidocker(room: &Path, store: &Path) -> Peer {
    let (binary, store) = (room.join("bin/minidocker"), store.to_owned());
    let what = said(Command::new(&binary).arg("version").env("MINIDOCKER_ROOT", &store));
    Peer::new("minidocker", what.as_deref().unwrap_or("minidocker"), move |_| {
        let mut command = Command::new(&binary);
        command.args(["run", "--rm", "--network", "none", "hostbox", "true"]).env("MINIDOCKER_ROOT", &store);
        command
    })
}

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

/// Unpacks the layer for tools that know no images.
pub(super) fn rootfs(folder: &Path, layer: &Path) -> Result<PathBuf> {
    let rootfs = folder.join("bundle/rootfs");
    fs::create_dir_all(&rootfs)?;
    workspace::run(Command::new("tar").arg("-xf").arg(layer).arg("-C").arg(&rootfs))?;
    Ok(rootfs)
}

/// runc with a bundle as docker would write it: no terminal, docker's capabilities. No overlay: the
/// bundle's root is used as it is.
pub(super) fn runc(folder: &Path, rootfs: &Path, who: &Who, tag: &str) -> Result<Peer> {
    let (runc, version) = program(&["runc"])?;
    let bundle = rootfs.parent().context("the bundle")?.to_owned();
    let mut spec = Command::new(&runc);
    spec.args(["spec", "--bundle"]).arg(&bundle);
    if !who.is_root() {
        spec.arg("--rootless");
    }
    workspace::run(&mut spec)?;
    let path = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
    config["process"]["args"] = json!(["true"]);
    config["process"]["terminal"] = json!(false);
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(CAPABILITIES);
    }
    config["root"]["readonly"] = json!(false);
    if !who.is_root() {
        // The room has a network namespace, and a rootless bundle of runc's has none of its own.
        let namespaces = config["linux"]["namespaces"].as_array_mut().context("runc's spec")?;
        namespaces.push(json!({ "type": "network" }));
        config["mounts"] = ours(&config["mounts"]);
    }
    fs::write(&path, config.to_string())?;
    let (state, tag) = (folder.join("runc"), tag.to_owned());
    let peer = Peer::new("runc", &version, move |number| {
        let mut command = Command::new(&runc);
        command.arg("--root").arg(&state).args(["run", "--bundle"]).arg(&bundle);
        command.arg(format!("{tag}-{number}"));
        command
    });
    peer.once(usize::MAX)?;
    Ok(peer)
}

/// runc binds the host's /sys where it has no network namespace; with one it can mount its own.
fn ours(mounts: &Value) -> Value {
    let own = |mount: &Value| match mount["destination"].as_str() {
        Some("/sys") => json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"] }),
        _ => mount.clone(),
    };
    mounts.as_array().into_iter().flatten().map(own).collect()
}

/// bubblewrap: namespaces, mounts and capabilities; no cgroup, no overlay, no masked paths, no image.
pub(super) fn bubblewrap(rootfs: &Path) -> Result<Peer> {
    let (bwrap, version) = program(&["bwrap"])?;
    let rootfs = rootfs.to_owned();
    let peer = Peer::new("bubblewrap", &version, move |_| {
        let mut command = Command::new(&bwrap);
        command.args(["--unshare-all", "--die-with-parent", "--hostname", "bench", "--bind"]).arg(&rootfs);
        command.args([
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/dev/shm",
            "--mqueue",
            "/dev/mqueue",
        ]);
        command.args(["--chdir", "/", "--", "true"]);
        command
    });
    peer.once(0)?;
    Ok(peer)
}

/// nsenter: no start, but a program in the namespaces of a container that sleeps.
pub(super) fn nsenter(payload: Option<i64>) -> Result<Peer> {
    let (nsenter, version) = program(&["nsenter"])?;
    let payload = payload.context("no container sleeps")?.to_string();
    let peer = Peer::new("nsenter -a", &version, move |_| {
        let mut command = Command::new(&nsenter);
        command.args(["-a", "-t", &payload, "true"]);
        command
    });
    peer.once(0)?;
    Ok(peer)
}

/// The first of `names` that is there, and its version.
pub(super) fn program(names: &[&str]) -> Result<(PathBuf, String)> {
    let answering = |name: &&str| Some((PathBuf::from(name), said(Command::new(name).arg("--version"))?));
    let found = names.iter().find_map(answering);
    ensure!(found.is_some(), "no {} that answers", names.join(" or "));
    Ok(found.unwrap_or_default())
}

/// The first line that a command says.
fn said(command: &mut Command) -> Option<String> {
    let out = command.stdin(Stdio::null()).output().ok().filter(|out| out.status.success())?;
    Some(String::from_utf8_lossy(&out.stdout).lines().next().unwrap_or_default().trim().to_owned())
}
