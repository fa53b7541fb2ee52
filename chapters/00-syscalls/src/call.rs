//! One call: made, counted, told.

use crate::shown::{Shown, list};
use crate::{Errno, Pid, Signal, SysError, event};

/// Makes one call. `args` are formatted only for an error or a listener.
pub(crate) fn call<T: Shown, E: Into<std::io::Error>>(
    name: &'static str,
    args: &[&dyn Shown],
    run: impl FnOnce() -> Result<T, E>,
) -> Result<T, SysError> {
    let seq = event::next_seq();
    let result = inject(name, seq).map_or_else(|| run().map_err(errno), Err);
    let shown = || list(args.iter().copied());
    // A clone returns 0 in the child too: its parent tells it.
    if event::sink_is_set() && !(name.starts_with("clone") && matches!(&result, Ok(v) if v.shown() == "0")) {
        let told = match &result {
            Ok(value) => value.shown(),
            Err(e) => format!("-1 {e:?} ({})", e.desc()),
        };
        event::emit(seq, name, shown(), told);
    }
    result.map_err(|errno| SysError::new(name, shown(), errno))
}

/// The errno in an error of nix, of rustix or of the standard library.
pub(crate) fn errno(e: impl Into<std::io::Error>) -> Errno {
    e.into().raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Fault injection for the tests, in debug builds alone: `MINIDOCKER_INJECT=role:n:ERRNO`
/// lets the n-th call of a role fail, `role:n:KILL` kills the process before it;
/// in place of n stands the name of a call as well (`child:pivot_root:EPERM`).
fn inject(name: &str, seq: u32) -> Option<Errno> {
    if !cfg!(debug_assertions) {
        return None;
    }
    let order = std::env::var("MINIDOCKER_INJECT").ok()?;
    let (role, rest) = order.split_once(':')?;
    let (at, what) = rest.split_once(':')?;
    let ours = role == format!("{:?}", event::ROLE.get()).to_lowercase();
    if !ours || (at != name && at != seq.to_string()) {
        return None;
    }
    if what == "KILL" {
        let _ = nix::sys::signal::kill(Pid::this(), Signal::SIGKILL);
        // Pid 1 of a namespace can't kill itself (pid_namespaces(7)); abort(3) ends in an instruction
        // whose fault the kernel lets nobody survive.
        std::process::abort();
    }
    (1..134).map(Errno::from_raw).find(|e| format!("{e:?}") == what)
}
