//! What a container shares with the host, by the rows of `holes`; and our own programs where the host has none.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use kit::{Minidocker, Output, Who};

/// The rows that a container closes, whoever runs it.
const CLOSED: [&str; 8] =
    ["files", "pids", "hostname", "mounts", "ipc", "devices", "network", "capabilities"];

/// The verdict on each row.
fn verdicts(output: &Output) -> BTreeMap<String, String> {
    let lines = output.lines();
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{output:?}");
    let row = |line: &String| (line[..13].trim().to_owned(), line[14..18].trim().to_owned());
    lines.iter().map(row).collect()
}

/// The program where its user may start it.
fn on_the_host(md: &Minidocker) -> PathBuf {
    let (bytes, program) = (md.room().join("bytes"), md.room().join("holes"));
    fs::write(&bytes, payload::PROGRAM).unwrap();
    // By cp(1): a descriptor open for writing would go into what another thread starts (ETXTBSY).
    let made = Command::new("cp").args([&bytes, &program]).status().unwrap();
    assert!(made.success());
    assert!(Command::new("chmod").arg("755").arg(&program).status().unwrap().success());
    program
}

/// All rows, as the user sees them without a container.
fn outside(md: &Minidocker) -> BTreeMap<String, String> {
    let program = on_the_host(md);
    let script = format!("exec '{}'", program.display());
    verdicts(&md.call(["version"]).through(&script).run().ok())
}

#[test]
fn on_the_host_each_row_is_the_hosts() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let rows = outside(&md);
        assert_eq!(rows.len(), 12, "{rows:?}");
        // linux/nsfs.h, PID_NS_INIT_INO. Elsewhere these tests themselves run in a container.
        let first = fs::read_link("/proc/self/ns/pid").unwrap().as_os_str() == "pid:[4026531836]";
        for (row, verdict) in &rows {
            // The kit's plain users live in a mount namespace that covers /etc.
            let covered = row == "mounts" && *who != Who::Me;
            assert!(!first || covered || verdict == "HOST", "{who:?}: {rows:?}");
            assert!(["own", "HOST"].contains(&verdict.as_str()), "{who:?} {row}: {rows:?}");
        }
    }
}

#[test]
fn a_container_closes_the_same_rows_for_every_user() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let rows = verdicts(&md.line("run --rm hostbox holes").ok().quiet());
        assert_eq!(rows.len(), 12, "{rows:?}");
        let outside = outside(&md);
        for (row, verdict) in &rows {
            let expected = match row.as_str() {
                row if CLOSED.contains(&row) => "own",
                // As with Docker: root's containers have the host's ids, all others have a map.
                "uid" if who.is_root() => &outside[row],
                "uid" => "own",
                // What stops us outside does so inside.
                _ => &outside[row],
            };
            assert_eq!(verdict, expected, "{who:?} {row}: {rows:?}");
        }
        md.nothing_left();
    }
}

#[test]
fn the_hosts_network_is_told_as_the_hosts() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let first = fs::read_link("/proc/self/ns/pid").unwrap().as_os_str() == "pid:[4026531836]";
        let rows = verdicts(&md.line("run --rm --network host hostbox holes network pids").ok());
        assert_eq!((rows["network"] == "HOST", rows["pids"].as_str()), (first, "own"), "{who:?}");
    }
}

#[test]
fn in_a_container_of_another_kind_the_rows_are_closed_too() {
    kit::require!(!kit::Minidocker::is_docker(), "ours-only", "Docker makes no hostbox");
    // A fresh store: one of many ids is refused where there is one.
    let md = kit::Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), Who::Me);
    // A user namespace with a single id, in which the others are own already.
    let nested = "exec unshare -Urmpfiu --mount-proc \"$@\"";
    let out = md.call(["run", "--rm", "hostbox", "holes"]).through(nested).run().ok();
    let rows = verdicts(&out);
    for row in CLOSED.iter().chain(&["uid"]) {
        assert_eq!(rows[*row], "own", "{out:?}");
    }
    md.nothing_left();
}

#[test]
fn a_filter_closes_the_row_of_system_calls() {
    kit::require!(kit::may_filter(), "not-root", "only root installs a filter without no_new_privs");
    let md = kit::ours!();
    let holes = ["run", "--rm", "hostbox", "holes", "system-calls"];
    let out = md.call(holes).without_calls(&["clone3=ENOSYS"]).run().ok();
    out.stdout_is("system calls  own   clone3: ENOSYS; Seccomp: 2");
    // A filter that lets all of them pass closes nothing.
    let out = md.call(holes).without_calls(&["close_range=ENOSYS"]).run().ok();
    out.stdout_is("system calls  HOST  clone3, personality: allowed; Seccomp: 2");
}

