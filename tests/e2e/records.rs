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
        for line in ["inspect bad", "rm bad", "rm -f bad", "kill bad"] {
            let out = md.line(line).code(1);
            let told = format!(
                "minidocker: container bad was made by a newer minidocker\n  \
                 because: {} has version 9999, and this minidocker knows 1\n  \
                 do: use the minidocker that made it, also to remove it",
                path.display()
            );
            assert_eq!(out.err(), told, "{line}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), record.to_string(), "it was changed");
        record["version"] = 1.into();
        fs::write(&path, record.to_string()).unwrap();
    }
}

#[test]
fn a_newer_config_json_is_refused_by_its_version() {
    let md = kit::ours!();
    let path = two(&md).join("config.json");
    let whole = fs::read_to_string(&path).unwrap();
    let newer = [
        (whole.replace("\"ociVersion\":\"1.2.0\"", "\"ociVersion\":\"2.0.0\""), "ociVersion 2.0.0", "1.2.0"),
        (whole.replace("{\\\"version\\\":1,", "{\\\"version\\\":2,"), "minidocker.overlay 2", "1"),
    ];
    for (text, found, known) in newer {
        assert_ne!(text, whole, "{found}");
        fs::write(&path, &text).unwrap();
        others_go_on(&md, "config.json", found);
        for line in ["inspect bad", "start bad", "start -a bad", "rm bad", "rm -f bad", "kill bad"] {
            let out = md.line(line).code(1);
            let told = format!(
                "minidocker: container bad was made by a newer minidocker\n  \
                 because: {} has version {found}, and this minidocker knows {known}\n  \
                 do: use the minidocker that made it, also to remove it",
                path.display()
            );
            assert!(out.err().starts_with(&told), "{line}: {}", out.err());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "it was changed");
    }
    for known in ["1.9.0", "0.9.0"] {
        let version = format!("\"ociVersion\":\"{known}\"");
        fs::write(&path, whole.replace("\"ociVersion\":\"1.2.0\"", &version)).unwrap();
        md.line("inspect bad").ok().quiet();
        md.line("start -a bad").ok().quiet();
        let version = "\"ociVersion\":\"1.2.0\"";
        assert!(fs::read_to_string(&path).unwrap().contains(version), "derived afresh");
    }
}

#[test]
fn a_dead_container_of_a_newer_program_is_not_cleared() {
    let md = kit::ours!();
    let client = crate::sleeper(&md, "bad");
    let dir = md.containers()[0].clone();
    let path = dir.join("config.json");
    let (whole, state) = (fs::read_to_string(&path).unwrap(), fs::read(dir.join("state.json")).unwrap());
    md.supervisors().iter().for_each(|p| p.signal(rustix::process::Signal::KILL));
    let _ = client.finish();
    // As if nobody had looked since its supervisor died.
    fs::write(dir.join("state.json"), &state).unwrap();
    fs::write(&path, whole.replace("\"ociVersion\":\"1.2.0\"", "\"ociVersion\":\"2.0.0\"")).unwrap();
    for line in ["ps -a", "inspect bad", "rm -f bad", "start bad"] {
        md.line(line).code(1).stderr_has("container bad was made by a newer minidocker");
        assert_eq!(fs::read(dir.join("state.json")).unwrap(), state, "{line}");
    }
    fs::write(&path, whole).unwrap();
    md.line("rm -f bad").ok();
    md.nothing_left();
}

#[test]
fn a_directory_in_the_place_of_a_file_is_told_and_moved_aside_mends_it() {
    for who in kit::Who::all() {
        let md = kit::ours!(*who);
        let dir = two(&md);
        let cases = [
            (dir.join("config.json"), "start bad", "cannot replace"),
            (dir.join("hosts"), "start bad", "cannot replace"),
            (dir.join("lock"), "start bad", "cannot open"),
            (md.root().join("images.lock"), "create hostbox true", "cannot open"),
            (md.root().join("containers.lock"), "create hostbox true", "cannot open"),
        ];
        for (path, line, tried) in cases {
            let _ = fs::remove_file(&path);
            fs::create_dir(&path).unwrap();
            who.own(&path);
            let out = md.line(line).code(1);
            let err = out.err();
            let first = format!("minidocker: {tried} {}", path.display());
            assert_eq!(err.lines().next(), Some(first.as_str()), "{err}");
            let aside = format!("{}.old", path.display());
            let told = format!(
                " : EISDIR (Is a directory)\n  because: a directory stands in the place of the file\n  \
                 do: mv {} {aside}; the file is made again",
                path.display()
            );
            assert!(err.contains(&told), "{err}");
            fs::rename(&path, &aside).unwrap();
            md.line(line).ok().quiet();
            fs::remove_dir(aside).unwrap();
        }
    }
}

