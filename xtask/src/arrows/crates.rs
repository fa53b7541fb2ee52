//! Arrows between crates: `minidocker` -> chapter libraries -> `sys`.
//!
//! Chapter libraries are strangers to each other. Cargo can't say this alone, because the demo
//! binary of a chapter (`main.rs`) may use the chapters before it, and it shares its
//! dependencies with the library: so the sources are read.

use std::path::Path;

use super::Finding;
use crate::paths;
use crate::source::File;
use crate::workspace::{Package, Workspace};

/// Crates that only tests use.
const FOR_TESTS: [&str; 2] = ["kit", PAYLOAD];
/// The crate that holds a program to be put into root file systems: by the demos of the chapters, and by
/// this folder of the engine.
const PAYLOAD: &str = "payload";
const CARRIES_PAYLOAD: &str = "minidocker/src/image";

pub(super) fn check(workspace: &Workspace, files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        findings.extend(declared(package, workspace));
        if package.chapter().is_some() {
            let own = files.iter().filter(|f| f.is_rust() && f.path.starts_with(&package.folder));
            findings.extend(own.flat_map(|file| named(package, file, workspace)));
        }
    }
    findings.extend(files.iter().filter(|f| f.is_rust() && !may_carry(f, workspace)).flat_map(carried));
    findings
}

/// What Cargo.toml declares.
fn declared(package: &Package, workspace: &Workspace) -> Vec<Finding> {
    let manifest = package.folder.join("Cargo.toml");
    let find = |name: &String| workspace.packages.iter().find(|p| p.name == *name);
    let real = package.depends_on.iter().filter_map(find).filter(|other| !may_depend(package, other));
    let tests = package.tests_depend_on.iter().filter_map(find);
    let tests = tests.filter(|o| !FOR_TESTS.contains(&&*o.name) && !may_depend(package, o));
    real.chain(tests)
        .map(|other| Finding::new(&manifest, 0, format!("{} may not depend on {}", package.name, other.name)))
        .collect()
}

fn may_depend(package: &Package, other: &Package) -> bool {
    match (package.chapter(), other.chapter()) {
        (Some(own), Some(theirs)) => theirs < own,
        (None, Some(theirs)) => {
            package.name == "minidocker" || (["kit", "applets"].contains(&&*package.name) && theirs == 0)
        }
        (chapter, None) => other.name == PAYLOAD && (package.name == "minidocker" || chapter.is_some()),
    }
}

/// What a file of a chapter names.
fn named(package: &Package, file: &File, workspace: &Workspace) -> Vec<Finding> {
    let own = package.chapter().unwrap_or_default();
    let is_library = file.path.starts_with(package.folder.join("src")) && !is_demo(package, &file.path);
    let chapters: Vec<(&str, u32)> =
        workspace.packages.iter().filter_map(|p| Some((p.library.as_deref()?, p.chapter()?))).collect();
    let code = file.code();
    let mut findings = Vec::new();
    for path in paths::named(&code) {
        let Some(root) = path.segments.first() else { continue };
        let Some((library, theirs)) = chapters.iter().find(|(library, _)| library == root) else { continue };
        let declares = |name: &&String| {
            workspace.packages.iter().any(|p| p.name == **name && p.library.as_deref() == Some(library))
        };
        let foreign = package.depends_on.iter().chain(&package.tests_depend_on).find(declares).is_some();
        if foreign && is_library && *theirs != 0 {
            findings.push(Finding::new(
                &file.path,
                path.line,
                format!("a chapter's library names only sys, not {library}: {}", path.segments.join("::")),
            ));
        } else if foreign && *theirs > own {
            findings.push(Finding::new(
                &file.path,
                path.line,
                format!("chapter {own} comes before {library}"),
            ));
        }
    }
    findings
}

/// Whether a file may name the program that is carried: not the library of a chapter, one room of the engine.
fn may_carry(file: &File, workspace: &Workspace) -> bool {
    let sources = ["chapters", "minidocker"].iter().any(|folder| file.path.starts_with(folder))
        && file.path.iter().any(|part| part == "src");
    let demo = workspace.packages.iter().any(|p| p.chapter().is_some() && is_demo(p, &file.path));
    !sources || demo || file.path.starts_with(CARRIES_PAYLOAD)
}

