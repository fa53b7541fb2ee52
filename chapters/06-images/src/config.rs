//! The image configuration: how to run the image, and of which layers it is made (config.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::Digest;
use crate::spec::{Extra, architecture};

/// Go writes an empty list or map as `null`.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// One image, for one platform. Its digest is the image id (config.md, "Terminology").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// GOARCH.
    pub architecture: String,
    /// GOOS.
    pub os: String,
    /// How to run it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: RunConfig,
    /// Of what it is made.
    pub rootfs: RootFs,
    /// How each layer came about, the lowest first.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Everything else (author, variant, os.version, Docker's container_config, ...).
    #[serde(flatten)]
    pub extra: Extra,
}

impl Default for ImageConfig {
    /// An image for this machine, without layers.
    fn default() -> Self {
        Self {
            created: None,
            architecture: architecture().to_owned(),
            os: "linux".to_owned(),
            config: RunConfig::default(),
            rootfs: RootFs::default(),
            history: Vec::new(),
            extra: Extra::new(),
        }
    }
}

/// How to run an image: the `config` of config.md, and what Docker keeps there besides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    /// `user`, `uid`, `user:group`, `uid:gid`, ...
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `NAME=value`.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program and its first arguments. `None` and an empty list are two things to a child image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The arguments of the entrypoint, or the program itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Directories that want a volume. The values are empty objects.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    /// Where the program starts; empty is `/`.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Free words.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `SIGTERM`, `15`, ...: what `stop` sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Everything else (ExposedPorts, Healthcheck, OnBuild, ..., Image of older Dockers).
    #[serde(flatten)]
    pub extra: Extra,
}

/// The layers of an image (config.md, "rootfs").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The diff ids, the lowest first.
    #[serde(deserialize_with = "null_is_default")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// How one layer came about (config.md, "history").
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Everything else (author, comment, empty_layer).
    #[serde(flatten)]
    pub extra: Extra,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_nulls_are_empty_and_its_fields_are_kept() {
        let text = serde_json::json!({
            "architecture": "amd64", "os": "linux", "docker_version": "20.10",
            "config": { "Env": null, "Cmd": null, "Volumes": null, "Labels": null, "Image": "sha256:00",
                        "OnBuild": ["RUN true"], "Shell": ["/bin/bash", "-c"], "ArgsEscaped": true,
                        "Healthcheck": { "Test": ["CMD", "true"], "Interval": 5 } },
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(b"")] },
            "history": [{ "created_by": "FROM scratch", "empty_layer": true, "comment": "c" }]
        });
        let config: ImageConfig = serde_json::from_value(text).unwrap();
        assert_eq!((config.config.cmd.clone(), config.config.env.len()), (None, 0));
        let again = serde_json::to_value(&config).unwrap();
        assert_eq!(again["docker_version"], "20.10");
        assert_eq!(again["config"]["Image"], "sha256:00");
        assert_eq!(again["config"]["Healthcheck"]["Interval"], 5);
        assert_eq!(again["config"]["OnBuild"][0], "RUN true");
        assert_eq!(again["history"][0]["comment"], "c");
    }

    #[test]
    fn a_config_without_config_has_an_empty_one() {
        let text = r#"{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":null}}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.config, RunConfig::default());
        assert!(config.rootfs.diff_ids.is_empty());
    }
}
