//! The overlay of a container, carried in an annotation of its Spec.

use std::path::PathBuf;

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use super::{Facts, OCI_VERSION, SpecError};

/// The annotation that tells our runtime to mount an overlay at `root.path`. The OCI Spec has no
/// word for it: it expects the caller to have mounted the rootfs, which would put a mount on the host.
pub const OVERLAY_ANNOTATION: &str = "minidocker.overlay";

/// The version of what we add to config.json.
const ANNOTATION_VERSION: u32 = 1;

/// Refuses a config.json that a newer program wrote.
///
/// # Errors
/// What is newer, and the version that is known: of the OCI specification another major one is
/// another format (semver.org), of our annotation any.
pub fn check_version(spec: &Spec) -> Result<(), (String, String)> {
    let major = |version: &str| version.split('.').next().unwrap_or_default().parse::<u32>().ok();
    if major(spec.version()) != major(OCI_VERSION) {
        return Err((format!("ociVersion {}", spec.version()), OCI_VERSION.to_owned()));
    }
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default)]
        version: u32,
    }
    let text = spec.annotations().as_ref().and_then(|all| all.get(OVERLAY_ANNOTATION));
    let found = text.and_then(|text| serde_json::from_str::<Versioned>(text).ok());
    match found.filter(|found| found.version > ANNOTATION_VERSION) {
        Some(newer) => {
            Err((format!("{OVERLAY_ANNOTATION} {}", newer.version), ANNOTATION_VERSION.to_string()))
        }
        None => Ok(()),
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
