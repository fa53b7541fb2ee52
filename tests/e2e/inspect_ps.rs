//! `ps` and `inspect`: Docker's columns and Docker's fields.

use kit::common;
use serde_json::Value;

/// The columns of a table of Docker's: they are parted by at least three blanks, and none holds two.
fn columns(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect()
}

#[test]
fn the_header_is_dockers() {
    let md = kit::ours!();
    let header = "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES";
    for line in ["ps", "ps -a", "ps --all"] {
        md.line(line).ok().stdout_is(header).quiet();
    }
}

#[test]
fn a_row_tells_id_image_command_age_status_and_name() {
    let md = common!();
    let name = md.name("row");
    let payload = ["sh", "-c", "exit 3 # and a comment that is long"];
    md.run(["run", "--name", &name, "hostbox"].iter().chain(&payload)).code(3);
    let table = md.line("ps -a").ok();
    let row = table.lines().into_iter().find(|l| l.ends_with(&name)).unwrap();
    let cells = columns(&row);
    let id = crate::inspect(&md, &name)["Id"].as_str().unwrap()[..12].to_owned();
    assert_eq!(cells[..3], [id.as_str(), "hostbox", "\"sh -c 'exit 3 # and…\""], "{row}");
    assert!(cells[3].ends_with(" ago"), "{row}");
    assert!(cells[4].starts_with("Exited (3) ") && cells[4].ends_with(" ago"), "{row}");
    assert_eq!(cells[5..], [name.as_str()], "{row}");
    let header = table.lines()[0].clone();
    let column = |line: &str, text: &str| line.split(text).next().unwrap().chars().count();
    assert_eq!(column(&header, "NAMES"), column(&row, &name), "{row}");
    md.run(["rm", &name]).ok();
}

#[test]
fn ps_shows_the_running_and_ps_a_all() {
    let md = common!();
    let (up, down) = (md.name("up"), md.name("down"));
    let client = crate::sleeper(&md, &up);
    md.run(["run", "--name", &down, "hostbox", "true"]).ok();
    let running = md.line("ps").ok();
    assert!(!running.out().contains(&down));
    let row = running.lines().into_iter().find(|l| l.ends_with(&up)).unwrap();
    assert!(columns(&row)[4].starts_with("Up "), "{row}");
    // The newest comes first.
    let all = md.line("ps -a").ok().out();
    assert!(all.find(&down).unwrap() < all.find(&up).unwrap(), "{all}");
    md.run(["kill", &up]).ok().stdout_is(&up);
    let _ = client.finish().code(137);
    let all = md.line("ps -a").ok().out();
    assert!(all.contains("Exited (137) "), "{all}");
    md.run(["rm", &up, &down]).ok();
    md.nothing_left();
}

#[test]
fn inspect_has_dockers_fields() {
    let md = common!();
    let name = md.name("fields");
    let run = ["run", "--name", &name, "-e", "A=1", "-w", "/tmp", "-u", "0", "--network", "none", "hostbox"];
    md.run(run.iter().chain(&["sh", "-c", "sleep 0.1; exit 3"])).code(3);
    let all = crate::inspect(&md, &name);
    let at = |path: &str| all.pointer(path).unwrap_or_else(|| panic!("{path} is missing in {all:#}")).clone();
    let cases = [
        ("/Name", Value::from(format!("/{name}"))),
        ("/Path", "sh".into()),
        ("/Args", ["-c", "sleep 0.1; exit 3"].into()),
        ("/State/Status", "exited".into()),
        ("/State/Running", false.into()),
        ("/State/Paused", false.into()),
        ("/State/Restarting", false.into()),
        ("/State/OOMKilled", false.into()),
        ("/State/Dead", false.into()),
        ("/State/Pid", 0.into()),
        ("/State/ExitCode", 3.into()),
        ("/State/Error", "".into()),
        ("/RestartCount", 0.into()),
        ("/HostConfig/NetworkMode", "none".into()),
        ("/HostConfig/AutoRemove", false.into()),
        ("/HostConfig/Privileged", false.into()),
        ("/Config/User", "0".into()),
        ("/Config/WorkingDir", "/tmp".into()),
        ("/Config/Cmd", ["sh", "-c", "sleep 0.1; exit 3"].into()),
        ("/Config/Entrypoint", Value::Null),
        ("/Config/Image", "hostbox".into()),
        ("/Config/Tty", false.into()),
        ("/Config/OpenStdin", false.into()),
        ("/Config/AttachStdout", true.into()),
        ("/Mounts", Value::Array(Vec::new())),
    ];
    for (path, value) in cases {
        assert_eq!(at(path), value, "{path}");
    }
    assert!(at("/Config/Env").as_array().unwrap().contains(&"A=1".into()));
    let id = at("/Id");
    assert_eq!(id.as_str().unwrap().len(), 64);
    assert_eq!(at("/Config/Hostname"), id.as_str().unwrap()[..12]);
    assert!(at("/Image").as_str().unwrap().starts_with("sha256:"));
    let times =
        ["/Created", "/State/StartedAt", "/State/FinishedAt"].map(|p| at(p).as_str().unwrap().to_owned());
    assert!(times.iter().all(|t| t.starts_with("20") && t.ends_with('Z')), "{times:?}");
    // Go leaves zeros at the end of the fraction out.
    let padded = times.iter().map(|t| format!("{:0<30}", t.trim_end_matches('Z')));
    assert!(padded.is_sorted(), "{times:?}");
    for path in ["/LogPath", "/HostnamePath", "/HostsPath", "/ResolvConfPath", "/Driver", "/NetworkSettings"]
    {
        at(path);
    }
    md.run(["rm", &name]).ok();
}

#[test]
fn inspect_of_a_running_one_names_its_pid() {
    let md = common!();
    let name = md.name("pid");
    let client = crate::sleeper(&md, &name);
    let all = crate::inspect(&md, &name);
    assert_eq!((&all["State"]["Status"], &all["State"]["Running"]), (&"running".into(), &true.into()));
    let pid = all["State"]["Pid"].as_i64().unwrap();
    if kit::Minidocker::is_docker() {
        // Its daemon counts in a pid namespace of its own.
        assert!(pid > 0);
    } else {
        assert_eq!(std::fs::read(format!("/proc/{pid}/cmdline")).unwrap(), b"sleep\x001000\0");
    }
    md.run(["rm", "-f", &name]).ok().stdout_is(&name);
    let _ = client.finish().code(137);
    md.nothing_left();
}

#[test]
fn inspect_of_several_tells_the_known_and_names_the_unknown() {
    let md = common!();
    let name = md.name("known");
    md.run(["run", "--name", &name, "hostbox", "true"]).ok();
    let out = md.run(["inspect", &name, "nosuch", &name]).code(1);
    let known: Vec<Value> = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(known.len(), 2);
    assert!(out.err().to_lowercase().contains("no such object: nosuch"));
    md.run(["rm", &name]).ok();
}

#[test]
fn version_tells_the_version() {
    let md = kit::ours!();
    md.line("version").ok().stdout_has(env!("CARGO_PKG_VERSION")).quiet();
    md.line("--version").ok().stdout_has(env!("CARGO_PKG_VERSION")).quiet();
}

#[test]
fn help_is_there_for_every_command() {
    let md = kit::ours!();
    for command in ["", "run", "ps", "inspect", "kill", "rm", "version"] {
        md.line(&format!("{command} --help")).ok().stdout_has("Usage:").quiet();
    }
}
