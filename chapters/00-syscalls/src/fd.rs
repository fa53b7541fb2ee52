//! Descriptors across execve(2).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::SysError;
use crate::call::{call, fd};

/// Takes a descriptor that our parent left open for us at `number`, and marks it close-on-exec.
///
/// # Errors
/// `EBADF`: nothing is open there.
pub fn inherited(number: RawFd) -> Result<OwnedFd, SysError> {
    call(
        "fcntl",
        || format!("{number}, F_SETFD, FD_CLOEXEC"),
        || {
            // SAFETY: borrowed for this one call; fcntl(2) answers EBADF when nothing is open there.
            let there = unsafe { BorrowedFd::borrow_raw(number) };
            rustix::io::fcntl_setfd(there, rustix::io::FdFlags::CLOEXEC)?;
            // SAFETY: it is open, and by the contract between the two programs it is ours alone.
            Ok::<_, rustix::io::Errno>(unsafe { OwnedFd::from_raw_fd(number) })
        },
    )
}

/// Lets `descriptor` survive the next execve(2).
///
/// # Errors
/// None that an open descriptor can give.
pub fn keep_across_exec(descriptor: BorrowedFd<'_>) -> Result<(), SysError> {
    let shown = || format!("{}, F_SETFD, 0", fd(descriptor));
    call("fcntl", shown, || rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty()))
}

/// Closes every descriptor above 2 that isn't in `keep`: for a child between clone and exec, whose
/// copies would otherwise keep its parent's locks and pipes open while it waits.
///
/// Whoever calls this must not use, nor drop, any other descriptor of its parent afterwards.
///
/// # Errors
/// None in practice.
pub fn close_all_but(keep: &[BorrowedFd<'_>]) -> Result<(), SysError> {
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

fn close_range(first: u32, last: u32) -> Result<(), SysError> {
    let by_range = call(
        "close_range",
        || format!("{first}, {last}, 0"),
        || {
            // SAFETY: three integers. The owners of these descriptors are in the parent; this copy of
            // them is never dropped, because the child leaves by exec or _exit.
            crate::Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
        },
    );
    match by_range {
        Err(e) if e.errno() == crate::Errno::ENOSYS => {
            let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
            let numbers: Vec<RawFd> =
                open.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
            for number in numbers.into_iter().filter(|n| (first..=last).contains(&(*n as u32))) {
                // SAFETY: as above; the descriptor of the listing itself is closed already.
                unsafe { libc::close(number) };
            }
            Ok(())
        }
        other => other,
    }
}

/// Marks every descriptor from `first` on close-on-exec. Before Linux 5.11 one by one.
///
/// # Errors
/// Those of /proc/self/fd where close_range(2) is missing.
pub fn close_from(first: u32) -> Result<(), SysError> {
    let cloexec = libc::CLOSE_RANGE_CLOEXEC as libc::c_uint;
    let by_range = call(
        "close_range",
        || format!("{first}, ~0U, CLOSE_RANGE_CLOEXEC"),
        || {
            // SAFETY: three integers; no descriptor is closed now, so none of ours becomes invalid.
            let rc = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, cloexec) };
            crate::Errno::result(rc).map(drop)
        },
    );
    match by_range {
        Err(e) if matches!(e.errno(), crate::Errno::ENOSYS | crate::Errno::EINVAL) => one_by_one(first),
        other => other,
    }
}

fn one_by_one(first: u32) -> Result<(), SysError> {
    call(
        "fcntl",
        || format!("{first}.., F_SETFD, FD_CLOEXEC"),
        || {
            let numbers: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
                .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
                .collect();
            for number in numbers.into_iter().filter(|n| *n >= first as RawFd) {
                // SAFETY: F_SETFD takes integers; a number that was closed meanwhile gives EBADF, which is fine.
                unsafe { libc::fcntl(number.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
            }
            Ok::<_, std::io::Error>(())
        },
    )
}
