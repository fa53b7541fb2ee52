//! The id map under which a rootless store's files are owned, and work inside of it.

use std::error::Error;
use std::io::{PipeReader, Read};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use namespaces::idmap::{How, IdMap, Maps, Range};
use sys::{CloneFlags, Cloned, Pid};

use super::error::in_one_line;
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
    /// As seen from the parent of our user namespace: under `unshare -r` files have the same owners as
    /// without it, but other numbers.
    fn of(maps: &Maps) -> Result<Self, StoreError> {
        let read = |map: std::io::Result<IdMap>| match map {
            Ok(map) if map.is_empty() => Err(no_ids()),
            map => map.map_err(unread()),
        };
        let (uids, gids) = (read(IdMap::of("self"))?, read(IdMap::of_groups("self"))?);
        let (uid_map, gid_map) = (through(&maps.uid, &uids), through(&maps.gid, &gids));
        Ok(Self { version: Self::VERSION, uid_map: uid_map.to_string(), gid_map: gid_map.to_string() })
    }

    fn is(&self, other: &Self) -> bool {
        (&self.uid_map, &self.gid_map) == (&other.uid_map, &other.gid_map)
    }

    /// Files of one id are owned by that id under every map that has it as id 0.
    fn may_grow_to(&self, other: &Self) -> bool {
        let same = |one: &str, more: &str| {
            let begin = more.lines().next().and_then(|line| line.strip_prefix("0 ")?.split(' ').next());
            begin.is_some_and(|outside| one == format!("0 {outside} 1\n"))
        };
        same(&self.uid_map, &other.uid_map) && same(&self.gid_map, &other.gid_map)
    }
}

/// `map`, whose outside ids are those of a user namespace with the map `ours`, with the ids outside of that.
fn through(map: &IdMap, ours: &IdMap) -> IdMap {
    let outside = |range: &Range| ours.to_outside(range.outside).unwrap_or(range.outside);
    IdMap(map.0.iter().map(|range| Range { outside: outside(range), ..*range }).collect())
}

fn no_ids() -> StoreError {
    let message = "this process has no id in its user namespace".to_owned();
    let why =
        "/proc/self/uid_map is empty: nobody has written it yet (unshare -U), or something lies over it";
    StoreError::InIdMap {
        message,
        below: Box::new(Below::advice(why, "unshare -r in place of unshare -U; umount what lies over /proc")),
    }
}

fn unread() -> impl FnOnce(std::io::Error) -> StoreError {
    StoreError::io("openat", "/proc/self/uid_map", "O_RDONLY|O_CLOEXEC")
}

/// The maps of every user namespace of this store. The first use decides and records them:
/// subordinate ids where newuidmap works (it is tried), else this user's one id.
///
/// # Errors
/// `OtherIdMap`: this user has other ids now than when the store was made. Only a store of a single
/// id may grow: its files are root's under every map of this user, and layers are unpacked again.
pub fn id_maps(store: &Store) -> Result<Maps, StoreError> {
    let path = store.layers().join("idmap.json");
    let maps = Maps::for_this_process().map_err(unread())?;
    let ours = IdMapRecord::of(&maps)?;
    if agrees(store, recorded(&path)?, &ours, &maps)? {
        return Ok(maps);
    }
    // New, or newuidmap was tried before and did not work.
    let maps = if maps.how == How::Helpers { tried(maps)? } else { maps };
    decide(store, &path, &maps)?;
    Ok(maps)
}

/// Records the map, unless somebody else decided otherwise meanwhile.
fn decide(store: &Store, path: &Path, maps: &Maps) -> Result<(), StoreError> {
    let ours = IdMapRecord::of(maps)?;
    let _lock = Lock::exclusive(&store.lock_of("layers"))?;
    if agrees(store, recorded(path)?, &ours, maps)? { Ok(()) } else { write_record(path, &ours, true) }
}

/// Whether the store is of this map already; false: it may become so.
fn agrees(
    store: &Store,
    record: Option<IdMapRecord>,
    ours: &IdMapRecord,
    maps: &Maps,
) -> Result<bool, StoreError> {
    match record {
        Some(record) if record.is(ours) => Ok(true),
        Some(record) if !record.may_grow_to(ours) => Err(StoreError::OtherIdMap {
            path: store.root().to_owned(),
            theirs: with_commas(&record.uid_map),
            ours: with_commas(&ours.uid_map),
            why: maps.why_single.clone().map(String::into_boxed_str),
        }),
        _ => Ok(false),
    }
}

fn recorded(path: &Path) -> Result<Option<IdMapRecord>, StoreError> {
    match read_record(path) {
        Err(e) if e.errno() == Some(sys::Errno::ENOENT) => Ok(None),
        other => other.map(Some),
    }
}

fn with_commas(map: &str) -> Box<str> {
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

fn told(error: &(dyn Error + 'static)) -> Told {
    let below = Below::of(error);
    (in_one_line(error, below.call.as_deref(), ToString::to_string), below)
}

/// What a helper says has no call of ours, and a /proc that is unfit is not what it blames.
fn of_spawn(error: &namespaces::SpawnError) -> Told {
    let (message, below) = told(error);
    let unfit = || security::unfit_proc().map(|(because, remedy)| Below::advice(because, remedy));
    let unfit = below.call.is_none().then(unfit).flatten();
    (message, unfit.unwrap_or(below))
}

fn with_maps<T: Serialize + DeserializeOwned, E: Error + 'static>(
    maps: &Maps,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, StoreError> {
    let (result, pipe) = std::io::pipe().map_err(StoreError::call("pipe2", "O_CLOEXEC"))?;
    let cloned = namespaces::clone(CloneFlags::CLONE_NEWUSER, Some(maps), None);
    match cloned.map_err(|e| in_child(of_spawn(&e)))? {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(map: &str) -> IdMapRecord {
        IdMapRecord { version: 1, uid_map: map.to_owned(), gid_map: map.to_owned() }
    }

    #[test]
    fn a_store_of_one_id_may_grow_and_no_other() {
        let (one, more) = (record("0 1000 1\n"), record("0 1000 1\n1 100000 65536\n"));
        assert!(one.may_grow_to(&more) && one.may_grow_to(&one));
        assert!(!more.may_grow_to(&one));
        assert!(!more.may_grow_to(&record("0 1000 1\n1 200000 65536\n")));
        assert!(!one.may_grow_to(&record("0 1001 1\n1 100000 65536\n")));
    }

    #[test]
    fn one_id_does_not_take_the_place_of_more_that_were_recorded_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
        let path = store.layers().join("idmap.json");
        let single = Maps::single(&namespaces::idmap::User::me(), "newuidmap failed".into());
        let one = IdMapRecord::of(&single).unwrap();
        let more = record(&format!("{}1 100000 65536\n", one.uid_map));
        write_record(&path, &more, false).unwrap();
        let error = decide(&store, &path, &single).unwrap_err();
        assert!(matches!(error, StoreError::OtherIdMap { .. }), "{error}");
        assert!(recorded(&path).unwrap().unwrap().is(&more));
    }

    #[test]
    fn the_same_owners_are_the_same_map_from_within_a_user_namespace() {
        let text = |map: IdMap| map.to_string();
        let map = |text: &str| text.parse::<IdMap>().unwrap();
        assert_eq!(text(through(&map("0 0 1"), &map("0 1000 1"))), "0 1000 1\n");
        let more = "0 1000 1\n1 100000 65536\n";
        assert_eq!(text(through(&map("0 0 1\n1 1 65536"), &map(more))), more);
        assert_eq!(text(through(&map(more), &map("0 0 4294967295"))), more);
    }
}
