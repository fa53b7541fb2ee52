//! `create` and `start`: a container that is made now and runs later, and once more.

use std::fs;

use kit::{Minidocker, Who, common};

fn state(md: &Minidocker, name: &str) -> serde_json::Value {
    crate::inspect(md, name)["State"].clone()
}

/// Waits until the container has ended.
fn ended(md: &Minidocker, name: &str) {
    while state(md, name)["Running"] == true {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn create_prints_the_id_and_runs_nothing() {
    let md = common!();
    let name = md.name("made");
    let out = md.line(&format!("create --name {name} -h web hostbox sh -c 'echo ran; exit 3'")).ok().quiet();
    let id = out.out();
    assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{out:?}");
    let made = state(&md, &name);
    assert_eq!((&made["Status"], &made["Pid"], &made["ExitCode"]), (&"created".into(), &0.into(), &0.into()));
    md.line("ps -a").ok().stdout_has(&id[..12]).stdout_has("Created");
    assert!(!md.line("ps -q").ok().out().contains(&id[..12]), "it doesn't run");
    md.line(&format!("start -a {}", &id[..12])).code(3).stdout_is("ran").quiet();
    assert_eq!(state(&md, &name)["ExitCode"], 3);
    md.line(&format!("rm {name}")).ok();
}

#[test]
fn start_leaves_it_running_and_prints_what_was_typed() {
    let md = common!();
    let (name, dir) = (md.name("bg"), md.dir("data"));
    let line = format!(
        "create --name {name} -v {}:/d hostbox sh -c 'echo up > /d/up; exec sleep 1000'",
        dir.display()
    );
    md.line(&line).ok();
    md.line(&format!("start {name}")).ok().stdout_is(&name).quiet();
    let first = state(&md, &name);
    assert_eq!(first["Status"], "running");
    while fs::read_to_string(dir.join("up")).unwrap_or_default() != "up\n" {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    md.line(&format!("start {name}")).ok().stdout_is(&name).quiet();
    assert_eq!(state(&md, &name), first, "what runs is left alone");
    md.line(&format!("rm -f {name}")).ok();
}

#[test]
fn started_again_it_has_what_it_wrote_and_a_new_state() {
    let md = common!();
    let name = md.name("again");
    let script = "echo x >> /count; grep -c x /count; [ $(grep -c x /count) = 3 ]";
    md.run(["create", "--name", &name, "hostbox", "sh", "-c", script]).ok();
    let mut started = String::new();
    for (n, code) in [(1, 1), (2, 1), (3, 0)] {
        md.line(&format!("start -a {name}")).code(code).stdout_is(&n.to_string());
        let now = state(&md, &name);
        assert_eq!((&now["ExitCode"], &now["Status"]), (&code.into(), &"exited".into()));
        assert_ne!(now["StartedAt"], started);
        now["StartedAt"].as_str().unwrap().clone_into(&mut started);
    }
    md.line(&format!("rm {name}")).ok();
}

#[test]
fn every_user_can_start_again_and_the_files_of_etc_are_fresh() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let script = "cat /etc/hosts | wc -l; chmod 0 /etc/hosts; echo >> /etc/hosts; touch /kept; ls /kept";
        let line = ["run", "--name", "twice", "hostbox", "sh", "-c", script];
        let first = md.run(line).ok();
        let again = md.line("start -a twice").ok();
        assert_eq!(again.out(), first.out(), "{who:?}");
        let log = fs::read_to_string(md.containers()[0].join("log")).unwrap();
        assert_eq!(log.matches("/kept").count(), 2, "the log goes on: {log}");
        md.line("rm twice").ok();
        md.nothing_left();
    }
}

#[test]
fn i_sends_what_we_have_to_one_that_was_made_with_i() {
    let md = common!();
    for (flag, seen) in [("-i", "in"), ("", "")] {
        let name = md.name("stdin");
        md.line(&format!("create {flag} --name {name} hostbox sh -c 'cat; exit 4'")).ok();
        for start in ["-ai", "-i"] {
            let out = md.call(kit::words(&format!("start {start} {name}"))).stdin("in").run();
            assert_eq!((out.code, out.out().as_str()), (4, seen), "{flag} {start}");
        }
        md.line(&format!("rm {name}")).ok();
    }
}

#[test]
fn start_a_of_one_that_runs_joins_it() {
    let md = kit::ours!();
    let mut first = md
        .call(kit::words("run -i --name join hostbox sh -c 'echo up; read x; echo $x; exit 6'"))
        .stdin_open()
        .spawn();
    first.expect("up\n");
    let mut second = md.call(kit::words("start -ai join")).stdin_open().spawn();
    // Joined for sure when its line comes back.
    second.send(b"from the second\n");
    second.expect("from the second\n");
    first.expect("from the second\n");
    assert_eq!((first.finish().code, second.finish().code), (6, 6));
    md.line("rm join").ok();
    md.nothing_left();
}

#[test]
fn start_a_that_is_read_too_slowly_says_that_output_is_lost() {
    // More than a client may leave unread; and less, when the container ends before it is read.
    for size in [3_000_000, 200_000] {
        let md = kit::ours!();
        let script = format!(
            "echo up; while read x; do echo $x; [ $x = go ] && head -c {size} /dev/zero && echo done; done; exit 6"
        );
        let mut first =
            md.call(["run", "-i", "--name", "slow", "hostbox", "sh", "-c", &script]).stdin_open().spawn();
        first.expect("up\n");
        let mut second = md.call(kit::words("start -ai slow")).stdin_open().spawn();
        second.send(b"joined\n");
        second.expect("joined\n");
        second.signal(rustix::process::Signal::STOP);
        first.send(b"go\n");
        first.expect("done\n");
        first.close_stdin();
        let all = first.finish().code(6).quiet();
        assert!(all.stdout.len() > size);
        second.signal(rustix::process::Signal::CONT);
        let cut = second.finish().code(6);
        assert!(cut.stdout.len() < size, "{} bytes", cut.stdout.len());
        assert_eq!(
            cut.err(),
            "minidocker: the container's output is cut off here: it was not read for too long"
        );
        md.line("rm slow").ok();
        md.nothing_left();
    }
}

#[test]
fn start_a_gives_the_terminal_its_size_from_the_first_moment() {
    let md = kit::ours!();
    md.line("create -t --name size hostbox true").ok();
    let start = md.call(kit::words("start -a size")).on_terminal(33, 99);
    let _ = start.finish().ok();
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(md.containers()[0].join("config.json")).unwrap()).unwrap();
    assert_eq!(config["process"]["consoleSize"], serde_json::json!({"height": 33, "width": 99}));
    md.line("rm size").ok();
    md.nothing_left();
}

