//! A program of the host that could not be taken: what is told about it, and what would change that.

use std::path::PathBuf;

use chroot::elf::ElfError;
use chroot::{Refusal, Refused};
use sys::Errno;

/// What the user is told: which program, why, and what to do.
pub(super) fn notice(name: &str, refused: &Refused) -> String {
    let (path, why) = (refused.program.display().to_string(), refused.why.to_string());
    let why = if why.starts_with(&path) { why } else { format!("{path}: {why}") };
    format!("hostbox has no {name}: {why}\n  do: {}", remedy(&refused.why))
}

fn remedy(why: &Refusal) -> String {
    match why {
        Refusal::Unreadable(e) if e.errno() == Errno::EACCES => "let everybody read it, or go without".into(),
        Refusal::Elf(ElfError::Script { .. }) => {
            "install the program itself: what a script needs stands nowhere".into()
        }
        Refusal::Library(missing) => format!("install the package of {}", missing.library.display()),
        Refusal::Interpreter { .. } => "install the libc with which it was linked".into(),
        Refusal::Changed(_) => "run again: hostbox is then made anew".into(),
        Refusal::TooLarge { .. } => "go without, or run a directory of your own: --rootfs DIR".into(),
        Refusal::Unreadable(_) | Refusal::Elf(_) | Refusal::NotAProgram => {
            "install its package once more".into()
        }
    }
}

/// The files of which one must appear or change before the program can be taken.
pub(super) fn hindrances(refused: &Refused) -> Vec<PathBuf> {
    let mut paths = vec![refused.program.clone()];
    match &refused.why {
        Refusal::Library(missing) => {
            paths.push(missing.needed_by.clone());
            // One of the places is no directory but the loader's cache.
            let is_dir = |place: &&PathBuf| place.extension().is_none_or(|end| end != "cache");
            paths.extend(missing.searched.iter().filter(is_dir).map(|dir| dir.join(&missing.library)));
            paths.extend(missing.searched.iter().filter(|place| !is_dir(place)).cloned());
        }
        Refusal::Interpreter { path, .. } => paths.push(path.clone()),
        _ => {}
    }
    paths
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sys::SysError;

    use super::*;

    fn told(why: Refusal) -> String {
        notice("ls", &Refused { program: "/bin/ls".into(), why })
    }

    fn missing() -> chroot::MissingLibrary {
        chroot::MissingLibrary {
            needed_by: "/bin/ls".into(),
            library: "liba.so.1".into(),
            searched: ["/opt", "/etc/ld.so.cache", "/lib64"].map(PathBuf::from).to_vec(),
            rejected: vec![("/opt/liba.so.1".into(), "for another machine".into())],
        }
    }

    #[test]
    fn each_reason_is_told_with_the_file_and_what_to_do() {
        let openat = |errno| SysError::new("openat", "\"/bin/ls\"".to_owned(), errno);
        let script = ElfError::Script { interpreter: "/bin/sh".into(), argument: "-e".into() };
        let interpreter = Refusal::Interpreter { path: "/lib64/ld.so".into(), why: "not ELF".into() };
        for (why, text) in [
            (
                Refusal::Unreadable(openat(Errno::EACCES)),
                "openat(\"/bin/ls\") : EACCES (Permission denied)\n  do: let everybody read it, or go without",
            ),
            (
                Refusal::Unreadable(openat(Errno::ELOOP)),
                "openat(\"/bin/ls\") : ELOOP (Too many symbolic links encountered)\n  \
                 do: install its package once more",
            ),
            (
                Refusal::Elf(script),
                "a script, run by /bin/sh\n  do: install the program itself: what a script needs stands nowhere",
            ),
            (
                Refusal::Elf(ElfError::CutOff(4096)),
                "cut off: it ends before the 4096 bytes of which its headers speak\n  \
                 do: install its package once more",
            ),
            (Refusal::NotAProgram, "a shared library, not a program\n  do: install its package once more"),
            (
                interpreter,
                "interpreter /lib64/ld.so: not ELF\n  do: install the libc with which it was linked",
            ),
            (
                Refusal::TooLarge { new_bytes: 9, left_bytes: 5 },
                "needs 9 bytes more, and 5 are left\n  do: go without, or run a directory of your own: \
                 --rootfs DIR",
            ),
        ] {
            assert_eq!(told(why), format!("hostbox has no ls: /bin/ls: {text}"));
        }
    }

    #[test]
    fn a_text_that_begins_with_the_program_is_not_given_it_twice() {
        assert_eq!(
            told(Refusal::Library(missing())),
            "hostbox has no ls: /bin/ls needs the library liba.so.1, which is in none of /opt, \
             /etc/ld.so.cache, /lib64; /opt/liba.so.1: for another machine\n  \
             do: install the package of liba.so.1"
        );
        assert_eq!(
            told(Refusal::Changed("/bin/ls".into())),
            "hostbox has no ls: /bin/ls changed while it was read\n  do: run again: hostbox is then made anew"
        );
    }

    #[test]
    fn a_missing_library_may_appear_where_it_was_looked_for() {
        let refused = Refused { program: "/bin/l".into(), why: Refusal::Library(missing()) };
        let paths = ["/bin/l", "/bin/ls", "/opt/liba.so.1", "/lib64/liba.so.1", "/etc/ld.so.cache"];
        assert_eq!(hindrances(&refused), paths.map(Path::new));
        let direct = chroot::MissingLibrary { library: "/srv/a.so".into(), ..missing() };
        let refused = Refused { program: "/bin/l".into(), why: Refusal::Library(direct) };
        assert!(hindrances(&refused).contains(&"/srv/a.so".into()));
    }
}
