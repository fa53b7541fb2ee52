//! The overlay of a container, carried in an annotation of its Spec.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Facts, SpecError};

/// The annotation that tells our runtime to mount an overlay at `root.path`. The OCI Spec has no
/// word for it: it expects the caller to have mounted the rootfs, which would put a mount on the host.
pub const OVERLAY_ANNOTATION: &str = "minidocker.overlay";

/// The value of [`OVERLAY_ANNOTATION`], as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayAnnotation {
    /// Read-only directories, topmost first.
    pub lower: Vec<PathBuf>,
    /// Where changes go.
    pub upper: PathBuf,
    /// overlay's own work space, on the file system of `upper`.
    pub work: PathBuf,
    /// Mount option `userxattr` (overlayfs.rst): marks in `user.overlay.*`.
    #[serde(default)]
    pub userxattr: bool,
    /// Mount option `volatile` (overlayfs.rst): no sync at unmount.
    #[serde(default)]
    pub volatile: bool,
}

pub(super) fn annotation(facts: &Facts) -> Result<String, SpecError> {
    let overlay = OverlayAnnotation {
        lower: facts.lowers.clone(),
        upper: facts.bundle.join("upper"),
        work: facts.bundle.join("work"),
        userxattr: facts.userxattr,
        volatile: facts.volatile,
    };
    serde_json::to_string(&overlay).map_err(|e| SpecError::Overlay(e.to_string()))
}
