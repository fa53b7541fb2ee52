//! What `-v` binds: made where it is missing, and checked for the propagation that was asked for.

use std::path::{Path, PathBuf};

use anyhow::Context;

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
    let real = source.canonicalize().with_context(|| format!("find {shown}"))?;
    let table = std::fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
    // proc(5): id, parent, device, root, where, options, then the optional fields up to a dash.
    let place = |line: &'_ str| PathBuf::from(line.split(' ').nth(4).unwrap_or("/").replace("\\040", " "));
    let above = table.lines().filter(|line| real.starts_with(place(line)));
    // Of several on one place the last one is on top.
    let Some(mount) = above.max_by_key(|line| place(line).components().count()) else { return Ok(()) };
    let fields = mount.split(" - ").next().unwrap_or_default();
    if fields.contains(" shared:") || (!shared && fields.contains(" master:")) {
        return Ok(());
    }
    let kind = if shared { "shared" } else { "shared or slave" };
    anyhow::bail!("path {shown} is mounted on {} but it is not a {kind} mount", place(mount).display())
}
