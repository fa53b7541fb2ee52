//! The end of every process in a group, also of one that forks faster than we can count.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sys::{Errno, write_file};

use crate::group::ours;
use crate::{CgroupError, Group};

/// How long we wait for processes that are killed to be gone.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl Group {
    /// Kills every process in the group and in groups below it, and waits (5 s at most) until
    /// none is left. No processes, or no group any more, is success.
    ///
    /// `cgroup.kill` (Linux 5.14) also catches children that are being born, see cgroup-v2.rst.
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
        loop {
            let left = self.processes()?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let dir = self.dirs().first().cloned().unwrap_or_default();
                let pids = left.iter().take(20).map(|p| p.as_raw()).collect();
                return Err(CgroupError::Alive { dir, pids });
            }
            if !self.kill_at_once()? {
                self.kill_frozen()?;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// One write kills all that the unified tree knows. False where there is no such file, or
    /// where somebody is in one of the v1 groups alone.
    fn kill_at_once(&self) -> Result<bool, CgroupError> {
        let Some(dir) = self.with_file("cgroup.kill") else { return Ok(false) };
        gone_is_fine(write_file(&dir.join("cgroup.kill"), "1"))?;
        let there = Self::from_dirs(vec![dir.to_owned()]).processes()?;
        let all = self.processes()?;
        Ok(all.iter().all(|pid| there.contains(pid)))
    }

    /// Freezes, signals each process, thaws.
    fn kill_frozen(&self) -> Result<(), CgroupError> {
        let freezer = self.freezer();
        if let Some(freezer) = &freezer {
            freezer.set(true)?;
        }
        let mut signalled = Ok(());
        for pid in self.processes()? {
            match sys::kill(pid, Some(Signal::SIGKILL)) {
                Err(e) if e.errno() == Errno::ESRCH => {}
                other => signalled = signalled.and(other),
            }
        }
        // Also after an error: frozen processes can't end. (On v2 SIGKILL wakes them by itself.)
        if let Some(freezer) = &freezer {
            freezer.set(false)?;
        }
        Ok(signalled?)
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
    /// Freezes and waits until it is true (1 s at most: a process in state D makes it late, and
    /// the caller comes again), or thaws.
    fn set(&self, freeze: bool) -> Result<(), CgroupError> {
        let (file, value) = match (self.v2, freeze) {
            (true, true) => ("cgroup.freeze", "1"),
            (true, false) => ("cgroup.freeze", "0"),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        };
        gone_is_fine(write_file(&self.dir.join(file), value))?;
        let deadline = Instant::now() + Duration::from_secs(1);
        while freeze && !self.frozen() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    fn frozen(&self) -> bool {
        let (file, word) = if self.v2 { ("cgroup.events", "frozen 1") } else { ("freezer.state", "FROZEN") };
        let text = std::fs::read_to_string(self.dir.join(file));
        // A group that is gone has nobody who could fork.
        text.map_or(true, |text| text.lines().any(|l| l == word))
    }
}

fn gone_is_fine(done: Result<(), sys::SysError>) -> Result<(), CgroupError> {
    match done {
        Err(e) if matches!(e.errno(), Errno::ENOENT | Errno::ENODEV) => Ok(()),
        other => Ok(other?),
    }
}