#[test]
fn limits_close_the_rows_of_memory_and_cpu() {
    kit::require!(rustix::process::geteuid().is_root(), "not-root", "makes a cgroup");
    let md = kit::ours!();
    let holes = on_the_host(&md);
    // At the top of each tree: below our own place the limits of others hold too.
    let name = md.name("holes");
    let trees = ["memory", "cpu", ""].map(|tree| std::path::Path::new("/sys/fs/cgroup").join(tree));
    let dirs = trees.iter().filter(|tree| tree.join("cgroup.procs").exists());
    let dirs = dirs.map(|tree| tree.join("minidocker").join(&name)).collect();
    let group = cgroups::Group::from_dirs(dirs).make().unwrap();
    // 64 MiB, and 20 ms of each 100 ms: v1 and v2 (cgroup-v1/memory.rst, cgroup-v2.rst).
    let limits = [
        ("memory.limit_in_bytes", "64M"),
        ("memory.max", "64M"),
        ("cpu.cfs_quota_us", "20000"),
        ("cpu.max", "20000 100000"),
    ];
    let files = group.dirs().iter().flat_map(|dir| limits.map(|(file, value)| (dir.join(file), value)));
    let set = files.filter(|(path, value)| path.exists() && fs::write(path, value).is_ok()).count();
    // Whoever writes 0 joins by itself; on v1 `tasks` is the quick way.
    let join = "for d; do if [ -e \"$d/tasks\" ]; then echo 0 >\"$d/tasks\"; else echo 0 >\"$d/cgroup.procs\"; fi; done; \
                exec \"$HOLES\" memory cpu";
    let output = Command::new("sh").args(["-c", join, "sh"]).args(group.dirs()).env("HOLES", &holes).output();
    group.remove().unwrap();
    kit::require!(set == 2, "no-limits", "neither v1 nor v2 limits memory and cpu here");
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("memory        own   256 MiB touched"), "{text}");
    assert!(lines[1].starts_with("cpu           own   300 ms burnt: throttled in "), "{text}");
}

#[test]
fn rows_are_chosen_by_name_and_told_in_json() {
    let md = kit::ours!();
    let out = md.line("run --rm hostbox holes --json uid system-calls").ok();
    let told: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(told["version"], 1);
    let names: Vec<_> =
        told["rows"].as_array().unwrap().iter().map(|row| row["row"].as_str().unwrap()).collect();
    assert_eq!(names, ["uid", "system calls"]);
    assert!(told["rows"][0]["seen"].as_str().unwrap().starts_with("0 here is "), "{told}");
    let out = md.line("run --rm hostbox holes color");
    assert_eq!(out.code, 2);
    assert!(out.err().starts_with("holes: no row \"color\": one of files, pids, "), "{out:?}");
}

#[test]
fn on_a_host_without_them_hostbox_has_our_own_programs() {
    kit::require!(!kit::Minidocker::is_docker(), "ours-only", "Docker makes no hostbox");
    kit::require!(rustix::process::geteuid().is_root(), "not-root", "mounts over the programs of the host");
    let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), Who::Me);
    // An overlay with a whiteout for each name. mount(8) is the last that goes.
    let dir = md.dir("without");
    let without = format!(
        "exec unshare -m sh -c 'mount --make-rprivate / && mount -t tmpfs none {0} && for d in sbin bin; do \
         mkdir -p {0}/$d/w {0}/$d/u && for p in ps id mount ip; do mknod {0}/$d/u/$p c 0 0; done && \
         mount -t overlay -o lowerdir=/usr/$d,upperdir={0}/$d/u,workdir={0}/$d/w none /usr/$d || exit 99; \
         done; exec \"$@\"' sh \"$@\"",
        dir.display()
    );
    let without = without.as_str();
    let run = |line: &str| md.call(kit::words(line)).through(without).run().ok().quiet();
    let links = run("run --rm hostbox ls -l /bin/ps /bin/id /bin/mount /bin/ip");
    assert_eq!(links.lines().iter().filter(|line| line.ends_with(" -> holes")).count(), 4, "{links:?}");
    run("run --rm hostbox ps").stdout_is("PID USER COMMAND\n  1 root ps");
    run("run --rm hostbox ps -o pid=,comm=").stdout_is("1 ps");
    run("run --rm hostbox id").stdout_is("uid=0(root) gid=0(root) groups=0(root)");
    run("run --rm hostbox id -un nobody").stdout_is("nobody");
    run("run --rm hostbox mount").stdout_has("proc on /proc type proc (rw,nosuid,nodev,noexec,relatime)");
    let link = run("run --rm hostbox ip link");
    assert!(link.lines()[0].starts_with("1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 "), "{link:?}");
    run("run --rm hostbox ip -o -4 addr").stdout_has("1: lo    inet 127.0.0.1/8 scope host lo\\");
    run("run --rm hostbox holes files").stdout_has("files         own   ");
    // What isn't allowed is told as a call.
    let refused = md.call(kit::words("run --rm hostbox mount -t tmpfs none /mnt")).through(without).run();
    assert_eq!(refused.code, 32);
    assert!(
        refused.err().starts_with("mount: mount(\"none\", \"/mnt\", \"tmpfs\", 0, NULL) : EPERM"),
        "{refused:?}"
    );
    let refused = md.call(kit::words("run --rm hostbox ip link set lo down")).through(without).run();
    assert_eq!(refused.code, 1);
    assert!(refused.err().starts_with("ip: sendto(AF_NETLINK, RTM_NEWLINK lo down) : EPERM"), "{refused:?}");
    // With them, it is made again.
    let again = md.line("run --rm hostbox ls -l /bin/ps").ok();
    assert!(again.lines()[0].ends_with(" /bin/ps"), "{again:?}");
    md.nothing_left();
}
