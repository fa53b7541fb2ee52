//! The last steps: finding the program, and becoming it.

use std::ffi::CString;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use sys::{Errno, SysError};

use super::report::Failure;
use super::{Plan, interpreter};

/// 126: the program is there and can't be run. 127: it isn't there. As in a shell, and in Docker.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

fn unable(code: u8, text: impl std::fmt::Display) -> Failure {
    Failure::ours(format!("unable to start container process: {text}")).with_code(code)
}

/// Where the program is: a name with a slash is a path, another one is looked for in PATH (execvp(3)).
///
/// Done before the fifo, so that `create` fails already, with Docker's words. What is found then may lie on
/// a volume that others write to: whether it is safe to run is asked just before exec, and only there.
pub(super) fn find_program(plan: &Plan) -> Result<PathBuf, Failure> {
    let name = plan.args.first().map(String::as_str).unwrap_or_default();
    let shown = cut(name);
    if name.contains('/') {
        let path = Path::new(name);
        return runnable(path).map_err(|e| told_of_link(explain(&shown, &e), dangling(path, &e)));
    }
    let path = plan.env.iter().find_map(|v| v.strip_prefix("PATH=")).unwrap_or_default();
    let (mut refused, mut link) = (None, None);
    for dir in path.split(':').filter(|d| !d.is_empty() && !name.is_empty()) {
        let path = Path::new(dir).join(name);
        match runnable(&path) {
            Ok(found) => return Ok(found),
            Err(e) if is_missing(&e) => link = link.or_else(|| dangling(&path, &e)),
            // As a shell does: go on, and tell of this one if there is no better.
            Err(e) => refused = refused.or(Some(e)),
        }
    }
    match refused {
        Some(refused) => Err(explain(&shown, &refused)),
        None => {
            let mut failure =
                unable(NOT_FOUND, format!("exec: {shown:?}: executable file not found in $PATH"));
            failure.because = Some(format!("no file of this name is in PATH={}", cut(path)));
            failure.remedy =
                Some("check the spelling, give the program's path, or use an image that has it".to_owned());
            Err(told_of_link(failure, link))
        }
    }
}

/// Where the link at `path` leads, which is why nothing was found there.
fn dangling(path: &Path, missing: &SysError) -> Option<(PathBuf, PathBuf)> {
    let to = std::fs::read_link(path).ok().filter(|_| is_missing(missing))?;
    Some((path.to_owned(), to))
}

fn told_of_link(failure: Failure, link: Option<(PathBuf, PathBuf)>) -> Failure {
    let Some((path, to)) = link else { return failure };
    let (path, to) = (path.to_string_lossy(), to.to_string_lossy());
    failure.advise(
        format!("{} is a link to {}, which leads nowhere in the image", cut(&path), cut(&to)),
        "use an image that has the program to which the link leads, or give the path of another one",
    )
}

fn is_missing(e: &SysError) -> bool {
    matches!(e.errno(), Errno::ENOENT | Errno::ENOTDIR)
}

fn explain(name: &str, refused: &SysError) -> Failure {
    let words = refused.errno().desc().to_lowercase();
    if is_missing(refused) {
        let failure = unable(NOT_FOUND, format!("exec: {name:?}: stat {name}: {words}"));
        return match std::fs::read_link(name) {
            Ok(to) => failure.advise(
                format!("{name} is a link to {}, and nothing is there", to.display()),
                "name a program that is in the root file system",
            ),
            Err(_) => failure,
        };
    }
    let failure = |words: &str| unable(CANNOT_RUN, format!("exec: {name:?}: {words}"));
    match refused.errno() {
        Errno::EPERM => failure(&words).advise(
            "it leads to minidocker's own binary on the host",
            "name a program of the image, not /proc/self/exe",
        ),
        Errno::EISDIR => failure(&words),
        errno => {
            let mut failure = failure(&words);
            failure.call = Some(refused.to_string());
            match errno {
                Errno::EACCES => {
                    let (because, remedy) = forbidden(name, refused.call());
                    failure.advise(because, remedy)
                }
                Errno::ELOOP => failure.advise(
                    "a symbolic link leads back to itself, or more than 40 lie on the way",
                    format!("ls -l {name} in the image shows where the link leads"),
                ),
                _ => failure,
            }
        }
    }
}

