//! The options as text for mount(2), and one by one for fsconfig(2).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::Overlay;

impl Overlay {
    /// The options that are switches, the same for both ways to mount.
    ///
    /// What a distribution made the default for each would change what lies in upper: with
    /// `redirect_dir` a renamed directory is an xattr with its old name, with `metacopy` a chmod
    /// copies no data, with `index` copies are tied to their lowers by handles. None of these is
    /// an OCI layer any more, so all three are off in words.
    ///
    /// With `userxattr` the kernel knows `nofollow` for what `off` means otherwise, and refuses
    /// every other word (overlayfs.rst, "User xattr").
    pub(crate) fn switches(&self) -> Vec<(&'static str, Option<&'static str>)> {
        let redirect = if self.userxattr { "nofollow" } else { "off" };
        let mut all =
            vec![("redirect_dir", Some(redirect)), ("metacopy", Some("off")), ("index", Some("off"))];
        if self.userxattr {
            all.push(("userxattr", None));
        }
        if self.volatile {
            all.push(("volatile", None));
        }
        all
    }

    /// The options in the bytes that mount(2) gets.
    pub(crate) fn data(&self) -> OsString {
        let mut text = b"lowerdir=".to_vec();
        for (n, lower) in self.lower.iter().enumerate() {
            if n > 0 {
                text.push(b':');
            }
            text.extend(escaped(lower).as_os_str().as_bytes());
        }
        text.extend(b",upperdir=");
        text.extend(escaped(&self.upper).as_os_str().as_bytes());
        text.extend(b",workdir=");
        text.extend(escaped(&self.work).as_os_str().as_bytes());
        for (key, value) in self.switches() {
            text.push(b',');
            text.extend(key.as_bytes());
            if let Some(value) = value {
                text.push(b'=');
                text.extend(value.as_bytes());
            }
        }
        OsString::from_vec(text)
    }

    /// The options as mount(2) takes them, and as /proc/self/mountinfo will show most of them.
    #[must_use]
    pub fn options(&self) -> String {
        OsStr::to_string_lossy(&self.data()).into_owned()
    }
}

/// A colon ends a lowerdir, a comma an option; a backslash before either (or before a backslash)
/// makes it an ordinary character (overlayfs.rst, "Multiple lower layers").
pub(crate) fn escaped(path: &Path) -> PathBuf {
    let mut text = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b',' | b'\\') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    PathBuf::from(OsString::from_vec(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(lower: &[&str]) -> Overlay {
        Overlay {
            lower: lower.iter().map(Into::into).collect(),
            upper: "/u".into(),
            work: "/w".into(),
            userxattr: false,
            volatile: false,
        }
    }

    #[test]
    fn each_switch_is_written_out() {
        let plain = overlay(&["/b", "/a"]);
        let (mut user, mut volatile) = (plain.clone(), plain.clone());
        (user.userxattr, volatile.volatile) = (true, true);
        let start = "lowerdir=/b:/a,upperdir=/u,workdir=/w";
        assert_eq!(plain.options(), format!("{start},redirect_dir=off,metacopy=off,index=off"));
        assert_eq!(user.options(), format!("{start},redirect_dir=nofollow,metacopy=off,index=off,userxattr"));
        assert_eq!(volatile.options(), format!("{start},redirect_dir=off,metacopy=off,index=off,volatile"));
    }

    #[test]
    fn colons_commas_and_backslashes_in_paths_are_escaped() {
        for (path, text) in
            [("/a:b", r"/a\:b"), ("/a,b", r"/a\,b"), (r"/a\b", r"/a\\b"), ("/a b=c", "/a b=c")]
        {
            assert_eq!(escaped(Path::new(path)), Path::new(text), "{path}");
        }
    }
}
