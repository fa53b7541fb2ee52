//! The time namespace: its offsets, and the way into it.
//!
//! Offsets can be written only while nobody is in the namespace, and with `CLONE_NEWTIME` of
//! clone3(2) the child is in it from birth. So one unshares (which moves only later children),
//! writes, and then goes in by setns(2). Source: time_namespaces(7).

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use sys::{CloneFlags, SysError};

use crate::enter::opened;

/// What is added to the clocks, in seconds. The date (CLOCK_REALTIME) belongs to no namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offsets {
    /// To CLOCK_MONOTONIC: what timers count.
    pub monotonic_s: i64,
    /// To CLOCK_BOOTTIME: what uptime(1) shows.
    pub boottime_s: i64,
}

impl Offsets {
    /// The text of /proc/pid/timens_offsets: clock, seconds, nanoseconds.
    pub fn text(&self) -> String {
        format!("monotonic {} 0\nboottime {} 0\n", self.monotonic_s, self.boottime_s)
    }
}

/// Moves this process into a new time namespace with these offsets. Linux 5.6.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN, `EINVAL` on a kernel without time namespaces, `ERANGE` where a clock
/// would become negative, `EUSERS` with threads.
pub fn enter_new(offsets: Offsets) -> Result<(), SysError> {
    sys::unshare(CloneFlags::CLONE_NEWTIME)?;
    sys::write_file(Path::new("/proc/self/timens_offsets"), &offsets.text())?;
    let path = Path::new("/proc/self/ns/time_for_children");
    let door = File::open(path).map_err(|e| opened(path, e))?;
    sys::setns(door.as_fd(), CloneFlags::CLONE_NEWTIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_have_one_line_a_clock() {
        let day = Offsets { monotonic_s: 86_400, boottime_s: -5 };
        assert_eq!(day.text(), "monotonic 86400 0\nboottime -5 0\n");
    }
}
