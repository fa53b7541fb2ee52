//! The id map under which a rootless store's files are owned, and work inside of it.

use std::io::{PipeReader, Read};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use namespaces::idmap::{How, IdMap, Maps};
use sys::{CloneFlags, Cloned, Pid};

use super::{Lock, Privilege, Record, Store, StoreError, read_record, write_record};

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
/// `OtherIdMap`: the subordinate ids of this user changed since.
pub fn id_maps(store: &Store) -> Result<Maps, StoreError> {
    let path = store.layers().join("idmap.json");
    let maps = Maps::for_this_process().map_err(StoreError::io("read", "/proc/self/uid_map"))?;
    match recorded(&path)? {
        Some(record) if record.is(&maps) => return Ok(maps),
        // newuidmap was tried before, and did not work.
        Some(record) if !record.may_grow_to(&maps) => {
            return Err(StoreError::OtherIdMap {
                path: store.root().to_owned(),
                theirs: record.uid_map.replace('\n', ", "),
                ours: maps.uid.to_string().replace('\n', ", "),
            });
        }
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
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// The maps if the helpers can really write them, else one id with the reason.
fn tried(maps: Maps) -> Result<Maps, StoreError> {
    match with_maps(&maps, || Ok(())) {
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
/// Those of the child, in words.
pub fn in_id_map<T: Serialize + DeserializeOwned>(
    store: &Store,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<T, StoreError> {
    match store.privilege() {
        Privilege::Rootful => work().map_err(StoreError::InIdMap),
        Privilege::Rootless => with_maps(&id_maps(store)?, work),
    }
}

fn with_maps<T: Serialize + DeserializeOwned>(
    maps: &Maps,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<T, StoreError> {
    let (result, told) = std::io::pipe().map_err(StoreError::io("make", "(pipe)"))?;
    let cloned = namespaces::clone(CloneFlags::CLONE_NEWUSER, Some(maps), None);
    match cloned.map_err(|e| StoreError::InIdMap(chain(&e)))? {
        Cloned::Child => {
            drop(result);
            let written = serde_json::to_writer(told, &work());
            sys::exit_now(i32::from(written.is_err()))
        }
        Cloned::Parent { pid, .. } => {
            drop(told);
            answer(result, pid)
        }
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

fn answer<T: DeserializeOwned>(mut result: PipeReader, pid: Pid) -> Result<T, StoreError> {
    let mut text = Vec::new();
    let read = result.read_to_end(&mut text);
    let status = sys::waitpid(pid)?;
    let lost = |why: String| {
        StoreError::InIdMap(format!("the child in the id map gave no answer: {why}, {status:?}"))
    };
    read.map_err(|e| lost(e.to_string()))?;
    let done: Result<T, String> = serde_json::from_slice(&text).map_err(|e| lost(e.to_string()))?;
    done.map_err(StoreError::InIdMap)
}
