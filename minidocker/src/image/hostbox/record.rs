//! Of which files of the host an image was made: kept in an annotation of its manifest.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use images::Manifest;
use serde::{Deserialize, Serialize};

use super::programs::{appeared, on_host};

/// Where the record stands in the manifest (OCI image-spec, annotations.md: reversed domain names).
pub(super) const ANNOTATION: &str = "io.github.minidocker.hostbox.sources";

/// Counts the changes of what this module makes of the same sources.
const RECIPE: u32 = 1;

/// What the image depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    recipe: u32,
    /// Path, size in bytes, mtime in nanoseconds since 1970.
    files: Vec<(PathBuf, u64, i64)>,
    /// Path and text.
    links: Vec<(PathBuf, PathBuf)>,
    /// Programs that the host hadn't.
    absent: Vec<String>,
}

impl Record {
    /// The record of what [`chroot::assemble`] took from `host`.
    pub(super) fn new(host: &Path, report: &chroot::Report, absent: Vec<String>) -> Self {
        let text = |path: &PathBuf| Some((path.clone(), std::fs::read_link(on_host(host, path)).ok()?));
        Self {
            recipe: RECIPE,
            files: report.sources.iter().map(|s| (s.path.clone(), s.size_bytes, s.mtime_ns)).collect(),
            links: report.links.iter().filter_map(text).collect(),
            absent,
        }
    }

    /// The record in a manifest. None: minidocker did not make this image.
    pub(super) fn of(manifest: &Manifest) -> Option<Self> {
        let text = manifest.annotations.get(ANNOTATION)?;
        // One that can't be read is of another version: stale.
        let unreadable = Self { recipe: 0, files: Vec::new(), links: Vec::new(), absent: Vec::new() };
        Some(serde_json::from_str(text).unwrap_or(unreadable))
    }

    /// The newest mtime of a source, in seconds.
    pub(super) fn newest(&self) -> i64 {
        self.files.iter().map(|(_, _, mtime)| mtime / 1_000_000_000).max().unwrap_or(0)
    }

    /// Whether the same work would give another image now. Reads no contents.
    pub(super) fn is_stale(&self, host: &Path) -> bool {
        let changed_file = |(path, size, mtime): &(PathBuf, u64, i64)| {
            let meta = std::fs::metadata(on_host(host, path));
            !meta.is_ok_and(|m| m.len() == *size && m.mtime() * 1_000_000_000 + m.mtime_nsec() == *mtime)
        };
        let changed_link = |(path, text): &(PathBuf, PathBuf)| {
            !std::fs::read_link(on_host(host, path)).is_ok_and(|now| now == *text)
        };
        self.recipe != RECIPE
            || self.files.iter().any(changed_file)
            || self.links.iter().any(changed_link)
            || self.absent.iter().any(|name| appeared(host, name))
    }
}