#[test]
fn what_cannot_be_started_is_told_and_the_others_are() {
    let md = common!();
    let (good, bad) = (md.name("good"), md.name("bad"));
    md.line(&format!("create --name {good} hostbox true")).ok();
    md.line(&format!("create --name {bad} hostbox nosuchprogram")).ok();
    let out = md.line(&format!("start nosuch-one {bad} {good}")).code(1).stdout_is(&good);
    let out =
        out.stderr_has("No such container: nosuch-one").stderr_has("executable file not found in $PATH");
    let _ = out.stderr_has(&format!("failed to start containers: nosuch-one, {bad}"));
    let failed = state(&md, &bad);
    assert_eq!((&failed["Status"], &failed["ExitCode"]), (&"created".into(), &127.into()));
    assert!(failed["Error"].as_str().unwrap().contains("executable file not found"), "{failed}");
    ended(&md, &good);
    md.line("start -a nosuch-one").complains(1, "No such container: nosuch-one");
    md.line(&format!("start -a {bad}")).complains(1, "executable file not found in $PATH");
    md.line(&format!("start -a {good} {bad}"))
        .complains(1, "you cannot start and attach multiple containers at once");
    md.line("start").complains(1, "requires at least 1 argument");
    md.line(&format!("rm {good} {bad}")).ok();
}

