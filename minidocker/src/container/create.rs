//! A new container: its lock, its record, its name.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use super::find::id_of_name;
use super::{Container, ContainerError, InitLayer, State, check_name, new_name};
use crate::spec::Request;
use crate::store::{Lock, Store, StoreError, replace_file, write_record};

/// A container that was made a moment ago, with the lock that keeps it alive.
#[derive(Debug)]
pub struct NewContainer {
    /// Where it is.
    pub container: Container,
    /// What was asked, now with its name.
    pub request: Request,
    /// To be passed to the supervisor.
    pub lock: Lock,
}

/// A file of a container's directory besides its records.
#[derive(Debug, Clone)]
pub struct File {
    /// Its name there, such as `config.json`.
    pub name: &'static str,
    /// What is in it.
    pub text: String,
}

/// The directory of the [`InitLayer`] in a container's directory.
pub const INIT_LAYER: &str = "init";

/// What a container's directory holds besides its records.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// config.json, hosts and the like.
    pub files: Vec<File>,
    /// Mount points that the image lacks.
    pub init_layer: InitLayer,
    /// The lower directories, and what else of the image must still be there.
    pub base: Vec<PathBuf>,
}

/// Makes the record of a container from `request`, whose `id` is new. Without a name it gets one.
///
/// The lock is held before the record appears. The record is written under the shared images lock:
/// whoever removes an image takes it alone, and sees either our record, or that nobody has one. If
/// it was faster than we, what we looked up before is gone.
///
/// # Errors
/// `NameTaken`, `BaseGone`, or those of the store. Nothing is left after an error.
pub fn create(
    store: &Store,
    mut request: Request,
    contents: &Contents,
) -> Result<NewContainer, ContainerError> {
    let _images = Lock::shared(&store.lock_of("images"))?;
    for path in &contents.base {
        if !path.try_exists().map_err(StoreError::io("stat", path, ""))? {
            return Err(ContainerError::BaseGone(path.clone()));
        }
    }
    // A sweep that sees a half-made directory must not take it for a leftover.
    let _containers = Lock::exclusive(&store.lock_of("containers"))?;
    let container = Container::at(store, &request.id);
    let making = store.containers().join(format!(".new-{}", request.id));
    fs::DirBuilder::new().mode(0o700).create(&making).map_err(StoreError::io("mkdir", &making, "0700"))?;
    let made = fill(store, &container, &making, &mut request, contents);
    match made {
        Ok(lock) => Ok(NewContainer { container, request, lock }),
        Err(e) => {
            release_name(store, &request.name, &container.id);
            let _ = fs::remove_dir_all(&making);
            Err(e)
        }
    }
}

fn fill(
    store: &Store,
    container: &Container,
    making: &Path,
    request: &mut Request,
    contents: &Contents,
) -> Result<Lock, ContainerError> {
    let lock = Lock::exclusive(&making.join("lock"))?;
    take_name(store, request)?;
    write_record(&making.join("request.json"), request, false)?;
    State::created().write(making)?;
    contents.init_layer.make(&making.join(INIT_LAYER))?;
    write_files(making, &contents.files)?;
    for dir in ["upper", "work", "rootfs"] {
        let path = making.join(dir);
        // upper becomes the container's "/": readable by every user in it.
        fs::DirBuilder::new().mode(0o755).create(&path).map_err(StoreError::io("mkdir", &path, "0755"))?;
    }
    fs::rename(making, &container.dir).map_err(StoreError::io("rename", making, ""))?;
    Ok(lock)
}

fn write_files(dir: &Path, files: &[File]) -> Result<(), StoreError> {
    for file in files {
        let path = dir.join(file.name);
        // Read in the container by every user: they are bound over files of /etc.
        fs::write(&path, &file.text).map_err(StoreError::io("write", &path, ""))?;
    }
    Ok(())
}

