//! Links the binary at a fixed address, and with what it needs of libgcc inside.
//!
//! It is started twice for each container (the command, and its supervisor). A position
//! independent program first relocates its tables of pointers: 330 kB that it then owns. And a
//! shared library costs a search, six system calls, and a dozen page faults, each time.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-no-pie");
    if let Some(folder) = static_unwinder() {
        println!("cargo:rustc-link-arg-bins=-L{folder}");
    }
}

/// A folder with a linker script in the place of libgcc_s.so, which the standard library asks for by
/// name: it leads to the same functions in libgcc_eh.a. None where the compiler has no such file.
fn static_unwinder() -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok();
    if variable("HOST") != variable("TARGET") {
        return None;
    }
    let linker = variable("RUSTC_LINKER").unwrap_or_else(|| "cc".to_owned());
    let found = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output().ok()?;
    // The bare name comes back when there is none.
    if !Path::new(String::from_utf8(found.stdout).ok()?.trim()).is_absolute() {
        return None;
    }
    let folder = variable("OUT_DIR")?;
    std::fs::write(Path::new(&folder).join("libgcc_s.so"), "INPUT ( -lgcc_eh )\n").ok()?;
    Some(folder)
}
