//! `-v`, as Docker's command line reads it: a bind mount goes on to the daemon's rules ([`crate::spec::Bind`]).
//!
//! Source: docker/cli 28, `cli/command/container/opts.go` and `cli/compose/loader/volume.go`.

use std::path::Path;

use super::Refused;
use super::make::Given;
use crate::spec::clean;

/// The entries of `HostConfig.Binds`, each once.
///
/// # Errors
/// Docker's words for what has no meaning; volumes, and SELinux's labels where they would mean something.
pub(super) fn binds(typed: &[String], given: &Given<'_>) -> Result<Vec<String>, Refused> {
    let mut binds = Vec::new();
    for text in typed {
        let bind = bind(text, given)?;
        if !binds.contains(&bind) {
            binds.push(bind);
        }
    }
    Ok(binds)
}

fn bind(text: &str, given: &Given<'_>) -> Result<String, Refused> {
    let invalid = |why: &str| Refused::new(125, format!("invalid spec: {text}: {why}"));
    let not_yet = |what: &str| Refused::not_yet(&format!("{} --volume {text}, {what}", given.path));
    if text.is_empty() {
        return Err(Refused::new(125, "invalid empty volume spec"));
    }
    let parts: Vec<&str> = text.split(':').collect();
    if parts.contains(&"") {
        return Err(invalid("empty section between colons"));
    }
    let [source, rest @ ..] = parts.as_slice() else { return Err(invalid("empty section between colons")) };
    let labelled = |mode: &&str| mode.split(',').any(|option| ["z", "Z"].contains(&option));
    match rest {
        [] => return Err(not_yet("an anonymous volume")),
        [_, _, _, ..] => return Err(invalid("too many colons")),
        // Without SELinux there are no labels, and Docker too has nothing to do for it.
        [_, mode] if given.selinux && labelled(mode) => {
            return Err(not_yet("a label of SELinux"));
        }
        _ => {}
    }
    if source.starts_with('.') && given.here.is_none() {
        return Err(Refused::new(
            125,
            format!(
                "invalid spec: {text}: {source} is relative, and there is no working directory\n  {NO_HERE}"
            ),
        ));
    }
    let here = given.here.as_ref().filter(|_| source.starts_with('.'));
    let absolute = here.map(|here| here.join(source));
    match absolute.as_deref().map_or(Some(*source), Path::to_str) {
        Some(path) if absolute.is_some() => Ok(format!("{}:{}", clean(path).display(), rest.join(":"))),
        Some(path) if path.starts_with('/') => Ok(text.to_owned()),
        _ if is_name(source) => Err(not_yet("a named volume")),
        _ => Err(Refused::new(
            125,
            format!(
                "create {source}: {source:?} includes invalid characters for a local volume name, only \
                 \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use \
                 absolute path"
            ),
        )),
    }
}

/// The lines below.
const NO_HERE: &str = "getcwd() : ENOENT (No such file or directory)\n  \
    because: the directory in which this shell is was removed, or can't be reached any more\n  do: cd /";

/// Docker's rule for the name of a volume.
fn is_name(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, b)| b.is_ascii_alphanumeric() || (at > 0 && b"_.-".contains(&b)))
}