fn carried(file: &File) -> Vec<Finding> {
    let code = file.code();
    let named = paths::named(&code).into_iter().filter(|path| path.segments.first() == Some(&PAYLOAD));
    let what = format!("{PAYLOAD} is carried by the demos and by {CARRIES_PAYLOAD} alone");
    named.map(|path| Finding::new(&file.path, path.line, what.clone())).collect()
}

/// Whether `path` is the demo binary of the package.
pub(super) fn is_demo(package: &Package, path: &Path) -> bool {
    path == package.folder.join("src/main.rs")
}

#[cfg(test)]
mod tests {
    use super::{carried, declared, may_carry, named};
    use crate::source::File;
    use crate::workspace::{Package, Workspace};

    fn package(name: &str, folder: &str, library: &str, depends_on: &[&str]) -> Package {
        Package {
            name: name.into(),
            version: "0.1.0".into(),
            id: name.into(),
            folder: folder.into(),
            library: Some(library.into()),
            depends_on: depends_on.iter().map(|d| (*d).into()).collect(),
            tests_depend_on: vec!["kit".into()],
        }
    }

    fn workspace() -> Workspace {
        let packages = vec![
            package("ch00-syscalls", "chapters/00-syscalls", "sys", &[]),
            package("ch01-chroot", "chapters/01-chroot", "chroot", &["ch00-syscalls"]),
            package(
                "ch02-namespaces",
                "chapters/02-namespaces",
                "namespaces",
                &["ch00-syscalls", "ch01-chroot"],
            ),
            package("kit", "tests/kit", "kit", &[]),
            package("minidocker", "minidocker", "minidocker", &["ch02-namespaces"]),
        ];
        Workspace { root: "/".into(), target: "/".into(), packages }
    }

    fn findings(path: &str, text: &str) -> usize {
        let workspace = workspace();
        let file = File { path: path.into(), text: text.into(), is_test: false };
        named(&workspace.packages[2], &file, &workspace).len()
    }

    #[test]
    fn only_the_demo_of_a_chapter_names_an_earlier_chapter() {
        let text = "use chroot::Root; fn f() { sys::chroot(\"/\") }";
        assert_eq!(findings("chapters/02-namespaces/src/lib.rs", text), 1);
        assert_eq!(findings("chapters/02-namespaces/src/a/b.rs", "use {sys::chroot, chroot as c};"), 1);
        assert_eq!(findings("chapters/02-namespaces/src/main.rs", text), 0);
        assert_eq!(
            findings("chapters/02-namespaces/src/lib.rs", "use sys::chroot; fn f() { chroot(\"/\") }"),
            0
        );
    }

    #[test]
    fn demos_and_one_room_of_the_engine_carry_the_payload() {
        let text = "fn f() { write(payload::PROGRAM) }";
        let found = |path: &str| {
            let file = File { path: path.into(), text: text.into(), is_test: false };
            if may_carry(&file, &workspace()) { 0 } else { carried(&file).len() }
        };
        assert_eq!(found("chapters/02-namespaces/src/main.rs"), 0);
        assert_eq!(found("chapters/02-namespaces/src/lib.rs"), 1);
        assert_eq!(found("minidocker/src/image/hostbox/make.rs"), 0);
        assert_eq!(found("minidocker/src/cli/run.rs"), 1);
        assert_eq!(found("tests/e2e/holes.rs"), 0);
    }

    #[test]
    fn a_crate_depends_only_downwards() {
        let mut workspace = workspace();
        assert!(workspace.packages.iter().all(|p| declared(p, &workspace).is_empty()));
        workspace.packages[1].depends_on.push("ch02-namespaces".into());
        workspace.packages[3].depends_on.push("minidocker".into());
        let wrong: Vec<_> = workspace.packages.iter().flat_map(|p| declared(p, &workspace)).collect();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert_eq!(wrong[0].what, "ch01-chroot may not depend on ch02-namespaces");
    }
}
