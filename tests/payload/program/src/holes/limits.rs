//! The rows of cgroups: memory and cpu. Whether the kernel stops us, by what it counts.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};
use sys::ExitStatus;

use super::Finding;
use super::child::try_in_child;
use super::host::Host;

const TOUCHED_MIB: usize = 256;
/// What the machine must have besides, so that a stop is no sign of a full machine.
const SPARE_MIB: u64 = 128;
const PAGE_BYTES: usize = 4096;
const BURNT_MS: i64 = 300;
const SIGKILL: i32 = 9;

pub(super) fn memory(_: &Host) -> Finding {
    let available = mem_available_mib(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    if available.is_some_and(|mib| mib < TOUCHED_MIB as u64 + SPARE_MIB) {
        return Finding::new(
            None,
            format!("not tried: this machine has {} MiB left", available.unwrap_or(0)),
        );
    }
    let limited = || count("memory", &[("memory.events", "max"), ("memory.failcnt", "")]);
    let before = limited();
    let tried = try_in_child(|| {
        // Should it come to that, then us before anybody else on the machine (proc_pid_oom_score_adj(5)).
        let _ = sys::write_file(Path::new("/proc/self/oom_score_adj"), "1000");
        touch()
    });
    let (said, status) = match tried {
        Ok(ended) => ended,
        Err(e) => return Finding::new(None, format!("no child: {e}")),
    };
    let (own, why) = judged(said, status, before.zip(limited()));
    Finding::new(own, why)
}

/// What a child's words and end tell, and the counters before and after. Who dies of something else, or is
/// stopped by something else (RLIMIT_AS), says nothing of the cgroup.
fn judged(said: String, status: ExitStatus, counts: Option<(u64, u64)>) -> (Option<bool>, String) {
    match (status, counts) {
        (ExitStatus::Signaled(SIGKILL), _) => (Some(true), format!("{TOUCHED_MIB} MiB touched: killed")),
        (_, Some((before, after))) if after > before => {
            (Some(true), format!("{said}: {} times at the limit", after - before))
        }
        (ExitStatus::Exited(0), _) if said.ends_with("touched") => {
            (Some(false), format!("{said}: nothing stopped it"))
        }
        (ExitStatus::Exited(0), _) => (None, said),
        (end, _) => (None, format!("the child ended by itself: {end:?}")),
    }
}

/// Writes to each page, so that it exists.
fn touch() -> String {
    let mut memory: Vec<u8> = Vec::new();
    if memory.try_reserve_exact(TOUCHED_MIB << 20).is_err() {
        return "mmap: ENOMEM, by RLIMIT_AS".to_owned();
    }
    memory.resize(TOUCHED_MIB << 20, 0);
    for at in (0..memory.len()).step_by(PAGE_BYTES) {
        memory[at] = 1;
    }
    let pages = std::hint::black_box(&memory).iter().step_by(PAGE_BYTES).filter(|byte| **byte == 1).count();
    format!("{} MiB touched", (pages * PAGE_BYTES) >> 20)
}

fn mem_available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
}

pub(super) fn cpu(_: &Host) -> Finding {
    let throttled = || count("cpu", &[("cpu.stat", "nr_throttled")]);
    let before = throttled();
    let spent_ms = || {
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        spent.tv_sec * 1000 + spent.tv_nsec / 1_000_000
    };
    let end = spent_ms() + BURNT_MS;
    let mut number = 1_u64;
    while spent_ms() < end {
        (0..10_000)
            .for_each(|_| number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005)));
    }
    let burnt = format!("{BURNT_MS} ms burnt");
    match before.zip(throttled()) {
        Some((before, after)) if after > before => {
            Finding::new(true, format!("{burnt}: throttled in {} periods", after - before))
        }
        Some(_) => Finding::new(false, format!("{burnt}: throttled in no period")),
        None => Finding::new(false, format!("{burnt}: no throttling seen, no cpu.stat counts it here")),
    }
}

