//! Links the binary at a fixed address.
//!
//! It is started twice for each container (the command, and its supervisor), and a position
//! independent program first relocates its tables of pointers: 330 kB that it then owns.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-no-pie");
}
