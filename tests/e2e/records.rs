//! Records on disk that are cut, empty, newer, or not ours: said clearly, and the others go on.

use std::fs;
use std::path::PathBuf;

use kit::Minidocker;

/// Two containers, `good` and `bad`; returns the directory of the bad one.
fn two(md: &Minidocker) -> PathBuf {
    for name in ["good", "bad"] {
        md.run(["run", "--name", name, "hostbox", "true"]).ok();
    }
    md.root().join("containers").join(crate::inspect(md, "bad")["Id"].as_str().unwrap())
}

/// `ps -a` still tells of the good one, and something names the bad one's file.
fn others_go_on(md: &Minidocker, file: &str, what: &str) {
    let out = md.line("ps -a");
    assert!(out.out().contains("good"), "{what}: {out:?}");
    let err = out.err();
    assert!(
        err.lines().next().unwrap_or_default().starts_with("minidocker: ") && err.contains(file),
        "{what}: {err}"
    );
    assert!(!err.contains("panicked"), "{what}: {err}");
    let one = md.line("inspect bad").code(1);
    assert!(one.err().contains(file), "{what}: {}", one.err());
    md.line("inspect good").ok().stdout_has("\"/good\"");
    md.line("kill bad").complains(1, "");
}

#[test]
fn a_damaged_record_is_named_and_rm_f_takes_it_away() {
    for file in ["state.json", "request.json"] {
        for what in ["cut", "empty", "noise", "a list"] {
            let md = kit::ours!();
            let path = two(&md).join(file);
            let whole = fs::read(&path).unwrap();
            match what {
                "cut" => fs::write(&path, &whole[..whole.len() / 2]).unwrap(),
                "empty" => fs::write(&path, "").unwrap(),
                "noise" => fs::write(&path, b"\0\xff{").unwrap(),
                _ => fs::write(&path, "[]").unwrap(),
            }
            others_go_on(&md, file, &format!("{file} {what}"));
            md.line("rm -f bad").ok().stdout_is("bad");
            md.line("rm good").ok();
            md.nothing_left();
        }
    }
}

#[test]
fn a_newer_record_is_refused_by_its_version() {
    for file in ["state.json", "request.json"] {
        let md = kit::ours!();
        let path = two(&md).join(file);
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert!(record["version"].is_u64(), "{record:#}");
        record["version"] = 9999.into();
        fs::write(&path, record.to_string()).unwrap();
        others_go_on(&md, file, "newer");
        let out = md.line("inspect bad").code(1);
        assert!(out.err().contains("9999") && out.err().contains("newer"), "{}", out.err());
        assert_eq!(fs::read_to_string(&path).unwrap(), record.to_string(), "it was changed");
    }
}

#[test]
fn a_damaged_config_json_keeps_nobody_from_rm() {
    let md = kit::ours!();
    let dir = two(&md);
    fs::write(dir.join("config.json"), "{").unwrap();
    md.line("ps -a").ok().stdout_has("bad").quiet();
    let out = md.line("inspect bad");
    assert!(out.code == 0 || out.err().contains("config.json"), "{out:?}");
    md.line("rm bad").ok();
}

#[test]
fn a_half_made_container_is_swept_away() {
    let md = kit::ours!();
    md.run(["run", "--name", "good", "hostbox", "true"]).ok();
    // What a client leaves that was killed between mkdir and rename.
    let made = md.root().join("containers").join(format!(".new-{}", "0".repeat(64)));
    fs::create_dir(&made).unwrap();
    md.line("ps -a").ok().stdout_has("good").quiet();
    md.line("rm good").ok();
    md.nothing_left();
}

#[test]
fn a_name_without_a_container_is_free() {
    let md = kit::ours!();
    md.run(["run", "--name", "first", "hostbox", "true"]).ok();
    md.line("rm first").ok();
    fs::create_dir_all(md.root().join("names")).unwrap();
    std::os::unix::fs::symlink("1".repeat(64), md.root().join("names/ghost")).unwrap();
    md.line("inspect ghost").code(1).stdout_is("[]");
    md.line("run --rm --name ghost hostbox echo hi").ok().stdout_is("hi");
    md.nothing_left();
}

#[test]
fn strange_files_in_the_store_disturb_nobody() {
    let md = kit::ours!();
    md.run(["run", "--name", "good", "hostbox", "true"]).ok();
    let containers = md.root().join("containers");
    fs::write(containers.join("README"), "hello").unwrap();
    fs::create_dir(containers.join("lost+found")).unwrap();
    md.line("ps -a").ok().stdout_has("good");
    md.line("inspect good").ok();
    md.line("rm good").ok();
    assert!(containers.join("README").exists());
    fs::remove_file(containers.join("README")).unwrap();
    let _ = fs::remove_dir(containers.join("lost+found"));
    md.nothing_left();
}

#[test]
fn a_record_that_names_foreign_resources_harms_nobody() {
    let md = kit::ours!();
    let dir = two(&md);
    let path = dir.join("state.json");
    // A pid that is another process now: its start time differs, so nobody is killed.
    let mut bystander = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let known = serde_json::json!(bystander.id());
    replace(&mut record, "pid", &known);
    fs::write(&path, record.to_string()).unwrap();
    let _ = md.line("ps -a");
    let _ = md.line("rm -f bad");
    let alive = bystander.try_wait().unwrap().is_none();
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    assert!(alive, "rm -f killed a process that is not its container's");
}

/// Replaces every member `key` of a JSON value.
fn replace(value: &mut serde_json::Value, key: &str, by: &serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, member) in map {
                if name == key { *member = by.clone() } else { replace(member, key, by) }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|i| replace(i, key, by)),
        _ => {}
    }
}
