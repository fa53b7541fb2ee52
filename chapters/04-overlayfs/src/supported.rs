//! Whether overlay works here: tried, not guessed from a version.

use std::path::Path;

use sys::SysError;

use crate::{Overlay, OverlayError};

/// Tries an overlay with upper, work and a lower in new directories inside `dir`, which should be
/// where real ones will lie, because the file system counts. The mount is made without a place
/// (fsopen(2), Linux 5.2) and is gone with its descriptor; the directories are removed.
///
/// A process without CAP_SYS_ADMIN over its mount namespace gets EPERM, which says nothing about
/// overlay: a plain user asks from inside the user namespace, with `userxattr`.
///
/// # Errors
/// Why not; also that `dir` can't be written to.
pub fn supported(dir: &Path, userxattr: bool) -> Result<(), OverlayError> {
    let room = dir.join(format!(".overlay-try-{}", std::process::id()));
    let tried = try_in(&room, userxattr);
    // Inside of work are directories of mode 0, which only who mounted can enter.
    let removed = std::fs::remove_dir_all(&room);
    tried?;
    Ok(removed.map_err(|e| SysError::of("unlinkat", format!("{room:?}, AT_REMOVEDIR"), e))?)
}

fn try_in(room: &Path, userxattr: bool) -> Result<(), OverlayError> {
    let overlay = Overlay {
        lower: vec![room.join("lower")],
        upper: room.join("upper"),
        work: room.join("work"),
        userxattr,
        volatile: false,
    };
    for path in [&overlay.lower[0], &overlay.upper, &overlay.work] {
        std::fs::create_dir_all(path).map_err(|e| SysError::of("mkdir", format!("{path:?}, 0777"), e))?;
    }
    overlay.detached().map(drop).map_err(|e| overlay.diagnose(room, 0, e.into()))
}
