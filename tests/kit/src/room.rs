//! One throw-away directory: the root of one test, its home, and how it is removed.

use std::collections::BTreeSet;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::mount::UnmountFlags;
use rustix::process::Signal;

use crate::Who;

/// A throw-away directory that belongs to one user.
pub(crate) struct Room {
    pub(crate) path: PathBuf,
    ids: Mutex<BTreeSet<String>>,
    /// Tells every name that ever appeared in `root/containers`.
    births: OwnedFd,
}

impl Room {
    pub(crate) fn new(who: Who) -> Self {
        let path = crate::place::new_room();
        for (dir, mode) in
            [("root", 0o700), ("root/containers", 0o700), ("home", 0o755), ("tmp", 0o1777), ("run", 0o700)]
        {
            crate::place::make_dir(&path.join(dir), mode);
            who.own(&path.join(dir));
        }
        who.own(&path);
        let births = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("inotify_init");
        let watched = WatchFlags::CREATE | WatchFlags::MOVED_TO;
        inotify::add_watch(&births, path.join("root/containers"), watched).expect("inotify_add_watch");
        Self { path, ids: Mutex::new(BTreeSet::new()), births }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// The ids of all containers that this root ever had, those of `--rm` too.
    pub(crate) fn ids(&self) -> Vec<String> {
        let mut ids = self.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut births = inotify::Reader::new(&self.births, &mut buffer);
        while let Ok(event) = births.next() {
            assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW), "too many containers to count");
            ids.extend(event.file_name().map(|n| n.to_string_lossy().into_owned()).filter(|n| is_id(n)));
        }
        ids.iter().cloned().collect()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        clean(&self.path, &self.ids());
    }
}

/// 64 hexadecimal digits, as Docker's ids.
pub(crate) fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Ends what still runs for this room, takes its mounts and cgroups away, and removes it.
pub(crate) fn clean(room: &Path, ids: &[String]) {
    let mut marks = ids.to_vec();
    marks.push(room.display().to_string());
    crate::processes::marked(&marks).iter().for_each(|p| p.signal(Signal::KILL));
    for point in crate::snapshot::mount_points(&marks).iter().rev() {
        let _ = rustix::mount::unmount(point.as_str(), UnmountFlags::DETACH);
    }
    for dir in crate::snapshot::cgroups_of(ids).iter().rev() {
        // A killed process is a member until its exit is complete.
        let busy = || fs::remove_dir(dir).is_err_and(|e| e.kind() == std::io::ErrorKind::ResourceBusy);
        (0..100)
            .take_while(|_| busy())
            .for_each(|_| std::thread::sleep(std::time::Duration::from_millis(20)));
    }
    remove_tree(room);
}

/// Removes a tree that may hold files of subordinate ids and directories of mode 0.
pub(crate) fn remove_tree(dir: &Path) {
    if fs::remove_dir_all(dir).is_ok() || fs::remove_file(dir).is_ok() || !dir.exists() {
        return;
    }
    // work/work of an overlay is d---------, and files of subordinate ids can only be removed by
    // the root of a user namespace that maps them.
    let script = r#"chmod -R u+rwX "$1"; rm -rf "$1""#;
    let inside = ["unshare", "--user", "--map-root-user", "--map-auto", "sh", "-c", script, "sh"];
    let plain = &inside[4..];
    for argv in [plain, &inside[..]] {
        let mut command = Command::new(argv[0]);
        command.args(&argv[1..]).arg(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = command.status();
    }
}
