//! The JSON of `inspect`: Docker's fields in Docker's order (Engine API 1.50, `ContainerInspect`).
//!
//! Fields of what isn't built hold the value that is true: no limit, no port, not privileged.
//! So a script that reads `.HostConfig.Privileged` gets an answer.

mod host;
mod network;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{State, Status};
use crate::spec::{Bind, Config, Request};
use host::HostConfig;
use network::NetworkSettings;

/// What is shown of one container.
#[derive(Debug, Clone)]
pub struct Inspected<'a> {
    /// What was asked.
    pub request: &'a Request,
    /// Its configuration with the image's defaults ([`crate::spec::merged`]) and its host name.
    pub config: &'a Config,
    /// Where it stands.
    pub state: State<'a>,
    /// `containers/<id>`, absolute.
    pub bundle: &'a Path,
    /// The layers, topmost first.
    pub lowers: &'a [PathBuf],
}

/// A container as a value that serialises to Docker's JSON; `inspect` prints a list of them
/// ([`super::pretty`]).
#[must_use]
pub fn inspect<'a>(container: &Inspected<'a>) -> impl Serialize + use<'a> {
    let Inspected { request, config, state, bundle, lowers } = *container;
    let mut command = super::command(config).into_iter();
    Container {
        id: &request.id,
        created: request.created.to_string(),
        path: command.next().unwrap_or_default(),
        args: command.collect(),
        state: ShownState::from(state),
        image: &request.image_id,
        resolv_conf_path: bundle.join("resolv.conf"),
        hostname_path: bundle.join("hostname"),
        hosts_path: bundle.join("hosts"),
        log_path: bundle.join("log"),
        name: format!("/{}", request.name),
        driver: DRIVER,
        platform: "linux",
        host_config: HostConfig::from(&request.host_config),
        graph_driver: GraphDriver::new(bundle, lowers, &request.id),
        mounts: mounts(&request.host_config.binds),
        config: config.clone(),
        network_settings: NetworkSettings::new(request.host_config.network_mode),
        notices: state.notices,
        ..Container::default()
    }
}

/// Docker's name for a driver that keeps its layers as ours do.
const DRIVER: &str = "overlay2";

/// serde writes the unit as `null`.
type Null = ();

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Container<'a> {
    id: &'a str,
    created: String,
    path: &'a str,
    args: Vec<&'a str>,
    state: ShownState<'a>,
    image: &'a str,
    resolv_conf_path: PathBuf,
    hostname_path: PathBuf,
    hosts_path: PathBuf,
    log_path: PathBuf,
    name: String,
    restart_count: u32,
    driver: &'static str,
    platform: &'static str,
    mount_label: &'static str,
    process_label: &'static str,
    app_armor_profile: &'static str,
    #[serde(rename = "ExecIDs")]
    exec_ids: Null,
    host_config: HostConfig,
    graph_driver: GraphDriver,
    mounts: Vec<MountPoint>,
    config: Config,
    network_settings: NetworkSettings,
    /// Ours, not Docker's: what of the request the machine could not give.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notices: &'a [String],
}

/// Docker's `MountPoint`; a tmpfs is told by `HostConfig.Tmpfs` alone.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MountPoint {
    #[serde(rename = "Type")]
    kind: &'static str,
    source: PathBuf,
    destination: PathBuf,
    mode: String,
    #[serde(rename = "RW")]
    rw: bool,
    propagation: String,
}

fn mounts(binds: &[String]) -> Vec<MountPoint> {
    // They were understood when the container was made.
    let binds = binds.iter().filter_map(|bind| Bind::parse(bind).ok());
    let point = |bind: Bind| MountPoint {
        kind: "bind",
        source: bind.source,
        destination: bind.destination,
        mode: bind.mode,
        rw: !bind.read_only,
        propagation: bind.propagation,
    };
    binds.map(point).collect()
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct ShownState<'a> {
    status: &'static str,
    running: bool,
    paused: bool,
    restarting: bool,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    dead: bool,
    pid: i32,
    exit_code: i32,
    error: &'a str,
    started_at: &'a str,
    finished_at: &'a str,
}

/// Go's time before all times, for what never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl<'a> From<State<'a>> for ShownState<'a> {
    fn from(state: State<'a>) -> Self {
        let or_never = |time: &'a str| if time.is_empty() { NEVER } else { time };
        Self {
            status: state.status.as_str(),
            running: state.status == Status::Running,
            pid: state.pid,
            exit_code: state.exit_code,
            error: state.error,
            started_at: or_never(state.started_at),
            finished_at: or_never(state.finished_at),
            ..Self::default()
        }
    }
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct GraphDriver {
    data: BTreeMap<&'static str, String>,
    name: &'static str,
}

impl GraphDriver {
    fn new(bundle: &Path, lowers: &[PathBuf], id: &str) -> Self {
        let lower: Vec<_> = lowers.iter().map(|dir| dir.to_string_lossy()).collect();
        let dir = |name: &str| bundle.join(name).to_string_lossy().into_owned();
        let data = BTreeMap::from([
            ("ID", id.to_owned()),
            ("LowerDir", lower.join(":")),
            ("MergedDir", dir("rootfs")),
            ("UpperDir", dir("upper")),
            ("WorkDir", dir("work")),
        ]);
        Self { data, name: DRIVER }
    }
}
