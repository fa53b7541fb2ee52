//! What an image says about the containers made from it.

use std::collections::BTreeMap;

/// The part of an image's configuration that a Spec is made of (OCI image-spec, config.md).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageDefaults {
    /// `NAME=value`.
    pub env: Vec<String>,
    /// The words before `cmd`.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments, or the whole command without an entrypoint.
    pub cmd: Option<Vec<String>>,
    /// `user[:group]`; empty: root.
    pub user: String,
    /// Empty: `/`.
    pub working_dir: String,
    /// What `stop` sends first.
    pub stop_signal: Option<String>,
    /// Meta data.
    pub labels: BTreeMap<String, String>,
    /// Paths that get an anonymous volume.
    pub volumes: Vec<String>,
}

impl From<&images::RunConfig> for ImageDefaults {
    fn from(config: &images::RunConfig) -> Self {
        Self {
            env: config.env.clone(),
            entrypoint: config.entrypoint.clone(),
            cmd: config.cmd.clone(),
            user: config.user.clone(),
            working_dir: config.working_dir.clone(),
            stop_signal: config.stop_signal.clone(),
            labels: config.labels.clone(),
            volumes: config.volumes.keys().cloned().collect(),
        }
    }
}
