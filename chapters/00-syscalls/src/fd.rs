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
