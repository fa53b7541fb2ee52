//! Of which files of the host an image was made: kept in an annotation of its manifest.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use images::Manifest;
use serde::{Deserialize, Serialize};

use super::programs::{appeared, on_host};

/// Where the record stands in the manifest (OCI image-spec, annotations.md: reversed domain names).
pub(super) const ANNOTATION: &str = "io.github.minidocker.hostbox.sources";

/// Counts the changes of what this module makes of the same sources.
const RECIPE: u32 = 4;

/// What the image depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    recipe: u32,
    /// Which build of our own program is in it.
    program: String,
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
            program: payload::PROGRAM_ID.to_owned(),
            files: report.sources.iter().map(|s| (s.path.clone(), s.size_bytes, s.mtime_ns)).collect(),
            links: report.links.iter().filter_map(text).collect(),
            absent,
        }
    }

    /// The record in a manifest. None: minidocker did not make this image.
    pub(super) fn of(manifest: &Manifest) -> Option<Self> {
        let text = manifest.annotations.get(ANNOTATION)?;
        // One that can't be read is of another version: stale.
        Some(serde_json::from_str(text).unwrap_or_default())
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
            || self.program != payload::PROGRAM_ID
            || self.files.iter().any(changed_file)
            || self.links.iter().any(changed_link)
            || self.absent.iter().any(|name| appeared(host, name))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A host with one program and one link, and the record of both.
    fn host() -> (tempfile::TempDir, Record) {
        let host = tempfile::tempdir().unwrap();
        fs::create_dir_all(host.path().join("usr/bin")).unwrap();
        fs::write(host.path().join("usr/bin/dash"), "elf").unwrap();
        symlink("dash", host.path().join("usr/bin/sh")).unwrap();
        let meta = fs::metadata(host.path().join("usr/bin/dash")).unwrap();
        let source = chroot::Source {
            path: "/usr/bin/dash".into(),
            size_bytes: meta.len(),
            mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        };
        let report =
            chroot::Report { sources: vec![source], links: vec!["/usr/bin/sh".into()], ..Default::default() };
        let record = Record::new(host.path(), &report, vec!["ip".to_owned()]);
        (host, record)
    }

    #[test]
    fn an_untouched_host_keeps_its_image() {
        let (host, record) = host();
        assert!(!record.is_stale(host.path()));
        let mut manifest =
            Manifest::new(images::Descriptor::new("x", images::Digest::of(b""), 0), Vec::new());
        assert_eq!(Record::of(&manifest), None);
        manifest.annotations.insert(ANNOTATION.to_owned(), serde_json::to_string(&record).unwrap());
        assert_eq!(Record::of(&manifest), Some(record));
        manifest.annotations.insert(ANNOTATION.to_owned(), "of another version".to_owned());
        assert!(Record::of(&manifest).unwrap().is_stale(host.path()));
    }

    #[test]
    fn another_build_of_our_own_program_makes_it_stale() {
        let (host, record) = host();
        let other = Record { program: "0123456789abcdef".to_owned(), ..record };
        assert!(other.is_stale(host.path()));
    }

    #[test]
    fn another_size_or_time_makes_it_stale() {
        let (host, record) = host();
        let dash = host.path().join("usr/bin/dash");
        let time = fs::metadata(&dash).unwrap().modified().unwrap();
        let later = time + std::time::Duration::from_nanos(1);
        let file = fs::File::options().append(true).open(&dash).unwrap();
        file.set_modified(later).unwrap();
        assert!(record.is_stale(host.path()));
        file.set_modified(time).unwrap();
        assert!(!record.is_stale(host.path()));
        std::io::Write::write_all(&mut &file, b"longer").unwrap();
        file.set_modified(time).unwrap();
        assert!(record.is_stale(host.path()));
    }

    #[test]
    fn a_removed_program_or_another_link_makes_it_stale() {
        let (host, record) = host();
        let sh = host.path().join("usr/bin/sh");
        fs::remove_file(&sh).unwrap();
        assert!(record.is_stale(host.path()));
        symlink("bash", &sh).unwrap();
        assert!(record.is_stale(host.path()));
        fs::remove_file(&sh).unwrap();
        symlink("dash", &sh).unwrap();
        assert!(!record.is_stale(host.path()));
        fs::remove_file(host.path().join("usr/bin/dash")).unwrap();
        assert!(record.is_stale(host.path()));
    }

    #[test]
    fn a_program_that_the_host_hadnt_makes_it_stale() {
        let (host, record) = host();
        fs::create_dir(host.path().join("sbin")).unwrap();
        assert!(!record.is_stale(host.path()));
        fs::write(host.path().join("sbin/ip"), "elf").unwrap();
        assert!(record.is_stale(host.path()));
    }
}
