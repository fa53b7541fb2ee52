//! One small program of applets, as bytes: `minidocker` and the demos of the chapters carry it.
//!
//! The program is package `applets`, in the folder `program`. Which applet it is, is said by the name it
//! is called by (`holes`, `ps`, …), or by its first argument. It is linked statically; where the
//! machine that builds has no static libc it needs the dynamic one, and no other library.
#![forbid(unsafe_code)]

/// The ELF file: to be written somewhere with mode 0755.
pub static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/program"));

/// Another one for another [`PROGRAM`]: 16 hexadecimal digits.
pub const PROGRAM_ID: &str = env!("PROGRAM_ID");

/// The applets that stand in for a program which a host may lack.
pub const FILL_INS: [&str; 4] = ["ps", "id", "mount", "ip"];
