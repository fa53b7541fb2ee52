//! What `-v` binds: made where it is missing, and checked for the propagation that was asked for.

use std::path::Path;

use anyhow::Context;
use cgroups::mountinfo;
use sys::{Errno, SysError};

use crate::runtime::Failure;
use crate::spec::{Bind, Request};
use crate::store::{Privilege, Store};

/// What `-v` names and the host lacks becomes a directory, at each start as in Docker.
pub(super) fn make_sources(store: &Store, request: &Request) -> anyhow::Result<()> {
    let rootless = store.privilege() == Privilege::Rootless;
    for bind in Bind::all(&request.host_config.binds)? {
        let is_private = bind.is_private();
        let Bind { source, propagation, .. } = bind;
        if !source.exists() {
            std::fs::create_dir_all(&source).map_err(|e| unmade(&source, e))?;
        }
        if !is_private {
            check_propagation(&source, &propagation, rootless)?;
        }
    }
    Ok(())
}

/// Why the source of a bind is not there and can't be made.
fn unmade(source: &Path, error: std::io::Error) -> Failure {
    // The topmost directory that is missing, as far as this user can see: its mkdir(2) failed.
    let first = source.ancestors().take_while(|path| !path.exists()).last().unwrap_or(source);
    let call = SysError::of("mkdir", format!("{first:?}, 0777"), error);
    let failure =
        Failure::of(format!("error while creating mount source path '{}'", source.display()), &call);
    let because = match call.errno() {
        Errno::EACCES | Errno::EPERM => {
            "nothing is there that this user can see, and it may not make a directory there, or not search the one above"
        }
        Errno::EEXIST | Errno::ELOOP => "a symbolic link is there that leads to nothing, or back to itself",
        Errno::ENOTDIR => "a file is above it",
        Errno::ENOENT => "nothing is there, and nothing can be made there, as below /proc",
        Errno::EROFS => "nothing is there, and that file system is mounted read-only",
        _ => return failure,
    };
    failure.advise(because, "name a file or directory that is there, and that this user can reach")
}

/// Docker's `ensureShared` and `ensureSharedOrSlave` (moby `daemon/oci_linux.go`).
fn check_propagation(source: &Path, wanted: &str, rootless: bool) -> anyhow::Result<()> {
    let shared = wanted.ends_with("shared");
    let shown = source.display();
    if shared && rootless {
        anyhow::bail!(
            "path {shown} can't be {wanted}: mounts in a user namespace are slaves of the host's (mount_namespaces(7))"
        );
    }
    let real = source.canonicalize().with_context(|| format!("cannot find {shown}"))?;
    let table = std::fs::read("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    let mut above = mountinfo::parse(&table);
    above.retain(|mount| real.starts_with(&mount.point));
    // Of several on one place the last one is on top.
    let Some(mount) = above.iter().max_by_key(|mount| mount.point.components().count()) else {
        return Ok(());
    };
    let is = |kind: &str| mount.propagation.split(' ').any(|field| field.starts_with(kind));
    if is("shared:") || (!shared && is("master:")) {
        return Ok(());
    }
    let kind = if shared { "shared" } else { "shared or slave" };
    anyhow::bail!("path {shown} is mounted on {} but it is not a {kind} mount", mount.point.display())
}
