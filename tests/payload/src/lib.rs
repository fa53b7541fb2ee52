//! One small program of applets, as bytes: `minidocker` and the demos of the chapters carry it.
//!
//! The program is package `applets`, in the folder `program`. Which applet it is, is said by the name it
//! is called by (`holes`, `ps`, …), or by its first argument. It is linked statically; where the
//! machine that builds has no static libc it needs the dynamic one, and no other library.
#![forbid(unsafe_code)]

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// The ELF file: to be written somewhere with mode 0755.
pub static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/program"));

/// Another one for another [`PROGRAM`]: 16 hexadecimal digits.
pub const PROGRAM_ID: &str = env!("PROGRAM_ID");

/// The applets that stand in for a program which a host may lack.
pub const FILL_INS: [&str; 4] = ["ps", "id", "mount", "ip"];

/// A line for `host` of [`put_holes`]: the mount and the user namespace of the program will be borrowed ones,
/// and what they alone keep apart counts as the host's.
pub const BORROWED: &str = "borrowed\n";

/// Root directory and namespaces of this process, by device and inode number: what `holes` takes for the
/// host's when it is handed to [`put_holes`]. Lines like `ns/pid 4:4026531836`; what /proc doesn't show is left out.
#[must_use]
pub fn of_this_process() -> String {
    let line = |name: &str| {
        let meta = fs::metadata(Path::new("/proc/self").join(name)).ok()?;
        Some(format!("{name} {}:{}\n", meta.dev(), meta.ino()))
    };
    let names = ["root", "ns/ipc", "ns/mnt", "ns/net", "ns/pid", "ns/user", "ns/uts"];
    names.into_iter().filter_map(line).collect()
}

/// Puts the program into the open directory `bin`, which must be `/bin` of a new root file system, as `holes`,
/// and beside it as `holes.host` what that takes for the host's.
///
/// # Errors
/// Those of unlink(2), open(2), write(2) and chmod(2).
pub fn put_holes(bin: BorrowedFd<'_>, host: &str) -> io::Result<()> {
    for (name, bytes, mode) in [("holes.host", host.as_bytes(), 0o644), ("holes", PROGRAM, 0o755)] {
        let path = format!("/proc/self/fd/{}/{name}", bin.as_raw_fd());
        // What is there is a program of the host, or a link that would lead us out of the new root.
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = File::create_new(&path)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_program_is_an_elf_file() {
        assert_eq!(PROGRAM[..4], *b"\x7fELF");
        assert_eq!(PROGRAM_ID.len(), 16);
    }

    #[test]
    fn this_process_is_told_by_seven_lines() {
        let text = of_this_process();
        let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names, ["root", "ns/ipc", "ns/mnt", "ns/net", "ns/pid", "ns/user", "ns/uts"]);
    }

    #[test]
    fn it_runs_where_it_is_put() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, "").unwrap();
        std::os::unix::fs::symlink(&outside, dir.path().join("holes")).unwrap();
        put_holes(fs::File::open(dir.path()).unwrap().as_fd(), "").unwrap();
        let output = std::process::Command::new(dir.path().join("holes")).arg("--help").output().unwrap();
        assert_eq!(fs::read(outside).unwrap(), b"", "a link that was there leads nowhere");
        assert!(output.stdout.starts_with(b"holes: what this process shares with the host"), "{output:?}");
    }
}
