//! `kill` and `rm`.

use kit::{Who, common};

const UNTIL_SIGNAL: &str =
    "trap 'echo usr1' USR1; trap 'echo term; exit 4' TERM; echo up; while :; do sleep 0.05; done";

#[test]
fn kill_ends_it_with_137() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let client = crate::sleeper(&md, "kk");
        md.line("kill kk").ok().stdout_is("kk").quiet();
        let _ = client.finish().code(137);
        md.line("rm kk").ok().stdout_is("kk");
        md.nothing_left();
    }
}

#[test]
fn kill_s_sends_any_signal_in_any_spelling() {
    let md = common!();
    for signal in ["USR1", "SIGUSR1", "usr1", "10"] {
        let name = md.name("sig");
        let mut client =
            md.call(["run", "--rm", "--name", &name, "hostbox", "sh", "-c", UNTIL_SIGNAL]).spawn();
        client.expect("up\n");
        md.run(["kill", "-s", signal, &name]).ok().stdout_is(&name);
        client.expect("usr1\n");
        md.run(["kill", "--signal=TERM", &name]).ok();
        client.expect("term\n");
        let _ = client.finish().code(4);
    }
    md.nothing_left();
}

#[test]
fn a_signal_to_the_client_goes_to_the_payload() {
    let md = common!();
    let mut client = md.call(["run", "--rm", "hostbox", "sh", "-c", UNTIL_SIGNAL]).spawn();
    client.expect("up\n");
    client.signal(rustix::process::Signal::USR1);
    client.expect("usr1\n");
    client.signal(rustix::process::Signal::TERM);
    client.expect("term\n");
    let _ = client.finish().code(4);
    md.nothing_left();
}

#[test]
fn kill_refuses_what_it_can_t_do() {
    let md = common!();
    let name = md.name("k");
    md.run(["run", "--name", &name, "hostbox", "true"]).ok();
    let out = md.run(["kill", &name]).code(1);
    assert!(out.err().contains(" is not running"), "{}", out.err());
    for signal in ["NOSUCH", "0x9", "-1", "65", "999"] {
        let out = md.run(["kill", &format!("--signal={signal}"), &name]).code(1);
        // "invalid signal: NOSUCH", and for a number "the linux daemon does not support signal 65".
        assert!(out.err().to_lowercase().contains("signal"), "{}", out.err());
    }
    md.run(["rm", &name]).ok();
}

#[test]
fn kill_works_without_the_record_because_the_supervisor_knows_its_init() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        for damage in ["damaged", "missing"] {
            let client = crate::sleeper(&md, damage);
            let dir = md.root().join("containers").join(crate::inspect(&md, damage)["Id"].as_str().unwrap());
            match damage {
                "damaged" => std::fs::write(dir.join("state.json"), "{").unwrap(),
                _ => std::fs::remove_file(dir.join("state.json")).unwrap(),
            }
            md.run(["kill", damage]).ok().stdout_is(damage).quiet();
            client.finish().code(137).quiet();
            // The supervisor's own knowledge is the record again.
            assert_eq!(crate::inspect(&md, damage)["State"]["ExitCode"], 137);
            md.run(["rm", damage]).ok();
        }
        md.nothing_left();
    }
}

#[test]
fn several_at_once_are_each_told() {
    let md = common!();
    let (a, b) = (md.name("a"), md.name("b"));
    let clients = [crate::sleeper(&md, &a), crate::sleeper(&md, &b)];
    let out = md.run(["kill", &a, "nosuch", &b]).code(1).stderr_has("No such container: nosuch");
    assert_eq!(out.lines(), [a.as_str(), b.as_str()]);
    clients.into_iter().for_each(|c| drop(c.finish().code(137)));
    let out = md.run(["rm", &a, "nosuch", &b]).code(1).stderr_has("No such container: nosuch");
    assert_eq!(out.lines(), [a.as_str(), b.as_str()]);
    md.nothing_left();
}

#[test]
fn rm_refuses_a_running_one_and_rm_f_does_not() {
    let md = common!();
    let name = md.name("r");
    let client = crate::sleeper(&md, &name);
    let why = "container is running: stop the container before removing or force remove";
    md.run(["rm", &name]).complains(1, &format!("cannot remove container \"/{name}\": {why}"));
    md.run(["rm", "-f", &name]).ok().stdout_is(&name).quiet();
    let _ = client.finish().code(137);
    md.run(["rm", &name]).code(1).stderr_has("No such container");
    md.nothing_left();
}

#[test]
fn rm_of_an_rm_container_ends_it_once() {
    let md = common!();
    let name = md.name("once");
    let mut client =
        md.call(["run", "--rm", "--name", &name, "hostbox", "sh", "-c", "echo up; exec sleep 1000"]).spawn();
    client.expect("up\n");
    md.run(["rm", "-f", &name]).ok().stdout_is(&name);
    let _ = client.finish().code(137);
    md.nothing_left();
}

#[test]
fn all_children_of_the_payload_end_with_it() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let family = "for i in 1 2 3; do (trap '' HUP TERM INT; exec sleep 1000) & done; exit 5";
        let _ = crate::script(&md, family).code(5);
        md.nothing_left();
    }
}

#[test]
fn rm_removes_what_only_subordinate_ids_may_remove() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        // A closed directory with a file, owned by another id where there is one.
        let make = "mkdir -p /a/b; echo x >/a/b/c; chown 5:5 /a/b /a/b/c 2>/dev/null; chmod 0 /a/b /a; true";
        md.run(["run", "--name", "own", "hostbox", "sh", "-c", make]).ok();
        md.line("rm own").ok().stdout_is("own");
        md.nothing_left();
        let _ = crate::script(&md, make).ok();
        md.nothing_left();
    }
}
