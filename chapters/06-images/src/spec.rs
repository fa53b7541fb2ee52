//! The documents of an image: descriptors, manifest, index (OCI image-spec, version 1.1).
//!
//! What a document says besides is kept in `extra`: written again, nothing of it is lost. A digest
//! is that of the bytes which came, so a blob is stored as those, never as what we would write.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The media types of this library (media-types.md), and Docker's for the same things.
pub mod media {
    /// An index: manifests for several platforms, or the references of a layout.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A manifest: one image for one platform.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer, not compressed: its digest is its diff id.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer, compressed with gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// Docker's index.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
}

/// The annotations of this library (annotations.md), and containerd's.
pub mod annotation {
    /// The reference of an image within one layout: what stands behind `oci:DIR:` in skopeo.
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// The full name, with registry, as containerd and BuildKit keep it beside the former.
    pub const IMAGE_NAME: &str = "io.containerd.image.name";
}

/// Members that this library has no name for.
pub type Extra = serde_json::Map<String, serde_json::Value>;

/// Points to a blob: what it is, its digest and its size (descriptor.md, "Properties").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What kind of document or layer the blob is.
    pub media_type: String,
    /// The digest of the blob's bytes.
    pub digest: Digest,
    /// The size of the blob in bytes; whoever gets more or fewer has another blob.
    pub size: u64,
    /// Free words (annotations.md).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// For which machine the blob is (image-index.md).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Everything else (urls, data, artifactType, ...).
    #[serde(flatten)]
    pub extra: Extra,
}

impl Descriptor {
    /// A descriptor without annotations or platform.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            annotations: BTreeMap::new(),
            platform: None,
            extra: Extra::new(),
        }
    }
}

/// A kind of machine, in Go's words (image-index.md, "platform").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// GOARCH: `amd64`, `arm64`, ...
    pub architecture: String,
    /// GOOS: `linux`.
    pub os: String,
    /// The variant of the CPU: `v8` of arm64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Everything else (os.version, os.features).
    #[serde(flatten)]
    pub extra: Extra,
}

/// The architecture of this machine in Go's words; Rust's own word where Go has none.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// One image for one platform: its configuration and its layers (manifest.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`media::MANIFEST`]; older ones don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Points to the [`ImageConfig`](crate::ImageConfig).
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// Free words (annotations.md).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Everything else (subject, artifactType).
    #[serde(flatten)]
    pub extra: Extra,
}

impl Manifest {
    /// A manifest of these parts.
    #[must_use]
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media::MANIFEST.to_owned()),
            config,
            layers,
            annotations: BTreeMap::new(),
            extra: Extra::new(),
        }
    }
}

/// A list of manifests: `index.json` of a layout, or one image for several platforms (image-index.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`media::INDEX`]; older ones don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests; in a layout, those with a name carry [`annotation::REF_NAME`].
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// Everything else (annotations, subject, artifactType).
    #[serde(flatten)]
    pub extra: Extra,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media::INDEX.to_owned()),
            manifests: Vec::new(),
            extra: Extra::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_survive_being_written_again() {
        let text = serde_json::json!({
            "schemaVersion": 2,
            "subject": { "mediaType": "x/y" },
            "config": { "mediaType": media::CONFIG, "digest": Digest::of(b"c"), "size": 1 },
            "layers": [{ "mediaType": media::LAYER, "digest": Digest::of(b"l"), "size": 2,
                         "urls": ["https://example.org/l"], "annotations": { "a": "b" } }]
        });
        let manifest: Manifest = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(manifest.layers[0].annotations["a"], "b");
        assert_eq!(serde_json::to_value(&manifest).unwrap(), text);
    }

    #[test]
    fn negative_size_and_foreign_digest_are_refused() {
        let with = |digest: &str, size: i64| {
            serde_json::from_value::<Descriptor>(serde_json::json!({
                "mediaType": media::LAYER, "digest": digest, "size": size
            }))
        };
        assert!(with(&Digest::of(b"x").to_string(), 3).is_ok());
        assert!(with(&Digest::of(b"x").to_string(), -3).is_err());
        assert!(with("sha256:../../etc/passwd", 3).is_err());
    }
}