/// Why this user may not execute it, by the call that [`runnable`] was refused.
fn forbidden(name: &str, call: &str) -> (&'static str, String) {
    let flags = rustix::fs::statvfs(name).map_or(StatVfsMountFlags::empty(), |found| found.f_flag);
    match call {
        "stat" => (
            "this user may not search a directory above it (no x bit)",
            format!("run it as another user (-u), or chmod a+x the directories above {name} in the image"),
        ),
        "openat" => (
            "this user may execute it, but not read it: so nobody can see whether its first line leads to \
             minidocker's own binary on the host",
            format!("chmod a+r {name} in the image, or run it as a user who may read it (-u)"),
        ),
        "execve" => (
            "it is no regular file, but a fifo, a socket or a device",
            "name a program of the image".to_owned(),
        ),
        _ if flags.contains(StatVfsMountFlags::NOEXEC) => {
            ("it lies on a mount with noexec", format!("give that mount the option exec, or move {name}"))
        }
        _ => (
            "the file has no x bit for this user",
            format!("chmod +x {name} in the image, or run a script by its interpreter: sh {name}"),
        ),
    }
}

/// A file that we may execute; else the call that tells why not.
fn runnable(path: &Path) -> Result<PathBuf, SysError> {
    let no = |call, rest: &str, errno| SysError::new(call, format!("{path:?}{rest}"), errno);
    let meta = std::fs::metadata(path).map_err(|e| SysError::of("stat", format!("{path:?}"), e))?;
    if meta.is_dir() {
        return Err(no("execve", "", Errno::EISDIR));
    }
    // execve(2) takes nothing else; and to read a fifo, as we do next, would wait for a writer.
    if !meta.is_file() {
        return Err(no("execve", "", Errno::EACCES));
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err(no("access", ", X_OK", Errno::EACCES));
    }
    // The real ids are the effective ones here, so access(2) asks the right question.
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK)
        .map_err(|e| SysError::of("access", format!("{path:?}, X_OK"), e))?;
    Ok(path.to_owned())
}

/// Refuses what would run our own binary, which lies on the host: /proc/self/exe, a link to it, a script
/// or program whose interpreter that is, and what nobody but the kernel can look into. A payload that keeps such a file open
/// could write to it when we have ended (CVE-2019-5736). The path is resolved again by execve(2), because a
/// script can't be run by a descriptor that exec closes (execveat(2), BUGS): who swaps the file in that
/// instant, on a volume shared with him, is not seen.
fn is_safe(path: &Path) -> Result<(), SysError> {
    let file = |path: &Path| std::fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
    let Some(ours) = file(Path::new("/proc/self/exe")) else { return Ok(()) };
    let mut last = path.to_owned();
    for path in interpreter::chain(path) {
        if file(&path) == Some(ours) {
            return Err(SysError::new("execve", format!("{path:?}"), Errno::EPERM));
        }
        last = path;
    }
    match rustix::fs::access(&last, rustix::fs::Access::READ_OK) {
        // The chain ended where we could look no further; the kernel can.
        Err(rustix::io::Errno::ACCESS) => {
            Err(SysError::new("openat", format!("AT_FDCWD, {last:?}, O_RDONLY"), Errno::EACCES))
        }
        _ => Ok(()),
    }
}

