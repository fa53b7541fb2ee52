//! What the dead leave, made by hand in a store of its own.

use super::*;
use crate::store::Privilege;

#[test]
fn a_lock_that_another_command_has_for_a_moment_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
    let container = Container::at(&store, &"ab".repeat(32));
    assert!(lock_dead(&container).unwrap().is_none(), "there is no such container");
    fs::create_dir(&container.dir).unwrap();
    let held = Lock::exclusive(&container.lock_path()).unwrap();
    let (begun, begins) = std::sync::mpsc::channel();
    let waits = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            begun.send(()).unwrap();
            lock_dead(&container).unwrap().is_some()
        });
        begins.recv().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        drop(held);
        waiting.join().unwrap()
    });
    assert!(waits);
}

#[test]
fn a_container_that_waits_since_the_first_look_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
    let container = crate::container::made_for_tests(&store).container;
    Ledger::open(&container.dir).unwrap().change(|state| state.waits = true).unwrap();
    clear(&store, &container, true).unwrap();
    assert!(container.dir.exists());
    Ledger::open(&container.dir).unwrap().change(|state| state.waits = false).unwrap();
    clear(&store, &container, true).unwrap();
    assert!(!container.dir.exists());
}

#[test]
fn what_was_started_and_died_before_rm_had_the_lock_is_ended_before_its_record_goes() {
    use std::os::unix::process::ExitStatusExt;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
    let container = crate::container::made_for_tests(&store).container;
    let mut init = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let pid = init.id() as i32;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start_time = stat.split(' ').nth(21).unwrap().parse().unwrap();
    let resource = runtime::Resource::Init { pid, start_time, pid_namespace: 0 };
    Ledger::open(&container.dir).unwrap().change(|state| state.resources.push(resource)).unwrap();
    end_and_remove(&store, &container).unwrap();
    assert_eq!(init.wait().unwrap().signal(), Some(9));
    assert!(!container.dir.exists());
}

#[test]
fn one_leftover_that_stays_does_not_keep_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path().join("store"), Privilege::Rootless).unwrap();
    // Its lock can't be opened: a directory stands there.
    for name in [".new-a/lock", ".new-b", ".new-c/lock", ".gone-d/upper"] {
        fs::create_dir_all(store.containers().join(name)).unwrap();
    }
    let failures = sweep::sweep(&store);
    assert_eq!(failures.len(), 2, "{failures:?}");
    let mut left: Vec<_> =
        fs::read_dir(store.containers()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".new-a", ".new-c"]);
}
