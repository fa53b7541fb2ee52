//! `HostConfig` of `inspect`, with all of Docker's fields.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Null;
use crate::spec;

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    /// `null` in place of none, as Docker's.
    binds: Option<Vec<String>>,
    #[serde(rename = "ContainerIDFile")]
    container_id_file: &'static str,
    log_config: LogConfig,
    network_mode: &'static str,
    port_bindings: BTreeMap<Null, Null>,
    restart_policy: RestartPolicy,
    auto_remove: bool,
    volume_driver: &'static str,
    volumes_from: Null,
    console_size: [u16; 2],
    cap_add: Null,
    cap_drop: Null,
    cgroupns_mode: &'static str,
    dns: [Null; 0],
    dns_options: [Null; 0],
    dns_search: [Null; 0],
    extra_hosts: Null,
    group_add: Null,
    ipc_mode: &'static str,
    cgroup: &'static str,
    links: Null,
    oom_score_adj: i32,
    pid_mode: &'static str,
    privileged: bool,
    publish_all_ports: bool,
    readonly_rootfs: bool,
    security_opt: Null,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tmpfs: BTreeMap<String, String>,
    #[serde(rename = "UTSMode")]
    uts_mode: &'static str,
    userns_mode: &'static str,
    shm_size: u64,
    runtime: &'static str,
    isolation: &'static str,
    #[serde(flatten)]
    resources: Resources,
    masked_paths: Vec<&'static str>,
    readonly_paths: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<bool>,
}

/// No limit at all.
#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Resources {
    cpu_shares: u64,
    memory: u64,
    nano_cpus: u64,
    cgroup_parent: &'static str,
    blkio_weight: u64,
    blkio_weight_device: [Null; 0],
    blkio_device_read_bps: [Null; 0],
    blkio_device_write_bps: [Null; 0],
    #[serde(rename = "BlkioDeviceReadIOps")]
    blkio_device_read_iops: [Null; 0],
    #[serde(rename = "BlkioDeviceWriteIOps")]
    blkio_device_write_iops: [Null; 0],
    cpu_period: u64,
    cpu_quota: u64,
    cpu_realtime_period: u64,
    cpu_realtime_runtime: u64,
    cpuset_cpus: &'static str,
    cpuset_mems: &'static str,
    devices: [Null; 0],
    device_cgroup_rules: Null,
    device_requests: Null,
    memory_reservation: u64,
    memory_swap: u64,
    memory_swappiness: Null,
    oom_kill_disable: Null,
    pids_limit: Null,
    ulimits: [Null; 0],
    cpu_count: u64,
    cpu_percent: u64,
    #[serde(rename = "IOMaximumIOps")]
    io_maximum_iops: u64,
    #[serde(rename = "IOMaximumBandwidth")]
    io_maximum_bandwidth: u64,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct LogConfig {
    #[serde(rename = "Type")]
    kind: &'static str,
    config: BTreeMap<Null, Null>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct RestartPolicy {
    name: &'static str,
    maximum_retry_count: u32,
}

impl From<&spec::HostConfig> for HostConfig {
    fn from(asked: &spec::HostConfig) -> Self {
        Self {
            binds: Some(asked.binds.clone()).filter(|binds| !binds.is_empty()),
            log_config: LogConfig { kind: "json-file", ..LogConfig::default() },
            network_mode: asked.network_mode.as_str(),
            restart_policy: RestartPolicy { name: "no", ..RestartPolicy::default() },
            auto_remove: asked.auto_remove,
            console_size: asked.console_size,
            cgroupns_mode: "private",
            ipc_mode: "private",
            readonly_rootfs: asked.readonly_rootfs,
            tmpfs: asked.tmpfs.clone(),
            shm_size: asked.shm_size,
            runtime: "minidocker",
            masked_paths: spec::MASKED_PATHS.to_vec(),
            readonly_paths: spec::READONLY_PATHS.to_vec(),
            init: asked.init,
            ..Self::default()
        }
    }
}
