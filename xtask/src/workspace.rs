//! The workspace as Cargo tells it, and the commands that are started in it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::source::{self, File};

/// The workspace: its folders and its packages.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One member of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Cargo's own spelling, which its messages use.
    pub(crate) id: String,
    /// Relative to the root of the workspace.
    pub(crate) folder: PathBuf,
    /// The name by which others call its library.
    pub(crate) library: Option<String>,
    /// Members that its library or binary depends on, by package name.
    pub(crate) depends_on: Vec<String>,
    /// Members that only its tests and examples depend on.
    pub(crate) tests_depend_on: Vec<String>,
}

impl Workspace {
    /// Asks `cargo metadata`.
    pub(crate) fn read() -> Result<Self> {
        let out = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .stderr(Stdio::inherit())
            .output()
            .context("start cargo metadata")?;
        ensure!(out.status.success(), "cargo metadata: {}", out.status);
        let metadata: Value = serde_json::from_slice(&out.stdout).context("read cargo metadata")?;
        let root = PathBuf::from(text(&metadata, "workspace_root")?);
        let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
        let packages = packages.iter().map(|p| Package::read(p, &root)).collect::<Result<_>>()?;
        Ok(Workspace { target: text(&metadata, "target_directory")?.into(), root, packages })
    }

    /// The project's own text files.
    pub(crate) fn files(&self) -> Result<Vec<File>> {
        source::read_tree(&self.root)
    }

    /// A folder for what this program writes.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.join("xtask").join(name);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(folder)
    }

    /// Runs cargo in the root of the workspace; its words go to the terminal.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Result<()> {
        println!("+ cargo {}", arguments.join(" "));
        run(cargo().args(arguments).current_dir(&self.root))
    }
}

impl Package {
    fn read(package: &Value, root: &Path) -> Result<Self> {
        let manifest = PathBuf::from(text(package, "manifest_path")?);
        let folder = manifest.parent().unwrap_or(root);
        let array = |key: &str| package[key].as_array().cloned().unwrap_or_default();
        let library = array("targets").iter().find(|t| is_library(t)).map(|t| text(t, "name")).transpose()?;
        let (tests, real): (Vec<Value>, Vec<Value>) = array("dependencies")
            .into_iter()
            .filter(|d| d["path"].is_string())
            .partition(|d| d["kind"] == "dev");
        let names = |all: Vec<Value>| all.iter().map(|d| text(d, "name")).collect::<Result<Vec<_>>>();
        Ok(Package {
            name: text(package, "name")?,
            version: text(package, "version")?,
            id: text(package, "id")?,
            folder: folder.strip_prefix(root).unwrap_or(folder).to_owned(),
            library: library.map(|name| name.replace('-', "_")),
            depends_on: names(real)?,
            tests_depend_on: names(tests)?,
        })
    }

    /// N, where this is the package of chapter N.
    pub(crate) fn chapter(&self) -> Option<u32> {
        let name = self.folder.strip_prefix("chapters").ok()?.to_str()?;
        name.split('-').next()?.parse().ok()
    }
}

fn is_library(target: &Value) -> bool {
    target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "lib"))
}

fn text(value: &Value, key: &str) -> Result<String> {
    value[key].as_str().map(str::to_owned).with_context(|| format!("cargo's JSON has no `{key}`"))
}

/// The cargo that started this program, else the one in PATH.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("start {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// Whether the effective user id of this program is 0.
pub(crate) fn is_root() -> Result<bool> {
    // The owner of /proc/self is the effective user (proc(5)).
    Ok(fs::metadata("/proc/self").context("look at /proc/self")?.uid() == 0)
}
