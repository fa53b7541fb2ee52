//! `NetworkSettings` of `inspect`: without an interface every field is empty, as in Docker.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Null;
use crate::spec::NetworkMode;

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkSettings {
    bridge: &'static str,
    #[serde(rename = "SandboxID")]
    sandbox_id: &'static str,
    sandbox_key: &'static str,
    ports: BTreeMap<Null, Null>,
    hairpin_mode: bool,
    #[serde(rename = "LinkLocalIPv6Address")]
    link_local_ipv6_address: &'static str,
    #[serde(rename = "LinkLocalIPv6PrefixLen")]
    link_local_ipv6_prefix_len: u8,
    #[serde(rename = "SecondaryIPAddresses")]
    secondary_ip_addresses: Null,
    #[serde(rename = "SecondaryIPv6Addresses")]
    secondary_ipv6_addresses: Null,
    #[serde(flatten)]
    address: Address,
    mac_address: &'static str,
    networks: BTreeMap<&'static str, Endpoint>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Address {
    #[serde(rename = "EndpointID")]
    endpoint_id: &'static str,
    gateway: &'static str,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: &'static str,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    #[serde(rename = "IPAddress")]
    ip_address: &'static str,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: &'static str,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    #[serde(rename = "IPAMConfig")]
    ipam_config: Null,
    links: Null,
    aliases: Null,
    mac_address: &'static str,
    driver_opts: Null,
    gw_priority: i32,
    #[serde(rename = "NetworkID")]
    network_id: &'static str,
    #[serde(flatten)]
    address: Address,
    #[serde(rename = "DNSNames")]
    dns_names: Null,
}

impl NetworkSettings {
    pub(super) fn new(mode: NetworkMode) -> Self {
        Self { networks: BTreeMap::from([(mode.as_str(), Endpoint::default())]), ..Self::default() }
    }
}
