//! Whose a throw-away mount namespace is, for tests of one mechanism.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::place::my_uid;

/// As whom a program runs that changes mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// Root of the host.
    Root,
    /// A plain user who is root of a user namespace with one id.
    Rootless,
    /// A plain user, in the namespaces of the test.
    Plain,
}

/// Nobody: no subordinate ids, no home.
const NOBODY: u32 = 65_534;
const DROP: [&str; 5] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];

impl As {
    /// Those that are root somewhere: root can try both, a plain user the second.
    #[must_use]
    pub fn roots() -> &'static [Self] {
        static ALLOWED: OnceLock<bool> = OnceLock::new();
        let allowed = *ALLOWED.get_or_init(|| {
            let mut try_it = Self::Rootless.command(Path::new("true"));
            let works = try_it.stdin(Stdio::null()).stderr(Stdio::null()).status();
            works.is_ok_and(|status| status.success())
        });
        match (Self::host_root(), allowed) {
            (true, true) => &[Self::Root, Self::Rootless],
            (false, true) => &[Self::Rootless],
            (root, false) => {
                crate::skip("no-userns", &"plain users may not make user namespaces here");
                if root { &[Self::Root] } else { &[] }
            }
        }
    }

    /// Whether root of the host runs the tests, as far as the uid tells.
    #[must_use]
    pub fn host_root() -> bool {
        my_uid() == 0
    }

    /// The words before a program: they become the user, and make the mount namespace.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        let drop = if self != Self::Root && Self::host_root() { &DROP[..] } else { &[] };
        let room: &[&str] = match self {
            Self::Root => &["unshare", "--mount", "--propagation", "private"],
            Self::Rootless => &["unshare", "--user", "--map-root-user", "--mount"],
            Self::Plain => &["env"],
        };
        [drop, room].concat()
    }

    /// A command that begins with these words.
    #[must_use]
    pub fn command(self, program: &Path) -> Command {
        let words = self.words();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(program).current_dir("/").stdin(Stdio::null());
        command
    }

    /// Gives a file to the user.
    pub fn own(self, path: &Path) {
        if self != Self::Root && Self::host_root() {
            std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).expect("lchown");
        }
    }

    /// Copies an example of ours to `to`, where every user may run it: by cp(1), for a copy that we write
    /// ourselves may be open in a child of another test that just starts (ETXTBSY).
    pub fn copy_example(package: &str, name: &str, to: &Path) {
        let copied = Command::new("cp").arg(crate::example(package, name)).arg(to).status();
        assert!(copied.expect("start cp").success(), "cp to {}", to.display());
    }
}
