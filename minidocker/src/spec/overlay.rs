//! The overlay of a container, carried in an annotation of its Spec.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Facts, OCI_VERSION, SpecError};

/// The annotation that tells our runtime to mount an overlay at `root.path`. The OCI Spec has no
/// word for it: it expects the caller to have mounted the rootfs, which would put a mount on the host.
pub const OVERLAY_ANNOTATION: &str = "minidocker.overlay";

/// The version of what we add to config.json.
const ANNOTATION_VERSION: u32 = 1;

/// Refuses a config.json that a newer program wrote, by its text: what isn't JSON of any version passes.
///
/// # Errors
/// What is newer, and the version that is known: of the OCI specification a higher major one is
/// another format (semver.org), of our annotation any higher one.
pub fn check_version(config: &[u8]) -> Result<(), (String, String)> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Config {
        #[serde(rename = "ociVersion")]
        oci: String,
        annotations: Annotations,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Annotations {
        #[serde(rename = "minidocker.overlay")]
        overlay: String,
    }
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default)]
        version: u32,
    }
    let Config { oci, annotations } = serde_json::from_slice(config).unwrap_or_default();
    let major = |version: &str| version.split('.').next().unwrap_or_default().parse::<u32>().ok();
    if major(&oci) > major(OCI_VERSION) {
        return Err((format!("ociVersion {oci}"), OCI_VERSION.to_owned()));
    }
    match serde_json::from_str(&annotations.overlay) {
        Ok(Versioned { version }) if version > ANNOTATION_VERSION => {
            Err((format!("{OVERLAY_ANNOTATION} {version}"), ANNOTATION_VERSION.to_string()))
        }
        _ => Ok(()),
    }
}

/// The value of [`OVERLAY_ANNOTATION`], as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayAnnotation {
    /// [`ANNOTATION_VERSION`] of the writer.
    #[serde(default)]
    pub version: u32,
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
        version: ANNOTATION_VERSION,
        lower: facts.lowers.clone(),
        upper: facts.bundle.join("upper"),
        work: facts.bundle.join("work"),
        userxattr: facts.userxattr,
        volatile: facts.volatile,
    };
    serde_json::to_string(&overlay).map_err(|e| SpecError::Overlay(e.to_string()))
}
