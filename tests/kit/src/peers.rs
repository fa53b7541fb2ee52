//! Docker's daemon in a room of its own, for `MINIDOCKER_BIN=docker`.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A private dockerd: its own mount, network and pid namespaces, its own socket and data.
///
/// The pid namespace ends with it, and so does every container that it started. It needs root
/// and the programs dockerd, containerd and runc. Nobody starts it unasked.
pub struct Dockerd {
    child: Child,
    room: PathBuf,
}

impl Dockerd {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// Why it does not run here, with the end of its log.
    pub fn start() -> Result<Self, String> {
        let room = crate::place::new_room();
        let at = |name: &str| room.join(name).display().to_string();
        let log = fs::File::create(room.join("log")).map_err(|e| e.to_string())?;
        let errors = log.try_clone().map_err(|e| e.to_string())?;
        // A tmpfs on /run hides the socket of a containerd that the host may have.
        let script = r#"mount -t tmpfs tmpfs /run && ip link set lo up; exec dockerd "$@""#;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", script, "sh", "--bridge", "none", "--iptables=false", "--host"])
            .args([&format!("unix://{}", at("sock")), "--data-root", &at("data"), "--exec-root", &at("exec")])
            .args(["--pidfile", &at("pid"), "--cgroup-parent", &cgroup(&room)])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let child = command.spawn().map_err(|e| format!("start unshare: {e}"))?;
        let mut this = Self { child, room };
        this.wait_until_it_answers()?;
        Ok(this)
    }

    /// The value for `$DOCKER_HOST`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.room.join("sock").display())
    }

    /// A docker command on this daemon.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.host()).stdin(Stdio::null());
        command
    }

    /// Gives it the image of an OCI layout (`images/` of a minidocker store) under `name`.
    ///
    /// # Errors
    /// What skopeo said.
    pub fn load(&self, layout: &std::path::Path, name: &str) -> Result<(), String> {
        let mut copy = Command::new("skopeo");
        copy.args(["copy", "--quiet", "--insecure-policy", "--dest-daemon-host", &self.host()]);
        copy.arg(format!("oci:{}", layout.display())).arg(format!("docker-daemon:{name}:latest"));
        let out = copy.stdin(Stdio::null()).output().map_err(|e| format!("start skopeo: {e}"))?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        out.status.success().then_some(()).ok_or(said)
    }

    fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let out = self.command().arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            if out.map_err(|e| format!("start docker: {e}"))?.success() {
                return Ok(());
            }
            let ended = self.child.try_wait().map_err(|e| e.to_string())?.is_some();
            if ended || Instant::now() > end {
                let log = fs::read_to_string(self.room.join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(5).collect();
                return Err(format!("dockerd does not answer: {}", last.join(" | ")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The name of its containers' parent cgroup, after the room.
fn cgroup(room: &std::path::Path) -> String {
    format!("minidocker-peer-{}", room.file_name().unwrap_or_default().to_string_lossy())
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // --kill-child: with unshare its child goes, which is pid 1 of the namespace.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The kernel ends its containers together with the pid namespace, the cgroups stay.
        crate::room::clean(&self.room, &[cgroup(&self.room)]);
    }
}
