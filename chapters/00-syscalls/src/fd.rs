//! Descriptors across execve(2).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_setfd};

use crate::call::call;
use crate::shown::Plain;
use crate::{Errno, Result};

/// Takes a descriptor that our parent left open for us at `number`, and marks it close-on-exec.
///
/// To be called once for a number, early, and for none of the standard streams: whoever parses numbers
/// refuses equal ones and those below 3.
///
/// # Errors
/// `EBADF`: nothing is open there.
pub fn inherited(number: RawFd) -> Result<OwnedFd> {
    call("fcntl", &[&number, &Plain("F_SETFD, FD_CLOEXEC")], || {
        // SAFETY: borrowed for this one call; fcntl(2) answers EBADF when nothing is open there.
        fcntl_setfd(unsafe { BorrowedFd::borrow_raw(number) }, FdFlags::CLOEXEC)?;
        // SAFETY: it is open, and nobody here owns it: no standard stream (std has those), and no number
        // is asked for twice, which the caller looks at (above) before this is called.
        Ok::<_, rustix::io::Errno>(unsafe { OwnedFd::from_raw_fd(number) })
    })
}

/// Closes every descriptor above 2 that isn't in `keep`: for a child between clone and exec, whose
/// copies would otherwise keep its parent's locks and pipes open while it waits.
///
/// Whoever calls this must not use, nor drop, any other descriptor of its parent afterwards.
///
/// # Errors
/// None in practice.
pub fn close_all_but(keep: &[BorrowedFd<'_>]) -> Result {
    let mut kept: Vec<u32> = keep.iter().map(|k| k.as_raw_fd() as u32).filter(|n| *n > 2).collect();
    kept.sort_unstable();
    let mut first = 3;
    for number in kept.into_iter().chain([u32::MAX]) {
        if first < number {
            close_range(first, number.saturating_sub(1))?;
        }
        first = number.saturating_add(1);
    }
    Ok(())
}

fn close_range(first: u32, last: u32) -> Result {
    let by_range = call("close_range", &[&Plain(first), &Plain(last), &0], || {
        // SAFETY: three integers. The owners of these descriptors are in the parent; this copy of
        // them is never dropped, because the child leaves by exec or _exit.
        Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
    });
    match by_range {
        // Before Linux 5.9, or filtered (by an old libseccomp with EPERM): one by one.
        Err(e) if matches!(e.errno(), Errno::ENOSYS | Errno::EPERM) => {
            let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
            let numbers: Vec<u32> = open.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
            numbers.into_iter().filter(|n| (first..=last).contains(n)).for_each(|number| {
                // SAFETY: as above. The listing's own descriptor is closed already, which gives EBADF.
                let close = || Errno::result(unsafe { libc::close(number as RawFd) });
                let _ = call("close", &[&Plain(number)], close);
            });
            Ok(())
        }
        other => other,
    }
}