#[test]
fn a_failed_start_of_one_that_ran_keeps_what_it_had() {
    let md = common!();
    let (name, dir) = (md.name("broken"), md.dir("data"));
    fs::write(dir.join("run"), "#!/bin/sh\necho x >> /count; exit 2\n").unwrap();
    fs::set_permissions(dir.join("run"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    md.line(&format!("run --name {name} -v {}:/d hostbox /d/run", dir.display())).code(2);
    let ran = state(&md, &name);
    fs::rename(dir.join("run"), dir.join("walk")).unwrap();
    md.line(&format!("start {name}")).code(1).stderr_has("no such file or directory");
    let now = state(&md, &name);
    assert_eq!((&now["Status"], &now["ExitCode"]), (&"exited".into(), &127.into()));
    assert_eq!(now["StartedAt"], ran["StartedAt"]);
    fs::rename(dir.join("walk"), dir.join("run")).unwrap();
    md.line(&format!("start -a {name}")).code(2);
    assert_eq!(state(&md, &name)["Error"], "");
    md.line(&format!("rm {name}")).ok();
}

#[test]
fn of_many_starts_at_once_one_wins_and_all_succeed() {
    let md = kit::ours!();
    md.line("create --name race hostbox sleep 1000").ok();
    for _ in 0..5 {
        let starts: Vec<_> = (0..6).map(|_| md.call(["start", "race"]).spawn()).collect();
        for start in starts {
            start.finish().ok().stdout_is("race").quiet();
        }
        assert_eq!(md.supervisors().len(), 1);
        md.line("kill race").ok();
        ended(&md, "race");
    }
    md.line("rm -f race").ok();
    md.nothing_left();
}

#[test]
fn with_rm_it_waits_for_its_first_start_and_goes_after_it() {
    let md = common!();
    let name = md.name("once");
    md.line(&format!("create --rm --name {name} hostbox sh -c 'echo once; exit 9'")).ok();
    md.line("ps -a").ok().stdout_has(&name);
    md.line("run --rm hostbox true").ok();
    md.line(&format!("start -a {name}")).code(9).stdout_is("once");
    while md.line("ps -a").ok().out().contains(&name) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    md.line(&format!("start {name}")).code(1).stderr_has("No such container");
    md.nothing_left();
}

#[test]
fn a_dead_supervisors_container_starts_again() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        md.line("create --name dead hostbox sleep 1000").ok();
        for _ in 0..2 {
            md.line("start dead").ok().stdout_is("dead");
            let supervisor = md.supervisors().remove(0);
            rustix::process::kill_process(
                rustix::process::Pid::from_raw(supervisor.pid).unwrap(),
                rustix::process::Signal::KILL,
            )
            .unwrap();
        }
        md.line("start dead").ok();
        assert_eq!(state(&md, "dead")["Status"], "running", "{who:?}");
        md.line("rm -f dead").ok();
        md.nothing_left();
    }
}

#[test]
fn the_user_is_looked_up_in_what_the_container_made_of_passwd() {
    let md = common!();
    let name = md.name("user");
    let script = "id -u; echo late:x:77:77::/l:/bin/sh >> /etc/passwd; sed -i s/:0:0:/:0:0:/ /etc/passwd 2>/dev/null; true";
    md.run(["run", "--name", &name, "-u", "root", "hostbox", "sh", "-c", script]).ok().stdout_is("0");
    md.line(&format!("start -a {name}")).ok().stdout_is("0");
    md.line(&format!("rm {name}")).ok();
}

#[test]
fn what_create_cannot_mean_or_make_has_dockers_codes() {
    let md = common!();
    let name = md.name("taken");
    md.line(&format!("create --name {name} hostbox true")).ok();
    for (line, code, said) in [
        ("create --frobnicate hostbox", 125, "unknown flag: --frobnicate"),
        ("create -d hostbox true", 125, "unknown shorthand flag: 'd' in -d"),
        ("create --detach-keys a hostbox true", 125, "unknown flag: --detach-keys"),
        ("create -v /a: hostbox true", 125, "empty section between colons"),
        ("create", 1, "requires at least 1 argument"),
        ("create -v /a:/b:foo hostbox true", 1, "invalid mode: foo"),
        ("create -w rel hostbox true", 1, "the working directory 'rel' is invalid"),
        (&format!("create --name {name} hostbox true"), 1, "is already in use by container"),
    ] {
        md.line(line).complains(code, said);
    }
    md.line(&format!("rm {name}")).ok();
    md.nothing_left();
}

#[test]
fn a_start_that_fails_at_a_step_can_be_tried_again() {
    let md = kit::ours!();
    kit::require!(cfg!(debug_assertions), "release-build", "only debug builds can be told to fail");
    md.line("create --name tried hostbox true").ok();
    let start = md.call(["start", "tried"]).env("MINIDOCKER_FAIL_STEP", "hostname").run();
    start.complains(1, "hostname");
    md.line("start -a tried").ok();
    let start = md.call(["start", "tried"]).env("MINIDOCKER_FAIL_STEP", "mount").run();
    start.complains(1, "mount");
    assert_eq!(state(&md, "tried")["Status"], "exited");
    md.line("start -a tried").ok();
    md.line("rm tried").ok();
    md.nothing_left();
}