#[test]
fn a_record_that_cannot_be_read_is_told_with_the_call_and_a_way_out() {
    let md = kit::ours!();
    let dir = two(&md);
    for (file, call, errno) in [("request.json", "openat", "ENOENT"), ("state.json", "read", "EISDIR")] {
        let (path, aside) = (dir.join(file), dir.join("aside"));
        fs::rename(&path, &aside).unwrap();
        if call == "read" {
            fs::create_dir(&path).unwrap();
        }
        let out = md.line("inspect bad").code(1);
        let lines: Vec<String> = out.err().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "minidocker: cannot read the record of container bad");
        let shown = lines[1].starts_with(&format!("  {call}(")) && lines[1].contains(path.to_str().unwrap());
        assert!(shown && lines[1].contains(errno), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "  do: minidocker rm -f bad");
        if call == "read" {
            fs::remove_dir(&path).unwrap();
        }
        fs::rename(&aside, &path).unwrap();
    }
    md.line("inspect bad").ok().quiet();
}

#[test]
fn a_container_that_never_got_its_state_gives_its_name_back() {
    let md = kit::ours!();
    let dir = two(&md);
    for file in ["state.json", "config.json", "log"] {
        fs::remove_file(dir.join(file)).unwrap();
    }
    md.line("run --rm --name bad hostbox echo mine").ok().stdout_is("mine").quiet();
    assert!(!dir.exists());
    md.line("rm good").ok();
    md.nothing_left();
}

#[test]
fn a_container_that_lost_its_state_keeps_what_it_wrote() {
    let md = kit::ours!();
    let dir = two(&md);
    fs::remove_file(dir.join("state.json")).unwrap();
    fs::write(dir.join("upper/thesis"), "x").unwrap();
    md.line("run --rm --name bad hostbox true").code(125);
    assert!(dir.join("upper/thesis").exists());
    md.line("rm -f bad").ok();
    md.line("rm good").ok();
    md.nothing_left();
}

#[test]
fn a_store_that_cannot_be_used_is_told_with_the_call_and_a_way_out() {
    let md = kit::ours!();
    let file = md.room().join("file");
    fs::write(&file, "").unwrap();
    let out = md.call(["ps"]).env("MINIDOCKER_ROOT", file.join("store")).run();
    let told = format!(
        "minidocker: cannot use the store {0}/store\n  \
         mkdir(\"{0}/store\", 0700) : ENOTDIR (Not a directory)\n  \
         because: a file stands where a directory is wanted\n  \
         do: set MINIDOCKER_ROOT to a directory that this user may write to",
        file.display()
    );
    assert_eq!(out.complains(125, "cannot use the store").err(), told);
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

#[test]
fn rm_f_of_a_damaged_record_leaves_no_cgroup_wherever_it_was_started() {
    for file in ["cut", "gone"] {
        let md = kit::ours!();
        let client = crate::sleeper(&md, "bad");
        let path = md.containers()[0].join("state.json");
        md.supervisors().iter().for_each(|p| p.signal(rustix::process::Signal::KILL));
        let _ = client.finish();
        // The client cleared it: so this plays a death of both, before anything was cleared.
        let id = md.containers()[0].file_name().unwrap().to_str().unwrap().to_owned();
        let elsewhere = cgroups::World::detect().unwrap().v2().map(|place| place.join(format!("test-{id}")));
        let group = elsewhere.as_ref().map(|place| place.join("minidocker").join(&id));
        // A tree that this user may not write to holds nothing of his.
        let made = group.filter(|group| fs::create_dir_all(group).is_ok());
        let mut left = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        made.iter().for_each(|group| fs::write(group.join("cgroup.procs"), left.id().to_string()).unwrap());
        match file {
            "cut" => fs::write(&path, "{").unwrap(),
            _ => fs::remove_file(&path).unwrap(),
        }
        md.line("rm -f bad").ok().stdout_is("bad");
        if let (Some(group), Some(elsewhere)) = (&made, &elsewhere) {
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&left.wait().unwrap()), Some(9));
            assert!(!group.exists() && !group.parent().unwrap().exists());
            fs::remove_dir(elsewhere).unwrap();
        }
        let _ = left.kill();
        left.wait().unwrap();
        md.nothing_left();
    }
}