/// Becomes the program; comes back only with the failure.
pub(super) fn become_program(plan: &Plan, path: &Path) -> Failure {
    // Any time has passed since it was found.
    let safe = runnable(path).and_then(|path| is_safe(&path));
    if let Err(refused) = safe {
        return explain(&path.to_string_lossy(), &refused);
    }
    let (Some(program), Some(args), Some(env)) =
        (c_string(&path.to_string_lossy()), c_strings(&plan.args), c_strings(&plan.env))
    else {
        return Failure::ours("an argument or a variable has a NUL byte in it");
    };
    // ANCHOR: become
    let error = sys::execve(&program, &args, &env);
    let (code, errno) = match error.errno() {
        e @ (Errno::ENOENT | Errno::ENOTDIR) => (NOT_FOUND, e),
        e => (CANNOT_RUN, e),
    };
    // ANCHOR_END: become
    let words = format!("exec {}: {}", path.display(), errno.desc().to_lowercase());
    let mut failure =
        Failure::of(format!("unable to start container process: {words}"), &error).with_code(code);
    if let Some((because, remedy)) = interpreter::blamed(path, errno) {
        return failure.advise(because, remedy);
    }
    if errno == Errno::ENOEXEC {
        // The hint asks for file(1), which few images have.
        failure.remedy = Some(format!(
            "of a script, begin the first line with #!/bin/sh; of a program, take one for this machine ({})",
            std::env::consts::ARCH
        ));
    }
    failure
}

/// A text that came from outside, as much of it as a message can bear.
fn cut(text: &str) -> String {
    const MOST: usize = 1024;
    let mut cut: String = text.chars().take(MOST).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

fn c_string(text: &str) -> Option<CString> {
    CString::new(text).ok()
}

fn c_strings(texts: &[String]) -> Option<Vec<CString>> {
    texts.iter().map(|t| c_string(t)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_run_is_told_with_its_errno() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let errno = |path: &Path| runnable(path).map_err(|e| e.errno());
        assert_eq!(errno(&file), Err(Errno::EACCES));
        assert_eq!(errno(dir.path()), Err(Errno::EISDIR));
        assert_eq!(errno(&dir.path().join("none")), Err(Errno::ENOENT));
        assert_eq!(errno(&file.join("below")), Err(Errno::ENOTDIR));
        std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
        assert_eq!(errno(&dir.path().join("loop")), Err(Errno::ELOOP));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(runnable(&file).is_ok());
    }

    #[test]
    fn a_link_that_leads_nowhere_is_told_unless_the_program_is_found_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("a"), dir.path().join("b"));
        for dir in [&first, &second] {
            std::fs::create_dir(dir).unwrap();
        }
        std::os::unix::fs::symlink("/no/such/vi", first.join("vi")).unwrap();
        let mut plan = Plan::new(&crate::runtime::unsupported::tests::smallest(), Path::new("/b")).unwrap();
        plan.env = vec![format!("PATH={}:{}", first.display(), second.display())];
        let link = first.join("vi").display().to_string();
        for name in ["vi", link.as_str()] {
            plan.args = vec![name.to_owned()];
            let failure = find_program(&plan).unwrap_err();
            let why = format!("{link} is a link to /no/such/vi, which leads nowhere in the image");
            assert_eq!((failure.code, failure.because), (NOT_FOUND, Some(why)), "{name}");
        }
        plan.args = vec!["ed".to_owned()];
        let because = find_program(&plan).unwrap_err().because.unwrap();
        assert!(because.starts_with("no file of this name is in PATH="), "{because}");
        plan.args = vec!["vi".to_owned()];
        std::fs::write(second.join("vi"), "x").unwrap();
        std::fs::set_permissions(second.join("vi"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_program(&plan).unwrap(), second.join("vi"));
    }

    #[test]
    fn what_became_our_own_binary_since_it_was_found_is_not_run() {
        let spec = crate::runtime::unsupported::tests::smallest();
        let mut plan = Plan::new(&spec, Path::new("/bundle")).unwrap();
        // If it were run after all, this would end the tests with an error.
        plan.args = vec!["self".to_owned(), "--no-such-flag".to_owned()];
        let refused = become_program(&plan, Path::new("/proc/self/exe"));
        assert_eq!((refused.code, refused.because.is_some()), (CANNOT_RUN, true));
        assert!(
            refused.message.ends_with("exec: \"/proc/self/exe\": operation not permitted"),
            "{refused:?}"
        );
    }
}
