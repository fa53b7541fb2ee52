//! `minidocker inspect`.

use std::path::PathBuf;

use oci_spec::runtime::Spec;

use super::Refused;
use super::found::Found;
use super::told::Told;
use super::verb::{Arity, Verb};
use crate::container::{self, ContainerError};
use crate::format::{self, Inspected};
use crate::spec::{OVERLAY_ANNOTATION, OverlayAnnotation};
use crate::store::Store;

/// `inspect NAME...`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Inspect {
    /// Containers, by name, id or the beginning of an id.
    #[arg(hide = true)]
    pub names: Vec<String>,
}

impl Verb for Inspect {
    const ABOUT: &'static str = "Return low-level information on containers";
    const USAGE: &'static str = "[OPTIONS] NAME|ID [NAME|ID...]";
    const NOT_YET: &'static str = "f,format= s,size type=";
    const ARITY: Arity = Arity::Some;

    fn usage(path: &str) -> &'static str {
        if path == "inspect" { Self::USAGE } else { "[OPTIONS] CONTAINER [CONTAINER...]" }
    }

    fn words(&self) -> usize {
        self.names.len()
    }

    fn act(self, path: &str) -> anyhow::Result<u8> {
        inspect(&self, path)
    }
}

/// Prints a JSON list of those that there are ([`crate::format::inspect`]), tells of the others on
/// stderr, and ends with 1 if there were such.
fn inspect(args: &Inspect, path: &str) -> anyhow::Result<u8> {
    let store = Store::open()?;
    let mut found = Vec::new();
    let code = Told::each(&args.names, |name| match one(&store, name) {
        Ok(one) => {
            found.push(one);
            Ok(())
        }
        // Docker's `inspect` looks for images, networks and volumes too.
        Err(e) if !path.contains(' ') && matches!(e.downcast_ref(), Some(ContainerError::NotFound(_))) => {
            Err(Refused::new(1, format!("no such object: {name}")).into())
        }
        Err(e) => Err(e),
    });
    let shown: Vec<_> = found.iter().map(|(one, lowers)| format::inspect(&view(one, lowers))).collect();
    super::print(&format::pretty(&shown)?)?;
    Ok(code)
}

fn view<'a>(one: &'a Found, lowers: &'a [PathBuf]) -> Inspected<'a> {
    Inspected {
        request: &one.request,
        config: &one.config,
        state: one.shown(),
        bundle: &one.container.dir,
        lowers,
    }
}

fn one(store: &Store, name: &str) -> anyhow::Result<(Found, Vec<PathBuf>)> {
    let container = container::find(store, name)?;
    match container::recover(store, &container) {
        // What is shown is right all the same.
        Err(e) if e.is_full_disk() => Told::note(e),
        other => other?,
    }
    let spec = container.spec()?;
    let mut found = Found::read(store, container)?;
    // With the host's network it is the host's name of that time, which no request says.
    found.config.hostname = spec.hostname().clone().unwrap_or_default();
    Ok((found, lowers(&spec)?))
}

/// The layers.
fn lowers(spec: &Spec) -> anyhow::Result<Vec<PathBuf>> {
    let annotation = spec.annotations().as_ref().and_then(|a| a.get(OVERLAY_ANNOTATION));
    let overlay = annotation.map(|text| serde_json::from_str::<OverlayAnnotation>(text)).transpose()?;
    Ok(overlay.map(|overlay| overlay.lower).unwrap_or_default())
}