impl Container {
    /// Replaces files of a container that doesn't run, which may have changed their owner and mode. The
    /// caller holds its lock.
    ///
    /// # Errors
    /// Those of the store.
    pub fn write_files(&self, files: &[File]) -> Result<(), StoreError> {
        // Whole at every moment: inspect reads them without the lock.
        files.iter().try_for_each(|f| replace_file(&self.dir.join(f.name), f.text.as_bytes(), 0o666, false))
    }
}

/// symlink(2) decides who gets the name.
fn take_name(store: &Store, request: &mut Request) -> Result<(), ContainerError> {
    let given = !request.name.is_empty();
    if given {
        // The name becomes a path.
        check_name(&request.name).map(drop)?;
        request.name = request.name.trim_start_matches('/').to_owned();
    }
    for retry in 0.. {
        if !given {
            request.name = new_name(&request.id, retry);
        }
        let link = store.names().join(&request.name);
        match symlink(&request.id, &link) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(StoreError::io("symlink", link, "")(e).into()),
        }
        match id_of_name(store, &request.name)? {
            // Its container is gone, and we hold the containers lock: nobody is making it now.
            None => fs::remove_file(&link).map_err(StoreError::io("unlink", link, ""))?,
            Some(holder) if given => {
                let name = std::mem::take(&mut request.name);
                return Err(ContainerError::NameTaken { name, holder });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Gives the name back if it is still this container's.
pub(crate) fn release_name(store: &Store, name: &str, id: &str) {
    let link = store.names().join(name);
    if !name.is_empty() && fs::read_link(&link).is_ok_and(|to| to.as_os_str() == id) {
        let _ = fs::remove_file(link);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::spec::{Config, HostConfig};
    use crate::store::Privilege;

    /// A request with a new id and nothing else.
    fn request() -> Request {
        Request {
            version: crate::spec::VERSION,
            id: crate::container::new_id().unwrap(),
            name: String::new(),
            created: jiff::Timestamp::now(),
            image: "x".into(),
            image_id: String::new(),
            rootfs: None,
            config: Config::default(),
            host_config: HostConfig::default(),
        }
    }

    /// A container of that request.
    pub(crate) fn made(store: &Store) -> NewContainer {
        create(store, request(), &Contents::default()).unwrap()
    }

    #[test]
    fn a_derived_file_is_whole_at_every_moment_and_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
        let container = made(&store).container;
        let file = |text: &str| File { name: "hosts", text: text.to_owned() };
        container.write_files(&[file("old")]).unwrap();
        let mut before = fs::File::open(container.dir.join("hosts")).unwrap();
        // A name that can't be written keeps the old file.
        fs::create_dir(container.dir.join(format!("hosts.{}.tmp", std::process::id()))).unwrap();
        assert!(container.write_files(&[file("new")]).is_err());
        assert_eq!(fs::read_to_string(container.dir.join("hosts")).unwrap(), "old");
        fs::remove_dir(container.dir.join(format!("hosts.{}.tmp", std::process::id()))).unwrap();
        container.write_files(&[file("new")]).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut before, &mut text).unwrap();
        assert_eq!(text, "old", "a mount keeps its inode");
        assert_eq!(fs::read_to_string(container.dir.join("hosts")).unwrap(), "new");
    }

    #[test]
    fn an_image_that_was_removed_meanwhile_makes_no_container() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
        let lower = dir.path().join("lower");
        fs::create_dir(&lower).unwrap();
        let make =
            || create(&store, request(), &Contents { base: vec![lower.clone()], ..Contents::default() });
        assert!(make().is_ok());
        fs::remove_dir(&lower).unwrap();
        assert!(matches!(make(), Err(ContainerError::BaseGone(path)) if path == lower));
        // Whether it is there can't be told (ELOOP), so it isn't called removed.
        std::os::unix::fs::symlink(&lower, &lower).unwrap();
        assert!(matches!(make(), Err(ContainerError::Store(e)) if e.errno() == Some(sys::Errno::ELOOP)));
        assert_eq!(fs::read_dir(store.containers()).unwrap().count(), 1);
        assert_eq!(fs::read_dir(store.names()).unwrap().count(), 1);
    }
}
