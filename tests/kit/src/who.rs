//! The users that run the binary under test.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::place;

/// Who runs the binary.
///
/// Plain users exist only inside a mount namespace of the command: there an overlay puts our
/// passwd, group, subuid and subgid above those of /etc. (A bind of each file would be undone by
/// the next useradd on the host: a rename onto a mount point detaches what other namespaces have
/// there.) So nothing is written to the host's /etc, parallel tests
/// don't wait for its lock, and a killed test leaves no user. That takes root; a plain user who
/// runs the tests is all the users there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// The user that runs the tests.
    Me,
    /// A plain user with subordinate ids.
    Plain,
    /// A plain user without subordinate ids.
    Single,
}

/// Below 60578 and above 60705 are ids that systemd doesn't give away (systemd's UIDS-GIDS.md).
const PLAIN: u32 = 60_800;
const SINGLE: u32 = 60_801;
/// Above systemd's range for containers, below 2^31.
const FIRST_SUBORDINATE: u32 = 1_900_000_000;

const COVER: &str = r#"
mount -t overlay -o "lowerdir=$1:/etc" overlay /etc || exit 99
shift; exec "$@""#;

impl Who {
    /// The user of the tests, and, where that is root, both plain users.
    #[must_use]
    pub fn all() -> &'static [Self] {
        static ALL: OnceLock<bool> = OnceLock::new();
        let others = *ALL.get_or_init(|| place::my_uid() == 0 && Self::Plain.works());
        if others { &[Self::Me, Self::Plain, Self::Single] } else { &[Self::Me] }
    }

    /// Whether it is root of the host, as far as the uid tells.
    #[must_use]
    pub fn is_root(self) -> bool {
        self.uid() == 0
    }

    pub(crate) fn uid(self) -> u32 {
        match self {
            Self::Me => place::my_uid(),
            Self::Plain => PLAIN,
            Self::Single => SINGLE,
        }
    }

    /// Gives a file to this user.
    pub fn own(self, path: &Path) {
        if self != Self::Me {
            lchown(path, Some(self.uid()), Some(self.uid())).expect("lchown");
        }
    }

    /// What stands before the program's name on the command line, with `as_root` before the change of user.
    pub(crate) fn prefix(self, as_root: &[String]) -> Vec<String> {
        if self == Self::Me {
            return as_root.to_vec();
        }
        let (etc, uid) = (etc().display().to_string(), self.uid());
        let cover = ["unshare", "--mount", "--propagation", "private", "sh", "-c", COVER, "sh", &etc];
        let (reuid, regid) = (format!("--reuid={uid}"), format!("--regid={uid}"));
        let become_user = ["setpriv", &reuid, &regid, "--clear-groups", "--"];
        let words = cover.into_iter().chain(as_root.iter().map(String::as_str)).chain(become_user);
        words.map(str::to_owned).collect()
    }

    fn works(self) -> bool {
        let prefix = self.prefix(&[]);
        let mut command = Command::new(&prefix[0]);
        command.args(&prefix[1..]).args(["id", "-un"]).stdin(Stdio::null());
        let works = command.output().is_ok_and(|o| o.status.success() && o.stdout == b"mdplain\n");
        if !works {
            crate::skip("no-plain-user", &"root can't mount an overlay on /etc in a mount namespace here");
        }
        works
    }
}

/// A copy of the host's user tables with ours added.
fn etc() -> &'static Path {
    static ETC: OnceLock<PathBuf> = OnceLock::new();
    ETC.get_or_init(|| {
        let dir = place::base().join("cache/etc");
        place::make_dir(&dir, 0o755);
        let user = |name, id| format!("{name}:x:{id}:{id}::/nonexistent:/bin/sh\n");
        let group = |name, id| format!("{name}:x:{id}:\n");
        let range = format!("mdplain:{FIRST_SUBORDINATE}:65536\n");
        let tables = [
            ("passwd", user("mdplain", PLAIN) + &user("mdsingle", SINGLE)),
            ("group", group("mdplain", PLAIN) + &group("mdsingle", SINGLE)),
            ("subuid", range.clone()),
            ("subgid", range),
        ];
        for (name, lines) in tables {
            let host = fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
            // By rename: a command that starts beside us sees the old table or the new one.
            let fresh = dir.join(format!("{name}.{}", std::process::id()));
            let host = if host.is_empty() { host } else { format!("{}\n", host.trim_end()) };
            fs::write(&fresh, host + &lines).expect("write a user table");
            fs::rename(&fresh, dir.join(name)).expect("rename a user table");
        }
        dir
    })
}
