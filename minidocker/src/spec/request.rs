//! What was asked: `containers/<id>/request.json`.
//!
//! In the shape of Docker's `Config` and `HostConfig` (Engine API 1.50, `ContainerCreate`),
//! field names included, so that `inspect` shows it as it is and an API can take it as it is.
//! Written once when the container is made; the OCI Spec is derived from it at each start.
//! A flag that is built later adds a field here, with a default, so that older files stay readable.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The `version` of request.json that this program writes.
pub const VERSION: u32 = 1;

/// How many digits of an id the user sees, as in Docker.
pub const SHORT_ID: usize = 12;

/// One container, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    /// [`VERSION`] of the writer.
    #[serde(rename = "version")]
    pub version: u32,
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without Docker's leading slash.
    pub name: String,
    /// When the container was made.
    #[serde(with = "super::rfc3339")]
    pub created: Timestamp,
    /// The image as it was typed; empty with [`Request::rootfs`].
    #[serde(default)]
    pub image: String,
    /// Digest of the image's configuration (`sha256:…`); empty with [`Request::rootfs`].
    #[serde(default)]
    pub image_id: String,
    /// Ours, `--rootfs DIR`: an absolute directory that is the lowest layer, never written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<PathBuf>,
    /// What runs.
    #[serde(default)]
    pub config: Config,
    /// What it may use of the host.
    #[serde(default)]
    pub host_config: HostConfig,
}

impl Request {
    /// The first 12 digits of the id: default host name, `CONTAINER ID` of `ps`.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..SHORT_ID).unwrap_or(&self.id)
    }
}

/// Docker's `Config`: what depends on the image rather than on the host.
///
/// In a [`Request`] it holds what the user gave; [`super::merged`] fills in the image's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// Host name in the UTS namespace; empty: the short id.
    pub hostname: String,
    /// NIS domain name in the UTS namespace.
    pub domainname: String,
    /// `user[:group]`, names or ids; empty: the image's, else root.
    pub user: String,
    /// The client sends its stdin.
    pub attach_stdin: bool,
    /// The client shows stdout.
    pub attach_stdout: bool,
    /// The client shows stderr.
    pub attach_stderr: bool,
    /// `-t`: a pseudo terminal in place of three streams.
    pub tty: bool,
    /// `-i`: stdin stays open.
    pub open_stdin: bool,
    /// stdin is closed once the first client that sent it goes.
    pub stdin_once: bool,
    /// `NAME=value`, or `NAME` alone: that one is taken away, also from the image's.
    pub env: Vec<String>,
    /// Arguments; `None`: the image's.
    pub cmd: Option<Vec<String>>,
    /// The image as it was typed.
    pub image: String,
    /// Anonymous volumes: target to nothing.
    pub volumes: Option<BTreeMap<String, Empty>>,
    /// `cwd` of the program; empty: the image's, else `/`.
    pub working_dir: String,
    /// What comes before `cmd`; `None`: the image's; one empty word: none at all.
    pub entrypoint: Option<Vec<String>>,
    /// Triggers of `docker build`, always null in a container.
    pub on_build: Option<Vec<String>>,
    /// Meta data.
    pub labels: BTreeMap<String, String>,
    /// What `stop` sends first; absent: the image's, else SIGTERM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
}

/// Docker writes `{}` as the value of a set's member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Docker's `HostConfig`: what depends on the host. Only what is built has a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// `-v`: `HOST:CONTAINER[:OPTIONS]` each ([`super::Bind`]).
    pub binds: Vec<String>,
    /// The network.
    pub network_mode: NetworkMode,
    /// `--rm`: the container goes when it ends.
    pub auto_remove: bool,
    /// The client's terminal when the container was made: rows, columns. Zeros: unknown.
    pub console_size: [u16; 2],
    /// `--read-only`.
    pub readonly_rootfs: bool,
    /// `--tmpfs`: directory to options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, String>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// `--init`: the payload is the child of an init of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            binds: Vec::new(),
            network_mode: NetworkMode::None,
            auto_remove: false,
            console_size: [0, 0],
            readonly_rootfs: false,
            tmpfs: BTreeMap::new(),
            shm_size: SHM_SIZE,
            init: None,
        }
    }
}

/// Docker's default for `--shm-size`: 64 MiB.
pub const SHM_SIZE: u64 = 64 << 20;

/// `--network`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// A network namespace of its own, in which only `lo` is.
    #[default]
    None,
    /// The host's network namespace.
    Host,
}

impl NetworkMode {
    /// As it is typed and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Host => "host",
        }
    }
}
