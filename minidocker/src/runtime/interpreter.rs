//! What a program asks the kernel to start in its place, and why that can't be.

use std::fs::File;
use std::path::{Path, PathBuf};

use chroot::elf::{Elf, ElfError};
use rustix::fs::{Access, Mode, OFlags};
use sys::Errno;

/// binfmt_script.c and exec.c: a chain of interpreters is at most five long.
const LONGEST: usize = 5;

/// The program, its interpreter, the one that this names, and so on.
pub(super) fn chain(path: &Path) -> impl Iterator<Item = PathBuf> {
    std::iter::successors(Some(path.to_owned()), |path| named_by(path)).take(LONGEST + 1)
}

/// The PT_INTERP of ELF, or the first line of a script.
fn named_by(path: &Path) -> Option<PathBuf> {
    match read(path)? {
        Ok(elf) => elf.interpreter,
        Err(ElfError::Script { interpreter, .. }) => Some(interpreter),
        Err(_) => None,
    }
}

fn read(path: &Path) -> Option<Result<Elf, ElfError>> {
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    // Should it have become a fifo since, nobody waits for its writer.
    let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Some(Elf::read(&File::from(rustix::fs::open(path, how, Mode::empty()).ok()?)))
}

/// Why execve(2) refused `path` with `errno`, and what to do, where that lies in an interpreter.
pub(super) fn blamed(path: &Path, errno: Errno) -> Option<(String, String)> {
    let all: Vec<PathBuf> = chain(path).collect();
    let links = all.iter().zip(all.iter().skip(1));
    // ENOEXEC of a program for another machine comes before the kernel looks for its interpreter.
    let found = links.into_iter().find_map(|(by, named)| Some((by, named, unfit(named)?)));
    if let Some((by, named, why)) = found.filter(|(_, _, why)| answer(*why) == errno) {
        return Some(told(by, named, why));
    }
    let (named, by) = (all.last()?, all.iter().rev().nth(1)?);
    match errno {
        Errno::ENOEXEC if named.as_os_str().is_empty() => Some((
            format!("the first line of {} is #! and names no interpreter", by.display()),
            "write its path behind that, such as #!/bin/sh".to_owned(),
        )),
        Errno::ELOOP if all.len() > LONGEST => Some((
            format!(
                "{} names an interpreter, that one another, and so on: the kernel follows {LONGEST}",
                path.display()
            ),
            format!("name a program, such as /bin/sh, on the first line of {}", path.display()),
        )),
        Errno::ENOEXEC | Errno::ELIBBAD | Errno::EIO if !matches!(read(named), Some(Ok(_))) => {
            let because = "is neither ELF for this machine nor a script that begins with #!";
            Some((
                format!(
                    "{} is there, but the interpreter that it names {because}: {}",
                    by.display(),
                    named.display()
                ),
                other(by),
            ))
        }
        _ => None,
    }
}

/// Why `path` can't be an interpreter, as far as its file tells; the kernel's word otherwise.
fn unfit(path: &Path) -> Option<Errno> {
    if path.as_os_str().is_empty() {
        return None;
    }
    let errno = |e: std::io::Error| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    match std::fs::metadata(path) {
        Err(e) => Some(errno(e)),
        Ok(meta) if meta.is_dir() => Some(Errno::EISDIR),
        Ok(meta) if !meta.is_file() => Some(Errno::ENXIO),
        Ok(_) => rustix::fs::access(path, Access::EXEC_OK).err().map(|e| errno(e.into())),
    }
}

/// What execve(2) answers to an interpreter of that kind.
fn answer(unfit: Errno) -> Errno {
    if matches!(unfit, Errno::EISDIR | Errno::ENXIO) { Errno::EACCES } else { unfit }
}

fn told(by: &Path, named: &Path, why: Errno) -> (String, String) {
    // A script with the line ends of another system asks for "/bin/sh\r": that must be seen.
    let shown = named.to_string_lossy().escape_default().to_string();
    let because = match why {
        Errno::ENOENT => "is not",
        Errno::EISDIR => "is a directory",
        Errno::ENXIO => "is no regular file",
        Errno::ENOTDIR => "would lie below a file",
        Errno::ELOOP => "is a link that leads back to itself",
        Errno::EACCES => "has no x bit for this user, or lies on a mount with noexec",
        _ => "can't be read",
    };
    let remedy = match why {
        _ if named.is_relative() => {
            format!("name it by its absolute path on the first line of {}", by.display())
        }
        _ if shown.ends_with("\\r") => {
            format!("take the carriage return off its lines: sed -i 's/\\r$//' {}", by.display())
        }
        Errno::ENOENT => format!("put {shown} into the root file system, or {}", other(by)),
        Errno::EACCES => format!("chmod +x {shown} in the root file system, or {}", other(by)),
        _ => other(by),
    };
    (format!("{} is there, but the interpreter that it names {because}: {shown}", by.display()), remedy)
}

/// What else `by` could ask for.
fn other(by: &Path) -> String {
    match read(by) {
        Some(Ok(_)) => "use a static program".to_owned(),
        _ => format!("name another one on the first line of {}", by.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_link_of_the_chain_that_fails_is_blamed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let file = |name: &str, text: &str, mode: u32| {
            fs::write(at(name), text).unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        let script = |name: &str, asks: &Path| file(name, &format!("#!{}\n", asks.display()), 0o755);
        file("closed", "x", 0o644);
        file("text", "words", 0o755);
        symlink("loop", at("loop")).unwrap();
        for (asks, errno, because) in [
            (at("closed"), Errno::EACCES, "has no x bit"),
            (at(""), Errno::EACCES, "is a directory: "),
            (at("none"), Errno::ENOENT, "is not: "),
            (at("loop"), Errno::ELOOP, "leads back to itself"),
            (at("text/x"), Errno::ENOTDIR, "would lie below a file"),
            (at("text"), Errno::ENOEXEC, "is neither ELF"),
        ] {
            script("script", &asks);
            script("outer", &at("script"));
            for first in ["script", "outer"] {
                let (told, _) = blamed(&at(first), errno).unwrap();
                assert!(told.starts_with(&format!("{} is there", at("script").display())), "{told}");
                assert!(told.contains(because) && told.ends_with(&asks.display().to_string()), "{told}");
            }
        }
        script("self", &at("self"));
        assert!(blamed(&at("self"), Errno::ELOOP).unwrap().0.contains("the kernel follows 5"));
        assert_eq!(blamed(&at("text"), Errno::ENOEXEC), None, "it names none");
        file("nothing", "#!\n", 0o755);
        assert!(
            blamed(&at("nothing"), Errno::ENOEXEC).unwrap().0.ends_with("is #! and names no interpreter")
        );
        script("near", Path::new("no/such"));
        assert!(blamed(&at("near"), Errno::ENOENT).unwrap().1.starts_with("name it by its absolute path"));
        file("dos", "#!/bin/sh\r\n", 0o755);
        let (because, remedy) = blamed(&at("dos"), Errno::ENOENT).unwrap();
        assert!(because.ends_with("is not: /bin/sh\\r"), "{because}");
        assert!(remedy.starts_with("take the carriage return off its lines: sed -i 's/\\r$//' "), "{remedy}");
    }
}