/// The sum of a counter over our cgroup and those above it that are in sight. None: no file has it.
fn count(controller: &str, counters: &[(&str, &str)]) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let dirs = cgroup_dirs(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"), controller);
    let one =
        |dir: &PathBuf, (file, key): &(&str, &str)| counter(&fs::read_to_string(dir.join(file)).ok()?, key);
    let found: Vec<u64> = dirs.iter().flat_map(|d| counters.iter().filter_map(move |c| one(d, c))).collect();
    (!found.is_empty()).then(|| found.iter().sum())
}

/// `key value` on a line, or the only number of the file.
fn counter(text: &str, key: &str) -> Option<u64> {
    let value = |line: &str| match key {
        "" => line.trim().parse().ok(),
        _ => line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok(),
    };
    text.lines().find_map(value)
}

/// Our cgroup's directories, v1 and v2, and those above them below the mount point (cgroups(7)).
fn cgroup_dirs(cgroup: &str, mountinfo: &str, controller: &str) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (left, right): (Vec<_>, Vec<_>) = (left.split(' ').collect(), right.split(' ').collect());
        let ([_, _, _, root, point, ..], [kind, _, options]) = (&left[..], &right[..]) else { continue };
        let wanted = match *kind {
            "cgroup2" => "",
            "cgroup" if options.split(',').any(|o| o == controller) => controller,
            _ => continue,
        };
        let ours = cgroup.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers.split(',').any(|c| c == wanted).then_some(path)
        });
        // What lies above the mount's root can't be seen here.
        let Some(below) = ours.and_then(|path| Path::new(path).strip_prefix(root).ok()) else { continue };
        let dir = Path::new(point).join(below);
        dirs.extend(dir.ancestors().take_while(|d| d.starts_with(point)).map(Path::to_owned));
    }
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "30 20 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n\
                          31 20 0:27 /docker/a /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n";

    fn dirs(cgroup: &str) -> Vec<String> {
        let dirs = cgroup_dirs(cgroup, MOUNTS, "cpu");
        dirs.iter().map(|d| d.display().to_string()).collect()
    }

    #[test]
    fn our_group_and_those_above_it_are_found_in_both_worlds() {
        let v2 = dirs("0::/a/b\n");
        assert_eq!(v2, ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]);
        let v1 = dirs("1:cpuacct,cpu:/docker/a/x\n");
        assert_eq!(v1, ["/sys/fs/cgroup/cpu/x", "/sys/fs/cgroup/cpu"]);
        assert_eq!(dirs("1:cpu:/elsewhere\n2:cpuset:/docker/a\n"), [""; 0]);
    }

    #[test]
    fn only_a_kill_or_a_counter_closes_the_memory_row() {
        let own = |said: &str, status, counts| judged(said.to_owned(), status, counts).0;
        let all = "256 MiB touched";
        assert_eq!(own("", ExitStatus::Signaled(SIGKILL), None), Some(true));
        assert_eq!(own(all, ExitStatus::Exited(0), Some((3, 5))), Some(true));
        assert_eq!(own(all, ExitStatus::Exited(0), Some((3, 3))), Some(false));
        assert_eq!(own("mmap: ENOMEM, by RLIMIT_AS", ExitStatus::Exited(0), None), None);
        assert_eq!(own("", ExitStatus::Signaled(11), Some((0, 0))), None);
        assert_eq!(own("", ExitStatus::Exited(101), None), None);
    }

    #[test]
    fn a_counter_is_read_by_its_key() {
        assert_eq!(counter("nr_periods 7\nnr_throttled 3\nthrottled_usec 9\n", "nr_throttled"), Some(3));
        assert_eq!((counter("12\n", ""), counter("usage_usec 1\n", "nr_throttled")), (Some(12), None));
        assert_eq!(mem_available_mib("MemFree: 1 kB\nMemAvailable:    2048 kB\n"), Some(2));
    }
}
