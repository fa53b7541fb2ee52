//! Of which files of the host an image was made: kept in an annotation of its manifest.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use images::Manifest;
use serde::{Deserialize, Serialize};

use super::programs::{appeared, on_host};
use super::refused::hindrances;
use chroot::{Refusal, Report};

/// Where the record stands in the manifest (OCI image-spec, annotations.md: reversed domain names).
pub(super) const ANNOTATION: &str = "io.github.minidocker.hostbox.sources";

/// Counts the changes of what this module makes of the same sources.
const RECIPE: u32 = 5;

/// Size in bytes, mtime and ctime in nanoseconds since 1970. The mtime is what a packager says: all files of
/// a NixOS store have the same one, and a package that is built again may keep it, as it may keep the
/// size. The ctime is the kernel's, and nobody can set it (inode(7)).
type Stamp = (u64, i64, i64);

/// The stamp of what a path leads to; nothing where that is nothing.
fn stamp(path: &Path) -> Option<Stamp> {
    let ns = |seconds, rest| seconds * 1_000_000_000 + rest;
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.len(), ns(meta.mtime(), meta.mtime_nsec()), ns(meta.ctime(), meta.ctime_nsec())))
}

/// What the image depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    recipe: u32,
    /// Which build of our own program is in it.
    program: String,
    /// What was copied, and what kept a program from being so.
    files: Vec<(PathBuf, Option<Stamp>)>,
    /// Path and text.
    links: Vec<(PathBuf, PathBuf)>,
    /// Programs that the host hadn't.
    absent: Vec<String>,
}

impl Record {
    /// The record of what [`chroot::assemble`] took from `host`, and of `watched`: files whose change would
    /// change the image, though they are not in it.
    pub(super) fn new(host: &Path, report: &Report, absent: Vec<String>, watched: &[PathBuf]) -> Self {
        let text = |path: &PathBuf| Some((path.clone(), std::fs::read_link(on_host(host, path)).ok()?));
        let now = |path: PathBuf| (stamp(&on_host(host, &path)), path);
        let copied = report.sources.iter();
        let copied = copied.map(|s| (s.path.clone(), Some((s.size_bytes, s.mtime_ns, s.ctime_ns))));
        let refused = report.refused.iter().flat_map(|refused| {
            // What changed once may change again before we look: no stamp is never the one it has.
            let is_moving = matches!(refused.why, Refusal::Changed(_));
            hindrances(refused)
                .into_iter()
                .map(now)
                .map(move |(stamp, path)| (path, stamp.filter(|_| !is_moving)))
        });
        let watched = watched.iter().cloned().map(now).map(|(stamp, path)| (path, stamp));
        Self {
            recipe: RECIPE,
            program: payload::PROGRAM_ID.to_owned(),
            files: copied.chain(refused).chain(watched).collect(),
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
        self.files.iter().filter_map(|(_, stamp)| Some(stamp.as_ref()?.1 / 1_000_000_000)).max().unwrap_or(0)
    }

    /// Whether the same work would give another image now. Reads no contents.
    pub(super) fn is_stale(&self, host: &Path) -> bool {
        let changed_file = |(path, was): &(PathBuf, Option<Stamp>)| stamp(&on_host(host, path)) != *was;
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
        let (size_bytes, mtime_ns, ctime_ns) = stamp(&host.path().join("usr/bin/dash")).unwrap();
        let source = chroot::Source { path: "/usr/bin/dash".into(), size_bytes, mtime_ns, ctime_ns };
        let report = Report { sources: vec![source], links: vec!["/usr/bin/sh".into()], ..Report::default() };
        let record = Record::new(host.path(), &report, vec!["ip".to_owned()], &[]);
        (host, record)
    }

    /// Writes other bytes of the same size, until the kernel's clock for files has gone on (a tick is 1 to 10 ms).
    fn write_later(path: &Path, ctime: i64) {
        while stamp(path).is_none_or(|now| now.2 == ctime) {
            fs::write(path, "elg").unwrap();
        }
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
        let (path, Some((size, mtime, ctime))) = record.files[0].clone() else { panic!() };
        let with = |stamp| Record { files: vec![(path.clone(), Some(stamp))], ..record.clone() };
        assert!(!with((size, mtime, ctime)).is_stale(host.path()));
        for other in [(size + 1, mtime, ctime), (size, mtime - 1, ctime), (size, mtime, ctime - 1)] {
            assert!(with(other).is_stale(host.path()), "{other:?}");
        }
        // Whoever gives a file its old time can't hide that it was touched.
        let time = fs::metadata(&dash).unwrap().modified().unwrap();
        write_later(&dash, ctime);
        fs::File::options().append(true).open(&dash).unwrap().set_modified(time).unwrap();
        assert_eq!(stamp(&dash).map(|(size, mtime, _)| (size, mtime)), Some((size, mtime)));
        assert!(record.is_stale(host.path()));
    }

    #[test]
    fn a_library_replaced_under_its_name_and_with_its_time_makes_it_stale() {
        let (host, record) = host();
        let (_, Some((_, _, ctime))) = record.files[0] else { panic!() };
        let (dash, new) = (host.path().join("usr/bin/dash"), host.path().join("usr/bin/dash.dpkg-new"));
        write_later(&new, ctime);
        let time = fs::metadata(&dash).unwrap().modified().unwrap();
        fs::File::options().append(true).open(&new).unwrap().set_modified(time).unwrap();
        fs::rename(&new, &dash).unwrap();
        assert!(record.is_stale(host.path()));
    }

    #[test]
    fn what_kept_a_program_out_makes_it_stale_once_it_is_gone() {
        let host = tempfile::tempdir().unwrap();
        fs::create_dir_all(host.path().join("lib64")).unwrap();
        fs::write(host.path().join("grep"), "elf").unwrap();
        let missing = chroot::MissingLibrary {
            needed_by: "/grep".into(),
            library: "libpcre.so".into(),
            searched: vec!["/opt".into(), "/lib64".into()],
            rejected: Vec::new(),
        };
        let refused = |why| {
            let refused = vec![chroot::Refused { program: "/grep".into(), why }];
            Record::new(
                host.path(),
                &Report { refused, ..Report::default() },
                Vec::new(),
                &["/sbin/x".into()],
            )
        };
        let record = refused(Refusal::Library(missing));
        assert!(!record.is_stale(host.path()));
        let library = host.path().join("lib64/libpcre.so");
        fs::write(&library, "elf").unwrap();
        assert!(record.is_stale(host.path()));
        fs::remove_file(library).unwrap();
        fs::create_dir(host.path().join("sbin")).unwrap();
        assert!(!record.is_stale(host.path()));
        fs::write(host.path().join("sbin/x"), "").unwrap();
        assert!(record.is_stale(host.path()));
        // One that changed while it was read is read again, whatever it has become.
        assert!(refused(Refusal::Changed("/grep".into())).is_stale(host.path()));
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
