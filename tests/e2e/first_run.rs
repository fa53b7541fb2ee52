//! The first command of the README, on the first day: no store, no network.

use kit::{Minidocker, Who};

fn first_day(who: Who) -> Minidocker {
    Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), who)
}

#[test]
fn the_first_run_needs_nothing_but_the_binary() {
    kit::require!(!Minidocker::is_docker(), "ours-only", "Docker has no built-in image");
    for who in Who::all() {
        let md = first_day(*who);
        md.line("run --rm hostbox echo hello").ok().stdout_is("hello").quiet();
        md.line("run --rm hostbox id -u").ok().stdout_is("0").quiet();
        md.nothing_left();
    }
}

#[test]
fn parallel_first_runs_share_one_assembly() {
    kit::require!(!Minidocker::is_docker(), "ours-only", "Docker has no built-in image");
    let md = first_day(Who::Me);
    let all: Vec<_> = (0..6).map(|_| md.call(["run", "--rm", "hostbox", "echo", "hello"]).spawn()).collect();
    all.into_iter().for_each(|r| drop(r.finish().ok().stdout_is("hello")));
    md.nothing_left();
}

#[test]
fn without_minidocker_root_the_store_is_in_the_users_data_home() {
    kit::require!(!Minidocker::is_docker(), "ours-only", "MINIDOCKER_ROOT is ours");
    for who in Who::all().iter().filter(|w| !w.is_root()) {
        let md = first_day(*who);
        let home = md.room().join("data");
        let call = md.call(["run", "--rm", "hostbox", "echo", "hello"]).without_env("MINIDOCKER_ROOT");
        let _ = call.env("XDG_DATA_HOME", &home).run().ok().stdout_is("hello");
        assert!(home.join("minidocker/images/index.json").is_file(), "{who:?}");
        let call = md.call(["run", "--rm", "hostbox", "true"]).without_env("MINIDOCKER_ROOT");
        let _ = call.run().ok();
        assert!(md.room().join("home/.local/share/minidocker/images/index.json").is_file(), "{who:?}");
    }
}

#[test]
fn hostbox_has_the_promised_programs() {
    let md = kit::ours!();
    for program in "sh ls cat ps id hostname mount ip sleep env grep head wc dd".split(' ') {
        crate::script(&md, &format!("command -v {program}")).ok().stdout_has("/");
    }
    let says = [
        ("hostname", ""),
        ("ps", "PID"),
        ("mount", " / "),
        ("ip addr", "127.0.0.1"),
        ("wc -c /etc/passwd", "/etc/passwd"),
        ("cat /etc/passwd", "root:x:0:0:"),
        ("cat /etc/nsswitch.conf", "files"),
        ("dd if=/dev/zero bs=1 count=3", ""),
        ("env", "LANG=C.UTF-8"),
        ("grep root /etc/group", "root"),
    ];
    for (command, said) in says {
        md.line(&format!("run --rm hostbox {command}")).ok().stdout_has(said);
    }
}

#[test]
fn the_prompt_names_the_image_and_the_directory() {
    let md = kit::ours!();
    let mut shell = md.call(kit::words("run --rm -it hostbox sh")).on_terminal(24, 80);
    shell.expect("[hostbox] ");
    shell.send(b"exit 3\r");
    assert_eq!(shell.finish().code, 3);
    md.nothing_left();
}

#[test]
fn the_store_is_an_oci_layout_that_others_read() {
    let md = kit::ours!();
    let layout = md.root().join("images");
    assert!(layout.join("oci-layout").is_file() && layout.join("index.json").is_file());
    let skopeo =
        std::process::Command::new("skopeo").arg("inspect").arg(format!("oci:{}", layout.display())).output();
    kit::require!(skopeo.is_ok(), "no-skopeo", "skopeo is not installed");
    let out = skopeo.unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stdout).contains("\"Layers\""));
}

#[test]
fn nothing_set_uid_and_at_most_24_mib() {
    let md = kit::ours!();
    let sum = "find / -xdev -type f -perm /6000 2>/dev/null; du -sxk / 2>/dev/null | cut -f1";
    let tree = md.room().join("root/layers");
    let du = std::process::Command::new("sh")
        .args(["-c", &sum.replace(" / ", &format!(" {} ", tree.display()))])
        .output();
    let lines = String::from_utf8(du.unwrap().stdout).unwrap();
    let kib: u64 = lines.trim().parse().unwrap_or_else(|_| panic!("set-uid files: {lines}"));
    assert!(kib <= 24 * 1024, "{kib} KiB");
}
