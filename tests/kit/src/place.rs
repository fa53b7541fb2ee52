//! Where throw-away things live, and what a killed test run left there.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, StatVfsMountFlags};

/// The directory of all that the tests of this user make. Every user may look into it.
pub(crate) fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let base = choose();
        for dir in ["t", "cache"] {
            make_dir(&base.join(dir), 0o755);
        }
        sweep(&base);
        base
    })
}

/// The first place where an overlay can have its upperdir and programs can be run.
fn choose() -> PathBuf {
    let wanted = std::env::var_os("MINIDOCKER_TEST_DIR").map(PathBuf::from);
    let usual = ["/var/tmp", "/tmp", "/dev/shm"].map(PathBuf::from);
    let places: Vec<PathBuf> = wanted.into_iter().chain(usual).collect();
    let name = format!("minidocker-tests-{}", my_uid());
    let dirs = places.iter().filter(|p| p.is_dir()).map(|p| p.join(&name));
    let fit = dirs.clone().find(|d| is_fit(d.parent().unwrap()) && is_mine(d));
    fit.or_else(|| dirs.clone().find(|d| is_mine(d))).expect("a directory for throw-away roots")
}

fn is_fit(place: &Path) -> bool {
    // An overlay can't be the upperdir of an overlay (overlayfs.rst): inside Docker, /tmp is one.
    const OVERLAYFS_SUPER_MAGIC: i64 = 0x794c_7630;
    let overlay = rustix::fs::statfs(place).is_ok_and(|s| s.f_type == OVERLAYFS_SUPER_MAGIC);
    let bad = StatVfsMountFlags::NOEXEC | StatVfsMountFlags::NODEV;
    let flags = rustix::fs::statvfs(place).map(|s| s.f_flag).unwrap_or(StatVfsMountFlags::empty());
    !overlay && !flags.intersects(bad)
}

/// Makes the directory if need be. A name that somebody else took in /tmp is refused.
fn is_mine(dir: &Path) -> bool {
    let made = fs::DirBuilder::new().mode(0o755).create(dir);
    if made.is_ok() {
        let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o755));
    }
    dir.symlink_metadata().is_ok_and(|m| m.is_dir() && m.uid() == my_uid())
}

pub(crate) fn my_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

pub(crate) fn make_dir(dir: &Path, mode: u32) {
    fs::create_dir_all(dir).unwrap_or_else(|e| panic!("mkdir {}: {e}", dir.display()));
    fs::set_permissions(dir, fs::Permissions::from_mode(mode)).expect("chmod");
}

/// A new directory below `t/`, named after this process.
pub(crate) fn new_room() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
    let name = format!("{}-{}-{now:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let room = base().join("t").join(name);
    fs::create_dir(&room).expect("a new throw-away directory");
    make_dir(&room, 0o755);
    room
}

/// Removes the rooms of test processes that are gone, and what nobody used from the cache for long.
fn sweep(base: &Path) {
    const HOUR: Duration = Duration::from_secs(3600);
    for room in entries(&base.join("t")) {
        let name = room.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let pid = name.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(pid).exists() {
            crate::room::clean(&room, &[]);
        }
    }
    for entry in entries(&base.join("cache")) {
        let used = entry.metadata().and_then(|m| m.modified()).ok();
        let debian = entry.file_name().is_some_and(|n| n.to_string_lossy().starts_with("debian"));
        let keep = if debian { 30 * 24 * HOUR } else { 2 * HOUR };
        if used.and_then(|u| u.elapsed().ok()).is_some_and(|age| age > keep) {
            crate::room::remove_tree(&entry);
        }
    }
}

pub(crate) fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default()
}

/// Makes `cache/<name>` by `make` unless it is there; parallel test processes wait for the first one.
/// `make` writes to the path that it gets, which then takes the name: what stands there is whole.
pub(crate) fn cached(name: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let (cache, path) = (base().join("cache"), base().join("cache").join(name));
    let lock = File::create(cache.join(format!("{name}.lock"))).map_err(|e| e.to_string())?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|e| e.to_string())?;
    if !path.exists() {
        let fresh = cache.join(format!("{name}.new"));
        crate::room::remove_tree(&fresh);
        make(&fresh)?;
        fs::rename(&fresh, &path).map_err(|e| format!("rename to {}: {e}", path.display()))?;
    }
    // The sweep goes by this time.
    let _ = File::open(&path).and_then(|f| f.set_modified(SystemTime::now()));
    Ok(path)
}

/// A copy of the program that every user may read and run; the target directory may be in root's home.
pub(crate) fn readable_copy(program: &Path) -> PathBuf {
    if program.starts_with(base()) {
        return program.to_owned();
    }
    let meta = program.metadata().unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    let name = format!("bin-{}-{}-{}", meta.len(), meta.mtime(), meta.mtime_nsec());
    let dir = cached(&name, |fresh| {
        make_dir(fresh, 0o755);
        let copy = fresh.join("minidocker");
        fs::copy(program, &copy).map_err(|e| e.to_string())?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())
    });
    dir.expect("a copy of the binary").join("minidocker")
}
