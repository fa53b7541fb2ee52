//! Builds the program of applets, by a cargo of its own.
//!
//! Cargo can't make one package's binary a file of another one (artifact dependencies are unstable), and
//! the program has flags of its own besides: linked statically, small. Its target directory is another
//! one, so it waits for no lock of the cargo that started us; the job tokens come by CARGO_MAKEFLAGS.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the program is made of, relative to us.
const SOURCES: [&str; 7] = [
    "build.rs",
    "program/src",
    "program/Cargo.toml",
    "../../chapters/00-syscalls/src",
    "../../chapters/00-syscalls/Cargo.toml",
    "../../Cargo.toml",
    "../../Cargo.lock",
];

/// In place of libgcc_s.so, for a dynamic program: the unwinder, static. It comes with gcc itself.
const STATIC_UNWINDER: &str = "INPUT(-lgcc_eh -lgcc)\n";

fn main() -> Result<(), Box<dyn Error>> {
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    let target = env::var("TARGET")?;
    // What our cargo was told for this target, and then ours.
    let mut flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let shared = shared_folder(&out);
    for flag in linkage(&out, &shared, &target)? {
        flags = [flags, flag].into_iter().filter(|f| !f.is_empty()).collect::<Vec<_>>().join("\x1f");
    }
    // One for each set of flags: two cargos may build at the same time.
    let folder = shared.join(id(flags.as_bytes()));
    let mut cargo = Command::new(env::var_os("CARGO").ok_or("no CARGO")?);
    // With --target these flags are for the program alone: a derive macro can't be linked statically.
    cargo.args(["build", "--locked", "--profile", "payload", "-p", "applets", "--target", &target]);
    cargo.arg("--target-dir").arg(&folder).env("CARGO_ENCODED_RUSTFLAGS", flags);
    // clippy stands there while it checks the workspace, and others as well.
    for wrapper in ["RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER", "RUSTFLAGS"] {
        cargo.env_remove(wrapper);
    }
    let status = cargo.status()?;
    if !status.success() {
        return Err(format!("{cargo:?}: {status}").into());
    }
    let program = fs::read(folder.join(&target).join("payload/applets"))?;
    println!("cargo:rustc-env=PROGRAM_ID={}", id(&program));
    fs::write(out.join("program"), program)?;
    Ok(())
}

/// A folder in the target directory of our cargo. OUT_DIR would do, but `cargo build`, the same with
/// --release and `cargo clippy` have one each, and would build the program once more.
fn shared_folder(out: &Path) -> PathBuf {
    // Cargo marks its target directory with this file.
    let root = out.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    root.unwrap_or(out).join("payload")
}

fn id(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The flags for a static program, where that can be linked here: Fedora and others have libc.a in a
/// package that nobody has. There it is dynamic, and needs libc alone.
fn linkage(out: &Path, shared: &Path, target: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let is_static = "-Ctarget-feature=+crt-static".to_owned();
    let probe = out.join("probe.rs");
    fs::write(&probe, "fn main() {}\n")?;
    let mut rustc = Command::new(env::var_os("RUSTC").ok_or("no RUSTC")?);
    rustc
        .args(["--crate-type", "bin", "--target", target, &is_static, "-o"])
        .arg(out.join("probe"))
        .arg(&probe);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("-Clinker=");
        option.push(linker);
        rustc.arg(option);
    }
    if rustc.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
        return Ok(vec![is_static]);
    }
    let instead = shared.join("unwinder");
    fs::create_dir_all(&instead)?;
    fs::write(instead.join("libgcc_s.so"), STATIC_UNWINDER)?;
    Ok(vec!["-Ctarget-feature=-crt-static".to_owned(), format!("-L{}", instead.display())])
}
