//! `--init`: process 1 stays ours, and the payload is its child.
//!
//! It does what chapter 2 says that process 1 owes to the others, with the payload's own confinement:
//! all steps but the exec are behind it. It is still our binary, which lies on the host, so nobody
//! in the container may look into it: a payload that opened /proc/1/exe could write to it later
//! (CVE-2019-5736). Docker mounts a binary of its own, docker-init, which is tini.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use namespaces::init::{InitError, Signals};
use sys::{CloneArgs, Cloned, Signal, SysError};

use super::Failure;

/// What ps(1) shows of us; our arguments are still those of the supervisor.
const NAME: &[u8] = b"init";

/// Comes back in the payload alone, which leads a process group: that of the foreground, if there is
/// a terminal.
pub(super) fn stay(terminal: bool) -> Result<(), Failure> {
    let failed = |e: &(dyn std::error::Error + 'static)| Failure::of("cannot become the container's init", e);
    let signals = Signals::block().map_err(|e| failed(&e))?;
    // Before the clone, so that there is no moment without it. The exec makes the payload so again.
    sys::set_dumpable(false).map_err(|e| failed(&e))?;
    match sys::clone3(&CloneArgs::default()).map_err(|e| failed(&e))? {
        Cloned::Child => lead_group(terminal).map_err(|e| failed(&e)),
        Cloned::Parent { pid, .. } => {
            let _ = nix::sys::prctl::set_name(c"init");
            // The supervisor waits for the end of our reports, and takes it for a payload that runs.
            let ended = sys::close_all_but(&[signals.as_fd()])
                .map_err(InitError::from)
                .and_then(|()| signals.wait_for(pid));
            if let Err(e) = &ended {
                // Nobody hears our reports any more: the payload's standard error is what is left.
                let _ = writeln!(std::io::stderr(), "minidocker: the container's init failed: {e}");
            }
            sys::exit_now(ended.ok().and_then(|status| status.code()).unwrap_or(125))
        }
    }
}

/// As tini, so that Ctrl-C and Ctrl-Z are the payload's and not ours.
fn lead_group(terminal: bool) -> Result<(), SysError> {
    rustix::process::setpgid(None, None).map_err(|e| SysError::of("setpgid", "0, 0".to_owned(), e))?;
    if terminal {
        // Who isn't in the foreground is stopped when it changes that (tcsetpgrp(3)), unless it ignores it.
        sys::ignore_signal(Signal::SIGTTOU)?;
        let (stdin, group) = (rustix::stdio::stdin(), rustix::process::getpgrp());
        rustix::termios::tcsetpgrp(stdin, group)
            .map_err(|e| SysError::of("tcsetpgrp", format!("0, {}", group.as_raw_nonzero()), e))?;
    }
    sys::default_signals()
}

/// Writes our name over the supervisor's arguments, as setproctitle(3) does: by /proc/self/mem. Called
/// before the change of credentials, which would close that file to us. If it can't be, ps(1) shows the
/// arguments: that is no reason to fail.
pub(super) fn show_as_init() {
    let _ = write_name();
}

fn write_name() -> Option<()> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // proc(5): arg_start and arg_end are fields 48 and 49; the third one follows the name in parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(45);
    let mut next = || fields.next()?.parse::<u64>().ok();
    let (start, end) = (next()?, next()?);
    let mut text = vec![0; usize::try_from(end.checked_sub(start)?).ok()?];
    text.get_mut(..NAME.len())?.copy_from_slice(NAME);
    File::options().write(true).open("/proc/self/mem").ok()?.write_all_at(&text, start).ok()
}
