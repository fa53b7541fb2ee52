//! What runs: the image's defaults and the user's words, merged by Docker's rules.
//!
//! Source: moby `daemon/merge.go`, `daemon/create.go` (`mergeAndVerifyConfig`) and
//! `container/container_unix.go` (`CreateDaemonEnvironment`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::runtime::{Box as ConsoleSize, BoxBuilder};

use super::{Config, Empty, Facts, HostConfig, ImageDefaults, NetworkMode, Request, SpecError};

/// `PATH` where neither the image nor the user sets one.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The whole configuration of a container: what the user left out is the image's.
/// This is the `Config` that `inspect` shows.
#[must_use]
pub fn merged(image: &ImageDefaults, asked: &Config) -> Config {
    let mut config = asked.clone();
    let own = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    config.user = own(&asked.user, &image.user);
    config.working_dir = own(&asked.working_dir, &image.working_dir);
    config.env = asked.env.clone();
    let missing = |entry: &&String| !asked.env.iter().any(|e| name_of(e) == name_of(entry));
    config.env.extend(image.env.iter().filter(missing).cloned());
    let no_words = |words: &Option<Vec<String>>| words.as_ref().is_none_or(Vec::is_empty);
    if no_words(&asked.entrypoint) {
        // An entrypoint of the user's own drops the image's arguments too: they belong to another program.
        if no_words(&asked.cmd) {
            config.cmd = image.cmd.clone();
        }
        if asked.entrypoint.is_none() {
            config.entrypoint = image.entrypoint.clone();
        }
    }
    if config.entrypoint.as_ref().is_some_and(|words| words.len() == 1 && words[0].is_empty()) {
        config.entrypoint = None;
    }
    for (key, value) in &image.labels {
        config.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if !image.volumes.is_empty() {
        let volumes = config.volumes.get_or_insert_with(BTreeMap::new);
        volumes.extend(image.volumes.iter().map(|path| (path.clone(), Empty {})));
    }
    config.stop_signal = asked.stop_signal.clone().or_else(|| image.stop_signal.clone());
    config
}

/// `process.args`: entrypoint, then cmd.
pub(super) fn args(config: &Config) -> Result<Vec<String>, SpecError> {
    let words = config.entrypoint.iter().chain(&config.cmd).flatten().cloned().collect::<Vec<_>>();
    if words.is_empty() { Err(SpecError::NoCommand) } else { Ok(words) }
}

/// `process.env`: our defaults first, each overridden in its place; `NAME` without a value removes.
pub(super) fn env(config: &Config, hostname: &str, home: &str) -> Vec<String> {
    let mut env = vec![format!("PATH={PATH}"), format!("HOSTNAME={hostname}")];
    if config.tty {
        env.push("TERM=xterm".to_owned());
    }
    for entry in &config.env {
        let name = name_of(entry);
        let at = env.iter().position(|e| name_of(e) == name);
        match (entry.contains('='), at) {
            (true, Some(at)) => env[at].clone_from(entry),
            (true, None) => env.push(entry.clone()),
            (false, Some(at)) => drop(env.remove(at)),
            (false, None) => {}
        }
    }
    // runc adds HOME last, and only where nobody set it.
    if !env.iter().any(|e| name_of(e) == "HOME") {
        env.push(format!("HOME={home}"));
    }
    env
}

fn name_of(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

/// `process.cwd`, without `.` and `//` as Docker cleans it; symlinks are the runtime's to follow.
pub(super) fn cwd(config: &Config) -> Result<PathBuf, SpecError> {
    let dir = &config.working_dir;
    if dir.is_empty() {
        return Ok(PathBuf::from("/"));
    }
    if !dir.starts_with('/') {
        return Err(SpecError::WorkingDir(dir.clone()));
    }
    Ok(clean(dir))
}

/// An absolute path without `.`, `..` and `//`, by its text alone, as Go's path.Clean does it.
pub(super) fn clean(path: &str) -> PathBuf {
    path.split('/').fold(PathBuf::from("/"), |mut clean, part| {
        match part {
            "" | "." => {}
            ".." => drop(clean.pop()),
            name => clean.push(name),
        }
        clean
    })
}

/// `process.consoleSize`: the size of the client's terminal, so that the program starts with it.
pub(super) fn console_size(config: &Config, host: &HostConfig) -> Option<ConsoleSize> {
    let [rows, columns] = host.console_size;
    if !config.tty || (rows, columns) == (0, 0) {
        return None;
    }
    // Never an error: the builder has a default for each field.
    BoxBuilder::default().height(rows).width(columns).build().ok()
}

/// The host name in the container: as asked, else that of the host with its network, else the short id.
#[must_use]
pub fn hostname(request: &Request, facts: &Facts) -> String {
    let asked = &request.config.hostname;
    match request.host_config.network_mode {
        _ if !asked.is_empty() => asked.clone(),
        NetworkMode::Host => facts.host_hostname.clone(),
        NetworkMode::None => request.short_id().to_owned(),
    }
}
