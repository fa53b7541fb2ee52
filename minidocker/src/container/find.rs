//! Which container is meant.

use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::libc;
use oci_spec::runtime::Spec;

use super::{ContainerError, State};
use crate::spec::{self, Request};
use crate::store::{Store, StoreError, is_locked, read_file, read_record};

/// One container of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// `containers/<id>`, absolute.
    pub dir: PathBuf,
}

impl Container {
    pub(crate) fn at(store: &Store, id: &str) -> Self {
        Self { id: id.to_owned(), dir: store.containers().join(id) }
    }

    /// The first twelve digits.
    #[must_use]
    pub fn short_id(&self) -> &str {
        &self.id[..12]
    }

    /// Whether its supervisor (or the client that is making it) lives.
    ///
    /// # Errors
    /// The lock file can't be opened.
    pub fn is_alive(&self) -> Result<bool, StoreError> {
        is_locked(&self.lock_path())
    }

    /// The file whose lock says that it is alive.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// What was asked.
    ///
    /// # Errors
    /// `Record`.
    pub fn request(&self) -> Result<Request, ContainerError> {
        read_record(&self.dir.join("request.json")).map_err(self.of_record())
    }

    /// Where it stands.
    ///
    /// # Errors
    /// `Record`.
    pub fn state(&self) -> Result<State, ContainerError> {
        State::read(&self.dir).map_err(self.of_record())
    }

    /// What the runtime was told.
    ///
    /// # Errors
    /// `Record`; `Newer` as [`Container::refuse_newer`].
    pub fn spec(&self) -> Result<Spec, ContainerError> {
        let path = self.dir.join("config.json");
        let read = || {
            let text = read_file(&path)?;
            not_newer(&path, &text)?;
            serde_json::from_slice(&text)
                .map_err(|e| StoreError::Damaged { path: path.clone(), reason: e.to_string() })
        };
        read().map_err(self.of_record())
    }

    /// Leaves a container alone whose config.json is a newer program's, as one with a newer record. A
    /// config.json that is missing or damaged is no reason to: it is derived afresh at each start.
    ///
    /// # Errors
    /// `Record` with `Newer`: of another major version of the OCI specification, or of our annotation.
    pub fn refuse_newer(&self) -> Result<(), ContainerError> {
        let path = self.dir.join("config.json");
        let Ok(text) = read_file(&path) else { return Ok(()) };
        not_newer(&path, &text).map_err(self.of_record())
    }

    fn of_record(&self) -> impl FnOnce(StoreError) -> ContainerError {
        // The record that can't be read would tell the name.
        |cause| ContainerError::Record { container: self.name(), cause: Box::new(cause) }
    }

    /// Its name by the link that points to it, else its short id.
    #[must_use]
    pub fn name(&self) -> String {
        let names = self.dir.parent().and_then(Path::parent).map(|root| root.join("names"));
        let links = names.and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten().flatten();
        let mut ours = links.filter(|l| fs::read_link(l.path()).is_ok_and(|to| to.as_os_str() == &*self.id));
        let name = ours.next().and_then(|link| link.file_name().into_string().ok());
        name.unwrap_or_else(|| self.short_id().to_owned())
    }
}

fn not_newer(path: &Path, config: &[u8]) -> Result<(), StoreError> {
    let newer = |(found, known)| StoreError::Newer { path: path.to_owned(), found, known };
    spec::check_version(config).map_err(newer)
}

/// All containers, in no order. What is being made or removed has a name with a dot and is no container.
///
/// # Errors
/// The directory can't be read.
pub fn all(store: &Store) -> Result<Vec<Container>, StoreError> {
    let dir = store.containers();
    let flags = "O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_DIRECTORY";
    let entries = fs::read_dir(&dir).map_err(StoreError::io("openat", &dir, flags))?;
    let names = listed(entries).map_err(StoreError::io("getdents64", &dir, ""))?;
    Ok(names.iter().filter(|name| is_id(name)).map(|id| Container::at(store, id)).collect())
}

/// The names of a directory, those that are UTF-8. A list that ends too early is an error: what it lacks
/// would pass for gone.
pub(super) fn listed(entries: fs::ReadDir) -> io::Result<Vec<String>> {
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
    names.filter_map(io::Result::transpose).collect()
}

fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The container with this id, this name, or the only one whose id begins so: in Docker's order.
///
/// # Errors
/// `NotFound`, `Ambiguous`.
pub fn find(store: &Store, word: &str) -> Result<Container, ContainerError> {
    let bare = word.strip_prefix('/').unwrap_or(word);
    if is_id(bare) && is_there(store, bare)? {
        return Ok(Container::at(store, bare));
    }
    if let Some(id) = id_of_name(store, bare)? {
        return Ok(Container::at(store, &id));
    }
    let hex = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_hexdigit());
    let mut with_prefix = if hex { all(store)? } else { Vec::new() };
    with_prefix.retain(|c| c.id.starts_with(bare));
    match with_prefix.len() {
        0 => Err(ContainerError::NotFound(word.to_owned())),
        1 => Ok(with_prefix.remove(0)),
        _ => Err(ContainerError::Ambiguous(word.to_owned())),
    }
}

/// The id to which `names/<name>` points, when that container is there.
///
/// # Errors
/// It can't be told: a name that is nobody's may be taken away.
pub(crate) fn id_of_name(store: &Store, name: &str) -> Result<Option<String>, StoreError> {
    if name.is_empty() || name.contains('/') {
        return Ok(None);
    }
    let link = store.names().join(name);
    let id = match fs::read_link(&link) {
        Ok(to) => to.into_os_string().into_string().unwrap_or_default(),
        // Nothing, no link, or a word that can be no name.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINVAL | libc::ENAMETOOLONG)) => {
            return Ok(None);
        }
        Err(e) => return Err(StoreError::io("readlink", link, "")(e)),
    };
    Ok(if is_id(&id) && is_there(store, &id)? { Some(id) } else { None })
}

fn is_there(store: &Store, id: &str) -> Result<bool, StoreError> {
    let dir = store.containers().join(id);
    match fs::metadata(&dir) {
        Ok(meta) => Ok(meta.is_dir()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(StoreError::io("stat", dir, "")(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Privilege;

    fn store_with(ids: &[&str]) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().to_owned(), Privilege::Rootless).unwrap();
        for id in ids {
            fs::create_dir(store.containers().join(id)).unwrap();
        }
        (dir, store)
    }

    #[test]
    fn ids_names_and_prefixes_find_a_container() {
        let (a, b) = ("ab".repeat(32), "ac".repeat(32));
        let (_dir, store) = store_with(&[&a, &b, ".new-x", "junk"]);
        std::os::unix::fs::symlink(&b, store.names().join("ab")).unwrap();
        std::os::unix::fs::symlink("cd".repeat(32), store.names().join("stale")).unwrap();
        assert_eq!(all(&store).unwrap().len(), 2);
        assert_eq!(find(&store, &a).unwrap().id, a);
        assert_eq!(find(&store, "ab").unwrap().id, b, "a name goes before a prefix");
        assert_eq!(find(&store, "/ab").unwrap().id, b);
        assert_eq!(find(&store, "aba").unwrap().id, a);
        assert!(matches!(find(&store, "a"), Err(ContainerError::Ambiguous(_))));
        for unknown in ["", "stale", "f", "../x", "x y"] {
            assert!(matches!(find(&store, unknown), Err(ContainerError::NotFound(_))), "{unknown:?}");
        }
    }
    #[test]
    fn what_cannot_be_looked_at_is_an_error_and_not_gone() {
        let a = "ab".repeat(32);
        let (_dir, store) = store_with(&[]);
        // A link to itself can't be followed (ELOOP): as good as a disk that can't be read.
        std::os::unix::fs::symlink(&a, store.containers().join(&a)).unwrap();
        std::os::unix::fs::symlink(&a, store.names().join("mine")).unwrap();
        let errno = |found: Result<Option<String>, StoreError>| found.unwrap_err().errno();
        assert_eq!(errno(id_of_name(&store, "mine")), Some(sys::Errno::ELOOP));
        assert!(matches!(find(&store, "mine"), Err(ContainerError::Store(_))));
        assert!(matches!(find(&store, &a), Err(ContainerError::Store(_))));
        assert_eq!(id_of_name(&store, &"x".repeat(300)).unwrap(), None);
    }
}
