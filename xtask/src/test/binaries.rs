//! The test binaries of the workspace, as cargo built them.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::workspace::{self, Package, Workspace};

/// One test binary.
pub(super) struct TestBinary {
    /// The package and what of it: `ch01-chroot src`, `minidocker tests/run`.
    pub(super) name: String,
    package: usize,
    executable: PathBuf,
}

/// All of them, and the programs that they may start.
pub(super) struct Binaries {
    pub(super) tests: Vec<TestBinary>,
    /// The package, the name and the path of each program.
    programs: Vec<(usize, String, PathBuf)>,
}

/// Builds the programs and the tests of `packages`.
pub(super) fn build(workspace: &Workspace, packages: &[&str]) -> Result<Binaries> {
    // A test may start the demo binary of another chapter, which `cargo test` alone doesn't build.
    workspace.cargo(&[&["build", "--bins"], packages].concat())?;
    println!("+ cargo test --no-run {}", packages.join(" "));
    let mut command = workspace::cargo();
    command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]).args(packages);
    let mut child =
        command.current_dir(&workspace.root).stdout(Stdio::piped()).spawn().context("start cargo test")?;
    let mut binaries = Binaries { tests: Vec::new(), programs: Vec::new() };
    let messages = child.stdout.take().context("cargo's messages")?;
    for line in BufReader::new(messages).lines() {
        if let Ok(message) = serde_json::from_str(&line?) {
            binaries.note(&message, &workspace.packages);
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "cargo test --no-run: {status}");
    binaries.tests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(binaries)
}

impl Binaries {
    /// Takes an executable from one of cargo's messages (The Cargo Book, "Artifact messages").
    fn note(&mut self, message: &Value, packages: &[Package]) {
        let target = &message["target"];
        let is_kind = |kind: &str| target["kind"].as_array().is_some_and(|all| all.iter().any(|k| k == kind));
        let package = packages.iter().position(|p| message["package_id"] == p.id.as_str());
        let (Some(executable), Some(package), Some(name)) =
            (message["executable"].as_str(), package, target["name"].as_str())
        else {
            return;
        };
        if message["profile"]["test"] == true {
            let part = match (is_kind("test"), is_kind("bin")) {
                (true, _) => format!("tests/{name}"),
                (_, true) => "src/main.rs".to_owned(),
                _ => "src".to_owned(),
            };
            let name = format!("{} {part}", packages[package].name);
            self.tests.push(TestBinary { name, package, executable: executable.into() });
        } else if is_kind("bin") {
            self.programs.push((package, name.to_owned(), executable.into()));
        }
    }

    /// Starts `binary` as cargo would: same folder, same variables.
    pub(super) fn command(
        &self,
        binary: &TestBinary,
        workspace: &Workspace,
        filter: Option<&str>,
    ) -> Command {
        let package = &workspace.packages[binary.package];
        let folder = workspace.root.join(&package.folder);
        let mut command = Command::new(&binary.executable);
        command.args(filter).current_dir(&folder).env("CARGO_MANIFEST_DIR", &folder);
        command.env("CARGO", workspace::cargo().get_program());
        command.env("CARGO_PKG_NAME", &package.name).env("CARGO_PKG_VERSION", &package.version);
        for (_, name, path) in self.programs.iter().filter(|(owner, ..)| *owner == binary.package) {
            command.env(format!("CARGO_BIN_EXE_{name}"), path);
        }
        command
    }
}
