//! `unpack [--keep-owners] LAYER DIR`: unpacks one layer as the engine's store does, and tells its diff id.
//!
//! As root of the host, with devices and owners; in a user namespace (`unshare -r`), as rootless,
//! where a single id owns everything unless `--keep-owners` asks for the impossible.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use images::{Owners, UnpackOptions, unpack_layer};

fn main() -> ExitCode {
    let (flags, args): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|a| a == "--keep-owners");
    let [layer, into] = args.as_slice() else {
        eprintln!("usage: unpack [--keep-owners] LAYER DIR");
        return ExitCode::from(2);
    };
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let map: Vec<&str> = map.split_whitespace().collect();
    let options = match map.as_slice() {
        ["0", "0", "4294967295"] => UnpackOptions::root(),
        [_, _, "1"] if flags.is_empty() => UnpackOptions::rootless(Owners::Single),
        _ => UnpackOptions::rootless(Owners::Keep),
    };
    let done = File::open(layer)
        .map_err(|e| e.to_string())
        .and_then(|file| unpack_layer(file, Path::new(into), &options).map_err(|e| e.to_string()));
    match done {
        Ok(unpacked) => {
            println!("{}", unpacked.diff_id);
            for skipped in unpacked.skipped {
                println!("left out: {skipped}");
            }
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("unpack: {e}");
            ExitCode::FAILURE
        }
    }
}
