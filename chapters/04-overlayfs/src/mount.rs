//! The mount itself: by one call if the options fit, else option by option.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sys::{MsFlags, SysError};

use crate::OverlayError;
use crate::options::escaped;

/// mount(2) copies at most one page of options, the last byte of it a zero. Pages may be larger
/// on other machines; this is true on all.
pub(crate) const LONGEST_DATA: usize = 4095;

/// The directories and options of one overlay. Nothing happens before [`Overlay::mount`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// The layers, the topmost first. Never written to.
    pub lower: Vec<PathBuf>,
    /// Takes what is written and deleted.
    pub upper: PathBuf,
    /// An empty directory on the same mount as `upper`.
    pub work: PathBuf,
    /// Keep overlay's notes in `user.overlay.*` instead of `trusted.overlay.*`: in a user
    /// namespace nobody may write the latter. Linux 5.11.
    pub userxattr: bool,
    /// Never sync upper: a power failure may leave it broken, and the end of the mount is fast.
    /// Linux 5.10.
    pub volatile: bool,
}

impl Overlay {
    /// Mounts it on `target`, a directory, in the mount namespace of this process.
    ///
    /// The mark that an earlier volatile mount left in workdir is removed first: it says that upper
    /// may lack what was not synced before a power failure, and would forbid this mount.
    ///
    /// # Errors
    /// [`OverlayError`] with the reason as far as it can be found.
    pub fn mount(&self, target: &Path) -> Result<(), OverlayError> {
        if self.lower.is_empty() {
            return Err(OverlayError::NoLower);
        }
        self.forget_volatile()?;
        let data = self.data();
        let text = std::str::from_utf8(data.as_bytes()).ok().filter(|t| t.len() <= LONGEST_DATA);
        let mounted = match text {
            Some(text) => {
                let (name, none) = ("overlay", MsFlags::empty());
                sys::mount(Some(name.as_ref()), target, Some(name), none, Some(text))
                    .map_err(OverlayError::from)
            }
            None => self.attach(target),
        };
        mounted.map_err(|e| self.diagnose(target, data.len(), e))
    }

    /// For options that are longer than a page, or no UTF-8.
    fn attach(&self, target: &Path) -> Result<(), OverlayError> {
        let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let here = rustix::fs::open(target, how, Mode::empty()).map_err(|e| {
            SysError::of("openat", format!("AT_FDCWD, {target:?}, O_PATH|O_DIRECTORY|O_CLOEXEC"), e)
        })?;
        let mount = self.detached()?;
        Ok(sys::move_mount(mount.as_fd(), here.as_fd())?)
    }

    /// Makes the mount without a place: `lowerdir+` takes one layer a call, so the number of layers
    /// has no limit but overlay's own (500). Linux 6.8. It is the one path without escapes here.
    pub(crate) fn detached(&self) -> Result<OwnedFd, SysError> {
        let fs = sys::fsopen("overlay")?;
        // What mountinfo shows as the source; mount(2) has an argument for it.
        sys::fsconfig_set(fs.as_fd(), "source", Some("overlay".as_ref()))?;
        match self.lower.as_slice() {
            // The old key, which kernels before 6.8 know too.
            [lower] => sys::fsconfig_set(fs.as_fd(), "lowerdir", Some(&escaped(lower)))?,
            many => many.iter().try_for_each(|l| sys::fsconfig_set(fs.as_fd(), "lowerdir+", Some(l)))?,
        }
        sys::fsconfig_set(fs.as_fd(), "upperdir", Some(&escaped(&self.upper)))?;
        sys::fsconfig_set(fs.as_fd(), "workdir", Some(&escaped(&self.work)))?;
        for (key, value) in self.switches() {
            sys::fsconfig_set(fs.as_fd(), key, value.map(Path::new))?;
        }
        sys::fsconfig_create(fs.as_fd())?;
        sys::fsmount(fs.as_fd())
    }

    /// Removes `work/work/incompat/volatile`.
    ///
    /// A volatile mount makes this directory and never takes it away, not at its end either. While
    /// it lies there the kernel refuses the next mount: upper may lack what was never synced
    /// (overlayfs.rst, "Volatile mount"). Who mounts such an upper again wants what is left of it.
    /// After an end, or a killed process, that is everything, for its pages live in the kernel;
    /// after a power failure nobody can tell, and the owner said `volatile`: "I can lose it".
    fn forget_volatile(&self) -> Result<(), OverlayError> {
        let path = self.work.join("work/incompat/volatile");
        match std::fs::remove_dir_all(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound || e.kind() == ErrorKind::NotADirectory => Ok(()),
            // The directories above it have mode 0: who can't pass them can't mount either,
            // and the mount has the better message.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(()),
            Err(e) => {
                let source = SysError::of("unlinkat", format!("{path:?}, AT_REMOVEDIR"), e);
                Err(OverlayError::Leftover { path, source })
            }
            Ok(()) => Ok(()),
        }
    }
}
