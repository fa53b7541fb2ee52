//! What /proc/self/status says after a process has given up what it could do.

use security::{CapSet, DOCKER_DEFAULT, capability};

use crate::run::{As, field, run};

const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

fn sets(status: &str) -> [u64; 5] {
    SETS.map(|name| u64::from_str_radix(field(status, name), 16).unwrap())
}

/// What root of the host lacks itself; in a user namespace nothing.
fn lacking(who: As) -> CapSet {
    let all = CapSet::up_to(security::last_cap().unwrap());
    if who == As::Root { all.difference(security::own_capabilities().unwrap()) } else { CapSet::EMPTY }
}

fn bits(names: &[&str]) -> u64 {
    CapSet::from_names(names).unwrap().bits()
}

#[test]
fn root_of_a_container_has_dockers_set_before_and_after_an_exec() {
    for who in As::roots() {
        for words in [["become", "0", "0", "-", "docker", "docker", "-"].as_slice(), &["apply", "docker"]] {
            let words: Vec<&str> = words.iter().copied().chain(["--", "cat", "/proc/self/status"]).collect();
            let out = run(*who, &words);
            let want = DOCKER_DEFAULT.difference(lacking(*who)).bits();
            assert_eq!(sets(&out), [0, want, want, want, 0], "{who:?}: {out}");
            let missing = DOCKER_DEFAULT.intersection(lacking(*who)).names();
            assert!(out.starts_with(&format!("missing {missing:?}\n")), "{out}");
        }
    }
}

#[test]
fn a_user_who_is_not_root_keeps_only_the_bounding_set() {
    if !As::host_root() {
        kit::skip("not-root", &"one id can't become another");
        return;
    }
    let words = ["become", "1234", "1235", "7,1236", "docker", "-", "-", "--", "cat", "/proc/self/status"];
    let out = run(As::Root, &words);
    assert_eq!(sets(&out), [0, 0, 0, DOCKER_DEFAULT.difference(lacking(As::Root)).bits(), 0]);
    assert_eq!(field(&out, "Uid"), "1234\t1234\t1234\t1234");
    assert_eq!(field(&out, "Gid"), "1235\t1235\t1235\t1235");
    assert_eq!(field(&out, "Groups"), "7 1236");
}

#[test]
fn no_supplementary_group_of_the_host_is_kept() {
    if !As::host_root() {
        kit::skip("not-root", &"one id can't set groups");
        return;
    }
    // The outer one puts itself into groups and starts the inner one, which is the container's.
    let outer = ["become", "0", "0", "4,24", "all", "all", "-", "--", "{program}"];
    let inner = ["become", "0", "0", "-", "docker", "docker", "-", "--", "cat", "/proc/self/status"];
    let out = run(As::Root, &[outer.as_slice(), &inner].concat());
    assert_eq!(field(&out, "Groups"), "", "{out}");
}

#[test]
fn ambient_capabilities_survive_the_exec_of_a_user_who_is_not_root() {
    if !As::host_root() {
        kit::skip("not-root", &"one id can't become another");
        return;
    }
    let name = "NET_BIND_SERVICE";
    let words = ["become", "1234", "1235", "-", "docker", name, name, "--", "cat", "/proc/self/status"];
    let out = run(As::Root, &words);
    let bind = bits(&[name]);
    let bounding = DOCKER_DEFAULT.difference(lacking(As::Root)).bits();
    assert_eq!(sets(&out), [bind, bind, bind, bounding, bind], "{out}");
}

#[test]
fn what_the_process_lacks_itself_is_told_and_left_out() {
    for who in As::roots() {
        let out = run(*who, &["apply", "chown,kill", "apply", "docker", "--", "cat", "/proc/self/status"]);
        let left = bits(&["chown", "kill"]) & !lacking(*who).bits();
        assert_eq!(sets(&out), [0, left, left, left, 0], "{who:?}");
        let missing = DOCKER_DEFAULT.difference(CapSet::from_bits(left)).names();
        assert!(out.contains(&format!("missing {missing:?}\n")), "{who:?}: {out}");
    }
    let out = run(As::Plain, &["apply", "docker", "--", "grep", "CapEff", "/proc/self/status"]);
    assert!(
        out.contains("PR_CAPBSET_DROP") && out.contains("EPERM"),
        "a plain user has no CAP_SETPCAP: {out}"
    );
}

#[test]
fn every_capability_of_the_kernel_can_be_dropped() {
    for who in As::roots() {
        let out = run(*who, &["become", "0", "0", "-", "-", "-", "-", "--", "cat", "/proc/self/status"]);
        assert_eq!(sets(&out), [0; 5], "{who:?}: {out}");
    }
}

#[test]
fn where_groups_are_denied_none_is_fine_and_one_is_eperm() {
    if !As::roots().contains(&As::Rootless) {
        return;
    }
    let words = |groups| ["become", "0", "0", groups, "docker", "docker", "-", "--", "id", "-u"];
    assert_eq!(run(As::Rootless, &words("-")), "missing []\n0\n");
    let out = run(As::Rootless, &words("5"));
    assert_eq!(out, "failed: setgroups(1, [5]) : EPERM (Operation not permitted)\n");
}

#[test]
fn an_id_without_a_place_in_the_map_is_einval() {
    if !As::roots().contains(&As::Rootless) {
        return;
    }
    let out = run(As::Rootless, &["become", "7", "0", "-", "docker", "-", "-", "--", "id"]);
    assert_eq!(out, "failed: setresuid(7, 7, 7) : EINVAL (Invalid argument)\n");
}

#[test]
fn no_new_privs_is_set_on_request_alone() {
    for (words, value) in [(["nnp"].as_slice(), "1"), (&[], "0")] {
        let words: Vec<&str> = words.iter().copied().chain(["--", "cat", "/proc/self/status"]).collect();
        assert_eq!(field(&run(As::Plain, &words), "NoNewPrivs"), value);
    }
}

#[test]
fn rlimits_reach_the_program_and_above_hard_is_eperm() {
    let words = [
        "rlimit",
        "nofile",
        "100",
        "200",
        "rlimit",
        "RLIMIT_CORE",
        "0",
        "0",
        "--",
        "cat",
        "/proc/self/limits",
    ];
    let out = run(As::Plain, &words);
    let row = |name: &str| {
        let row = out.lines().find(|l| l.starts_with(name)).unwrap();
        row[name.len()..].split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("Max open files"), ["100", "200"]);
    assert_eq!(row("Max core file size"), ["0", "0"]);
    let out = run(As::Plain, &["rlimit", "nofile", "10", "20", "rlimit", "nofile", "10", "21", "--", "true"]);
    assert_eq!(
        out,
        "failed: setrlimit(RLIMIT_NOFILE, {rlim_cur=10, rlim_max=21}) : EPERM (Operation not permitted)\n"
    );
    let out = run(As::Plain, &["rlimit", "nofile", "30", "20", "--", "true"]);
    assert_eq!(
        out,
        "failed: setrlimit(RLIMIT_NOFILE, {rlim_cur=30, rlim_max=20}) : EINVAL (Invalid argument)\n"
    );
}

#[test]
fn own_capabilities_are_those_of_proc() {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let [_, permitted, _, bounding, _] = sets(&status);
    assert_eq!(security::own_capabilities().unwrap().bits(), permitted & bounding);
    assert!(CapSet::up_to(security::last_cap().unwrap()).contains(capability("checkpoint_restore").unwrap()));
}
