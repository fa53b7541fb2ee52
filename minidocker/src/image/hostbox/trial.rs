//! One run of a new tree before it gets its name: `sh -c true`.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::StatVfsMountFlags;
use sys::{CloneArgs, Cloned, Errno, SysError};

/// The most of the shell's complaints that is shown, in bytes.
const MOST_SHOWN: u64 = 2000;

/// Runs `shell -c true` with `tree` as its root directory. Nothing is mounted, so where the store lies on a
/// mount with noexec there is no trial: programs of an overlay run from there all the same.
///
/// # Errors
/// What the kernel, the loader or the shell says, in words.
pub(super) fn trial(tree: &Path, shell: &Path) -> Result<(), String> {
    let flags = rustix::fs::statvfs(tree).map_or(StatVfsMountFlags::empty(), |found| found.f_flag);
    if flags.contains(StatVfsMountFlags::NOEXEC) {
        return Ok(());
    }
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (said, says) = pipe.map_err(|e| sys::SysError::of("pipe2", "O_CLOEXEC".to_owned(), e).to_string())?;
    match sys::clone3(&CloneArgs::default()).map_err(|e| e.to_string())? {
        Cloned::Child => {
            sys::set_sink(None);
            let error = become_shell(tree, shell, &says);
            let advice = security::advice(&error);
            let advice = advice.map(|(because, remedy)| format!("\n  because: {because}\n  do: {remedy}"));
            // The parent sees the exit code if this fails.
            let _ = rustix::io::write(&says, format!("\n  {error}{}", advice.unwrap_or_default()).as_bytes());
            sys::exit_now(127)
        }
        Cloned::Parent { pid, .. } => {
            drop(says);
            let mut text = Vec::new();
            // What was read before an error is still worth telling.
            let _ = std::fs::File::from(said).take(MOST_SHOWN).read_to_end(&mut text);
            let text = String::from_utf8_lossy(&text);
            let status = sys::waitpid(pid).map_err(|e| e.to_string())?;
            match status.code() {
                Some(0) => Ok(()),
                // A failed call of ours begins a line of its own.
                _ if text.starts_with('\n') => Err(format!("its sh can't be tried{text}")),
                _ => Err(format!("sh -c true: {status:?} {}", text.trim())),
            }
        }
    }
}

fn become_shell(tree: &Path, shell: &Path, says: &OwnedFd) -> SysError {
    let entered = (|| {
        sys::pdeathsig()?;
        sys::set_no_new_privs()?;
        sys::chdir(tree)?;
        match sys::chroot(Path::new(".")) {
            // chroot(2) wants CAP_SYS_CHROOT: we have it in a user namespace of our own.
            Err(e) if e.errno() == Errno::EPERM => {
                sys::borrowed_room()?;
                sys::chroot(Path::new("."))
            }
            other => other,
        }
    })();
    if let Err(error) = entered {
        return error;
    }
    // The shell's own words go to the parent, not to the user's terminal.
    let _ = rustix::stdio::dup2_stdout(says).and_then(|()| rustix::stdio::dup2_stderr(says));
    let path = CString::new(shell.as_os_str().as_bytes()).unwrap_or_default();
    sys::execve(&path, &[c"sh".to_owned(), c"-c".to_owned(), c"true".to_owned()], &[c"PATH=/".to_owned()])
}
