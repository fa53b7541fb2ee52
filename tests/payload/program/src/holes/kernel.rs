//! The rows `capabilities` and `system calls`: what the kernel still does for us.

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;

use nix::libc::SIGSYS;
use nix::sys::personality::{self, Persona};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use sys::{CloneArgs, CloneFlags, Cloned, Errno, ExitStatus};

use super::Finding;
use super::child::{outcome, said_by_child, try_in_child};
use super::host::Host;

// linux/capability.h.
const CAP_SYS_ADMIN: u32 = 21;
pub(super) const CAP_MKNOD: u32 = 27;

pub(super) fn capabilities(_: &Host) -> Finding {
    // CAP_SYS_ADMIN, and CAP_NET_ADMIN: what becomes of it goes with the child.
    let unshare = said_by_child(|| outcome(&sys::unshare(CloneFlags::CLONE_NEWUTS)));
    let force = said_by_child(|| {
        let how = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, how, None);
        let forced = socket.and_then(|socket| sockopt::set_socket_recv_buffer_size_force(&socket, 4096));
        forced.map_or_else(|e| format!("{:?}", Errno::from_raw(e.raw_os_error())), |()| "allowed".to_owned())
    });
    let status = status();
    let (Some(bounding), Some(effective)) = (set(&status, "CapBnd:"), set(&status, "CapEff:")) else {
        return Finding::new(None, "no CapBnd in /proc/self/status");
    };
    let (held, reachable) = (effective.count_ones(), bounding.count_ones());
    let seen = format!("unshare: {unshare}, SO_RCVBUFFORCE: {force}; holds {held} of {reachable}");
    // A plain user has none, but a set-uid program gives it all that isn't out of bounds (capabilities(7)).
    Finding::new(bounding & (1 << CAP_SYS_ADMIN) == 0, seen)
}

/// Whether an execve(2) could still give this capability. None: /proc doesn't tell.
pub(super) fn is_bounding(capability: u32) -> Option<bool> {
    set(&status(), "CapBnd:").map(|bounding| bounding & (1 << capability) != 0)
}

fn status() -> String {
    fs::read_to_string("/proc/self/status").unwrap_or_default()
}

fn set(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Calls that no capability is asked for, and that Docker's profile forbids; what they change goes with the child.
pub(super) fn system_calls(_: &Host) -> Finding {
    let calls: [(_, fn() -> String); 2] = [("clone3", clone3), ("personality", another_personality)];
    let mut refused = Vec::new();
    for (call, work) in calls {
        match try_in_child(work) {
            Ok((answer, ExitStatus::Exited(0))) if answer == "allowed" => {}
            Ok((answer, ExitStatus::Exited(0))) => refused.push(format!("{call}: {answer}")),
            // So ends who makes a call that a filter kills for (seccomp(2), SECCOMP_RET_KILL_PROCESS).
            Ok((_, ExitStatus::Signaled(SIGSYS))) => refused.push(format!("{call}: SIGSYS")),
            Ok((_, end)) => return Finding::new(None, format!("{call}: the child ended by itself: {end:?}")),
            Err(e) => return Finding::new(None, format!("{call}: no child: {:?}", e.errno())),
        }
    }
    // proc_pid_status(5): 0 is no filter.
    let status = status();
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    let Some(mode) = mode.map(str::trim) else {
        return Finding::new(None, "no Seccomp in /proc/self/status");
    };
    let tried =
        if refused.is_empty() { "clone3, personality: allowed".to_owned() } else { refused.join(", ") };
    // An old kernel has no clone3 either, and then without a filter.
    Finding::new(mode != "0" && !refused.is_empty(), format!("{tried}; Seccomp: {mode}"))
}

/// [`sys::clone3`] falls back on clone(2) in silence; its events tell of both.
fn clone3() -> String {
    let answers = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&answers);
    sys::set_sink(Some(Box::new(move |event| {
        if event.call == "clone3" {
            told.borrow_mut().push(event.result.clone());
        }
    })));
    match sys::clone3(&CloneArgs::default()) {
        Ok(Cloned::Child) => sys::exit_now(0),
        Ok(Cloned::Parent { pid, .. }) => {
            let _ = sys::waitpid(pid);
        }
        Err(error) => return format!("{:?}", error.errno()),
    }
    sys::set_sink(None);
    let answer = answers.borrow().first().cloned().unwrap_or_default();
    // `-1 ENOSYS (Function not implemented)`.
    answer.strip_prefix("-1 ").and_then(|a| a.split(' ').next()).unwrap_or("allowed").to_owned()
}

fn another_personality() -> String {
    personality::set(Persona::ADDR_NO_RANDOMIZE).map_or_else(|e| format!("{e:?}"), |_| "allowed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_out_of_status() {
        let status = "CapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\nSeccomp:\t2\n";
        assert_eq!(set(status, "CapBnd:").map(|b| b & (1 << CAP_SYS_ADMIN)), Some(0));
        assert_eq!(set(status, "CapBnd:").map(u64::count_ones), Some(14));
        assert_eq!(set(status, "CapAmb:"), None);
    }
}
