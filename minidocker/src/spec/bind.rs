//! `-v HOST:CONTAINER[:OPTIONS]`, an entry of `HostConfig.Binds`, as Docker's daemon reads it.
//!
//! Source: moby 28, `volume/mounts/linux_parser.go`. A volume (no host path) never comes here: the
//! command line refuses it.

use std::path::{Path, PathBuf};

use super::SpecError;
use super::command::clean;

/// One bind mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// A path of the host.
    pub source: PathBuf,
    /// Where, in the container.
    pub destination: PathBuf,
    /// The options as typed: `Mode` of `inspect`.
    pub mode: String,
    /// `ro`.
    pub read_only: bool,
    /// `rprivate`, `slave` and so on.
    pub propagation: String,
}

/// Docker's options, those that exclude each other in one line. `z`, `Z` are SELinux's, and the last
/// line is for virtual machines: on a Linux host both mean nothing. A volume's `nocopy` isn't here.
const OPTIONS: [&[&str]; 4] = [
    &["ro", "rw"],
    &["private", "rprivate", "shared", "rshared", "slave", "rslave"],
    &["z", "Z"],
    &["consistent", "cached", "delegated"],
];

impl Bind {
    /// Reads one entry.
    ///
    /// # Errors
    /// `VolumeSpec`, `VolumeMode`, in Docker's words.
    pub fn parse(entry: &str) -> Result<Self, SpecError> {
        let bad = |why: String| SpecError::VolumeSpec(entry.to_owned(), why);
        let parts: Vec<&str> = entry.split(':').collect();
        let (source, target, mode) = match parts.as_slice() {
            [source, target] if !source.is_empty() && check(target).is_err() => (*source, *target, ""),
            [source, target, mode] if !source.is_empty() => (*source, *target, *mode),
            _ => return Err(bad(String::new())),
        };
        check(mode)?;
        let config = |why: &str| bad(format!(": invalid mount config for type \"bind\": {why}"));
        if target.is_empty() {
            return Err(config("field Target must not be empty"));
        }
        check_target(target).map_err(|e| config(&e.to_string()))?;
        if mode.split(',').any(|option| option == "nocopy") {
            return Err(config("field VolumeOptions must not be specified"));
        }
        let propagation = mode.split(',').find(|option| OPTIONS[1].contains(option));
        Ok(Self {
            source: clean(source),
            destination: clean(target),
            mode: mode.to_owned(),
            read_only: mode.split(',').any(|option| option == "ro"),
            propagation: propagation.unwrap_or("rprivate").to_owned(),
        })
    }

    /// Whether what the host mounts there later stays away, and the reverse.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.propagation.ends_with("private")
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// As [`Bind::parse`].
    pub fn all(entries: &[String]) -> Result<Vec<Self>, SpecError> {
        entries.iter().map(|entry| Self::parse(entry)).collect()
    }
}

/// Each option is known, and of those that exclude each other there is one.
fn check(mode: &str) -> Result<(), SpecError> {
    let kind = |option: &str| OPTIONS.iter().position(|kind| kind.contains(&option));
    let kinds: Vec<_> =
        mode.split(',').map(|o| if o == "nocopy" { Some(OPTIONS.len()) } else { kind(o) }).collect();
    let twice = (1..kinds.len()).any(|at| kinds[..at].contains(&kinds[at]));
    if !mode.is_empty() && (twice || kinds.contains(&None)) {
        return Err(SpecError::VolumeMode(mode.to_owned()));
    }
    Ok(())
}

/// Whether something may be mounted there at all.
///
/// # Errors
/// `TargetIsRoot`, `TargetNotAbsolute`.
pub(super) fn check_target(target: &str) -> Result<(), SpecError> {
    if !target.starts_with('/') {
        return Err(SpecError::TargetNotAbsolute(target.to_owned()));
    }
    if clean(target) == Path::new("/") { Err(SpecError::TargetIsRoot) } else { Ok(()) }
}
