//! The end of every process in a group, also of one that forks faster than we can count.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sys::{Errno, write_file};

use crate::group::ours;
use crate::members::is_empty;
use crate::{CgroupError, Group};

/// How long we wait for processes that are killed to be gone.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl Group {
    /// Kills every process in the group and in groups below it, and waits (5 s at most) until
    /// none is left. No processes, or no group any more, is success.
    ///
    /// `cgroup.kill` (Linux 5.14) also catches children that are being born (cgroup-v2.rst).
    /// Elsewhere the group is first frozen, so that nobody can fork while we count.
    ///
    /// # Errors
    /// [`CgroupError::NotOurs`], [`CgroupError::Alive`]; `EPERM`, `EACCES` without the right.
    pub fn kill(&self) -> Result<(), CgroupError> {
        for dir in self.dirs() {
            ours(dir)?;
        }
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut pause = Duration::from_micros(100);
        // Kill first, look afterwards: see `is_empty` for what a look alone is worth.
        while !self.kill_once()? {
            if Instant::now() > deadline {
                let dir = self.dirs().first().cloned().unwrap_or_default();
                let pids = self.processes()?.iter().take(20).map(|p| p.as_raw()).collect();
                return Err(CgroupError::Alive { dir, pids });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Kills whom it finds, and says whether there was certainly nobody.
    fn kill_once(&self) -> Result<bool, CgroupError> {
        let at_once = self.kill_v2()?;
        // Those who left the unified tree, or have none, stand in the v1 lists.
        let certain = if at_once { self.signal_all()? == 0 } else { self.kill_frozen()? };
        Ok(certain
            && self
                .dirs()
                .iter()
                .try_fold(true, |empty, dir| Ok::<_, CgroupError>(empty && is_empty(dir)?))?)
    }

    /// One write kills all that the unified tree counts. False where there is no such file.
    fn kill_v2(&self) -> Result<bool, CgroupError> {
        let Some(dir) = self.with_file("cgroup.kill") else { return Ok(false) };
        match write_file(&dir.join("cgroup.kill"), "1") {
            Err(e) if matches!(e.errno(), Errno::ENOENT | Errno::ENODEV) => Ok(false),
            other => Ok(other.map(|()| true)?),
        }
    }

    /// Freezes, signals each process, thaws. True if there was nobody, and nobody could be born.
    fn kill_frozen(&self) -> Result<bool, CgroupError> {
        let Some(freezer) = self.freezer() else { return Ok(self.signal_all()? == 0) };
        let frozen = freezer.freeze()?;
        let signalled = self.signal_all();
        // Also after an error: frozen processes can't end. (On v2 SIGKILL wakes them by itself.)
        freezer.thaw()?;
        Ok(signalled? == 0 && frozen)
    }

    /// Sends SIGKILL to each process of the lists, and says to how many.
    ///
    /// Between the list and the signal a number could be given to another process only if it was
    /// reaped and all others were used up meanwhile; in a frozen group nobody ends.
    fn signal_all(&self) -> Result<usize, CgroupError> {
        let pids = self.processes()?;
        let mut done = Ok(());
        for pid in &pids {
            match sys::kill(*pid, Some(Signal::SIGKILL)) {
                Err(e) if e.errno() == Errno::ESRCH => {}
                other => done = done.and(other),
            }
        }
        done?;
        Ok(pids.len())
    }

    fn freezer(&self) -> Option<Freezer<'_>> {
        let v2 = self.with_file("cgroup.freeze").map(|dir| Freezer { dir, v2: true });
        v2.or_else(|| self.with_file("freezer.state").map(|dir| Freezer { dir, v2: false }))
    }
}

/// The file that stops all processes of a group: cgroup-v2.rst, "cgroup.freeze" (Linux 5.2);
/// cgroup-v1/freezer-subsystem.rst.
struct Freezer<'a> {
    dir: &'a Path,
    v2: bool,
}

impl Freezer<'_> {
    /// Freezes, and waits until it is true: 1 s at most, for a process in state D makes it late.
    fn freeze(&self) -> Result<bool, CgroupError> {
        self.write(if self.v2 { "1" } else { "FROZEN" })?;
        let deadline = Instant::now() + Duration::from_secs(1);
        while !self.frozen() {
            if Instant::now() > deadline {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(true)
    }

    fn thaw(&self) -> Result<(), CgroupError> {
        self.write(if self.v2 { "0" } else { "THAWED" })
    }

    fn write(&self, value: &str) -> Result<(), CgroupError> {
        let file = if self.v2 { "cgroup.freeze" } else { "freezer.state" };
        match write_file(&self.dir.join(file), value) {
            // The group is gone.
            Err(e) if matches!(e.errno(), Errno::ENOENT | Errno::ENODEV) => Ok(()),
            other => Ok(other?),
        }
    }

    fn frozen(&self) -> bool {
        let (file, word) = if self.v2 { ("cgroup.events", "frozen 1") } else { ("freezer.state", "FROZEN") };
        let text = std::fs::read_to_string(self.dir.join(file));
        // A group that is gone has nobody who could fork.
        text.map_or(true, |text| text.lines().any(|l| l == word))
    }
}
