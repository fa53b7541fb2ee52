//! The id map under which a rootless store's files are owned, and work inside of it.

use std::error::Error;
use std::io::{PipeReader, Read};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use namespaces::idmap::{How, IdMap, Maps};
use sys::{CloneFlags, Cloned, Pid};

use super::error::chain;
use super::{Below, Lock, Privilege, Record, Store, StoreError, read_record, write_record};

/// `layers/idmap.json`: the map of every file below the store.
#[derive(Debug, Serialize, Deserialize)]
struct IdMapRecord {
    version: u32,
    /// Lines as in /proc/pid/uid_map.
    uid_map: String,
    /// Lines as in /proc/pid/gid_map.
    gid_map: String,
}

impl Record for IdMapRecord {
    const VERSION: u32 = 1;
}

impl IdMapRecord {
    fn of(maps: &Maps) -> Self {
        Self { version: Self::VERSION, uid_map: maps.uid.to_string(), gid_map: maps.gid.to_string() }
    }

    fn is(&self, maps: &Maps) -> bool {
        self.uid_map == maps.uid.to_string() && self.gid_map == maps.gid.to_string()
    }

    /// Files of one id are owned by that id under every map that has it as id 0.
    fn may_grow_to(&self, maps: &Maps) -> bool {
        let first = |map: &IdMap| map.0.first().map(|r| format!("0 {} 1", r.outside));
        let same = |text: &str, map: &IdMap| {
            Some(text.split_whitespace().collect::<Vec<_>>().join(" ")) == first(map)
        };
        same(&self.uid_map, &maps.uid) && same(&self.gid_map, &maps.gid)
    }
}

/// The maps of every user namespace of this store. The first use decides and records them:
/// subordinate ids where newuidmap works (it is tried), else this user's one id.
///
/// # Errors
/// `OtherIdMap`: this user has other ids now than when the store was made. Only a store of a single
/// id may grow: its files are root's under every map of this user, and layers are unpacked again.
pub fn id_maps(store: &Store) -> Result<Maps, StoreError> {
    let path = store.layers().join("idmap.json");
    let maps =
        Maps::for_this_process().map_err(StoreError::io("openat", "/proc/self/uid_map", "O_RDONLY"))?;
    match recorded(&path)? {
        Some(record) if record.is(&maps) => return Ok(maps),
        Some(record) if !record.may_grow_to(&maps) => {
            return Err(StoreError::OtherIdMap {
                path: store.root().to_owned(),
                theirs: in_one_line(&record.uid_map),
                ours: in_one_line(&maps.uid.to_string()),
                why: maps.why_single.map(String::into_boxed_str),
            });
        }
        // New, or newuidmap was tried before and did not work.
        _ => {}
    }
    let maps = if maps.how == How::Helpers { tried(maps)? } else { maps };
    let _lock = Lock::exclusive(&store.lock_of("layers"))?;
    // Somebody else may have decided meanwhile.
    if recorded(&path)?.is_some_and(|record| record.is(&maps)) {
        return Ok(maps);
    }
    write_record(&path, &IdMapRecord::of(&maps), true)?;
    Ok(maps)
}

fn recorded(path: &std::path::Path) -> Result<Option<IdMapRecord>, StoreError> {
    match read_record(path) {
        Err(e) if e.errno() == Some(sys::Errno::ENOENT) => Ok(None),
        other => other.map(Some),
    }
}

fn in_one_line(map: &str) -> Box<str> {
    map.lines().collect::<Vec<_>>().join(", ").into()
}

/// The maps if the helpers can really write them, else one id with the reason.
fn tried(maps: Maps) -> Result<Maps, StoreError> {
    match with_maps(&maps, || Ok::<_, StoreError>(())) {
        Ok(()) => Ok(maps),
        Err(e) => Ok(Maps::single(&namespaces::idmap::User::me(), e.to_string())),
    }
}

/// Runs `work` where the store's files have the ids that containers see: in a child in a user
/// namespace with the store's maps, as its root. Rootful it runs right here.
///
/// The process must have one thread. What `work` changes in memory is lost; its value comes back as JSON.
///
/// # Errors
/// `InIdMap`: the child's own, and its making.
pub fn in_id_map<T: Serialize + DeserializeOwned, E: Error + 'static>(
    store: &Store,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, StoreError> {
    match store.privilege() {
        Privilege::Rootful => work().map_err(|e| in_child(told(&e))),
        Privilege::Rootless => with_maps(&id_maps(store)?, work),
    }
}

/// What a child tells of its failure: the first line, and the lines below.
type Told = (String, Below);

fn in_child((message, below): Told) -> StoreError {
    StoreError::InIdMap { message, below: Box::new(below) }
}

/// An error with its causes in one line, as far as the call that stands below it.
fn told(error: &(dyn Error + 'static)) -> Told {
    let below = Below::of(error);
    let mut said: Vec<String> = Vec::new();
    for cause in chain(error).map(ToString::to_string) {
        let known = said.last().is_some_and(|effect| effect.ends_with(&cause));
        if !known && below.call.as_ref() != Some(&cause) {
            said.push(cause);
        }
    }
    (said.join(": "), below)
}

fn with_maps<T: Serialize + DeserializeOwned, E: Error + 'static>(
    maps: &Maps,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, StoreError> {
    let (result, pipe) = std::io::pipe().map_err(StoreError::call("pipe2", "O_CLOEXEC"))?;
    let cloned = namespaces::clone(CloneFlags::CLONE_NEWUSER, Some(maps), None);
    match cloned.map_err(|e| in_child(told(&e)))? {
        Cloned::Child => {
            drop(result);
            let written = serde_json::to_writer(pipe, &work().map_err(|e| told(&e)));
            sys::exit_now(i32::from(written.is_err()))
        }
        Cloned::Parent { pid, .. } => {
            drop(pipe);
            answer(result, pid)
        }
    }
}

fn answer<T: DeserializeOwned>(mut result: PipeReader, pid: Pid) -> Result<T, StoreError> {
    let mut text = Vec::new();
    let read = result.read_to_end(&mut text);
    let status = sys::waitpid(pid)?;
    let lost = |why: String| {
        in_child((format!("the child in the id map gave no answer: {why}, {status:?}"), Below::default()))
    };
    read.map_err(|e| lost(e.to_string()))?;
    let done: Result<T, Told> = serde_json::from_slice(&text).map_err(|e| lost(e.to_string()))?;
    done.map_err(in_child)
}
