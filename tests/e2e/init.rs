//! `--init`: process 1 is not the payload.

use kit::{Minidocker, Output, Who, common};

fn run(md: &Minidocker, flags: &str, script: &str) -> Output {
    let mut words = kit::words(&format!("run --rm --init {flags} hostbox sh -c"));
    words.push(script.to_owned());
    md.run(words)
}

#[test]
fn the_payload_is_not_process_1_and_its_end_is_the_containers() {
    let md = common!();
    run(&md, "", "[ $$ != 1 ] && echo other").ok().stdout_is("other").quiet();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)] {
        assert_eq!(run(&md, "", script).code, code, "{script}");
    }
    md.call(["run", "--rm", "--init", "-i", "hostbox", "cat"]).stdin("in").run().ok().stdout_is("in");
}

#[test]
fn a_program_that_cannot_run_is_told_as_without_an_init() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        md.line("run --rm --init hostbox nosuchprogram").complains(127, "executable file not found in $PATH");
        md.line("run --rm --init hostbox /etc/passwd").complains(126, "permission denied");
        // Found before the start, and not executable then: told by the payload, and not by process 1.
        let root = md.dir("rootfs");
        kit::small_rootfs(&root, md.who());
        std::fs::write(root.join("bad"), "#!/no/such/interpreter\n").unwrap();
        std::fs::set_permissions(root.join("bad"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let out = md.line(&format!("run --rm --init --rootfs {} /bad", root.display()));
        out.complains(127, "no such file or directory").stderr_has("/no/such/interpreter");
        md.nothing_left();
    }
}

#[test]
fn orphans_are_reaped() {
    let md = common!();
    let wait = "n=0; while :; do set -- /proc/[0-9]*; [ $# -le 2 ] && echo none && break; \
                n=$((n + 1)); [ $n -gt 100 ] && echo $* && break; sleep 0.05; done";
    let script = format!("for i in 1 2 3 4 5; do sh -c 'sleep 0.05 & sleep 0.1 &'; done; {wait}");
    run(&md, "", &script).ok().stdout_is("none");
}

#[test]
fn a_signal_that_process_1_would_not_hear_ends_the_payload() {
    let md = common!();
    let name = md.name("hears");
    let line = format!("run --init --name {name} hostbox sh -c 'echo up; exec sleep 1000'");
    let mut client = md.call(kit::words(&line)).spawn();
    client.expect("up\n");
    md.line(&format!("kill -s TERM {name}")).ok();
    assert_eq!(client.finish().code, 143);
    let told = crate::inspect(&md, &name);
    assert_eq!((&told["HostConfig"]["Init"], &told["State"]["ExitCode"]), (&true.into(), &143.into()));
    md.line(&format!("start {name}")).ok();
    md.line(&format!("rm -f {name}")).ok();
}

#[test]
fn keys_of_the_terminal_are_the_payloads() {
    let md = common!();
    let mut sleeper = md
        .call(kit::words("run --rm --init -it hostbox sh -c 'echo up; exec sleep 1000'"))
        .on_terminal(24, 80);
    sleeper.expect("up");
    sleeper.send(b"\x03");
    assert_eq!(sleeper.finish().code, 130);
    let mut shell = md.call(kit::words("run --rm --init -it hostbox sh")).on_terminal(24, 80);
    shell.send(b"PS1=; set -m; echo rea''dy\r");
    shell.expect("ready\r\n");
    // Job control: a stopped job, and the shell in the foreground again.
    shell.send(b"sleep 1000\r");
    std::thread::sleep(std::time::Duration::from_millis(300));
    shell.send(b"\x1a");
    shell.expect("Stopped");
    shell.send(b"fg\r");
    shell.expect("sleep 1000");
    std::thread::sleep(std::time::Duration::from_millis(300));
    shell.send(b"\x03");
    shell.send(b"echo stil''l\r");
    shell.expect("still");
    shell.send(b"exit 5\r");
    assert_eq!(shell.finish().code, 5);
}

#[test]
fn nobody_inside_can_look_into_it() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let look = "cat /proc/1/comm; tr '\\0' ' ' </proc/1/cmdline; echo; \
                    for f in exe cwd root fd/0 ns/mnt; do ls -l /proc/1/$f 2>&1 | grep -c -- '->'; done; \
                    cat /proc/1/environ /proc/1/mem /proc/1/maps 2>&1 | grep -vc denied; \
                    /proc/1/exe 2>&1 | grep -c denied; \
                    for f in CapEff CapBnd NoNewPrivs Uid; do \
                      [ \"$(grep $f /proc/1/status)\" = \"$(grep $f /proc/self/status)\" ] || echo $f differs; done";
        let out = run(&md, "", look);
        let lines: Vec<String> = out.lines().iter().map(|l| l.trim_end().to_owned()).collect();
        assert_eq!(lines, ["init", "init", "0", "0", "0", "0", "0", "0", "1"], "{who:?}: {out:?}");
        md.nothing_left();
    }
    let md = kit::ours!();
    kit::require!(md.who().is_root(), "not-root", "a plain user with a single id can be nobody else");
    let look = "cat /proc/1/environ 2>&1 | grep -c denied; readlink /proc/1/exe || echo closed";
    run(&md, "-u 1000:1000", look).stdout_is("1\nclosed");
}

#[test]
fn it_keeps_nothing_of_the_host_open() {
    let md = kit::ours!();
    kit::require!(md.who().is_root(), "not-root", "others may not look into it");
    md.line("create --init --name closed -v /etc:/mnt/e:ro hostbox sleep 1000").ok();
    md.line("start closed").ok();
    let pid = crate::inspect(&md, "closed")["State"]["Pid"].as_i64().unwrap();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let others = open.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    let mut others: Vec<String> = others.map(|to| to.display().to_string()).collect();
    others.retain(|to| to != "/dev/null" && !to.starts_with("pipe:"));
    others.sort();
    assert!(others.iter().all(|to| to == "anon_inode:[signalfd]" || to.contains("pidfd")), "{others:?}");
    md.line("rm -f closed").ok();
    md.nothing_left();
}
