//! What `-v` binds: made where it is missing, and checked for the propagation that was asked for.

use std::path::Path;

use anyhow::Context;
use cgroups::mountinfo;

use crate::spec::{Bind, Request};
use crate::store::{Privilege, Store};

/// What `-v` names and the host lacks becomes a directory, at each start as in Docker.
pub(super) fn make_sources(store: &Store, request: &Request) -> anyhow::Result<()> {
    let rootless = store.privilege() == Privilege::Rootless;
    for bind in Bind::all(&request.host_config.binds)? {
        let is_private = bind.is_private();
        let Bind { source, propagation, .. } = bind;
        if !source.exists() {
            let failed = || format!("error while creating mount source path '{}'", source.display());
            std::fs::create_dir_all(&source).with_context(failed)?;
        }
        if !is_private {
            check_propagation(&source, &propagation, rootless)?;
        }
    }
    Ok(())
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
