//! Names: one container each, and symlink(2) decides races.

use kit::{Minidocker, common};

#[test]
fn of_50_starts_with_one_name_exactly_one_wins() {
    let md = kit::ours!();
    let run = || md.call(["run", "--name", "xx", "hostbox", "sh", "-c", "echo won"]).spawn();
    let all: Vec<_> = (0..50).map(|_| run()).collect();
    let ends: Vec<_> = all.into_iter().map(kit::Running::finish).collect();
    let (won, lost): (Vec<_>, Vec<_>) = ends.into_iter().partition(|o| o.code == 0);
    assert_eq!(won.len(), 1);
    won.into_iter().for_each(|o| drop(o.stdout_is("won").quiet()));
    let id = crate::inspect(&md, "xx")["Id"].as_str().unwrap().to_owned();
    for out in lost {
        let conflict = format!(
            "Conflict. The container name \"/xx\" is already in use by container \"{id}\". \
             You have to remove (or rename) that container to be able to reuse that name."
        );
        out.complains(125, &conflict);
    }
    assert_eq!(md.containers().len(), 1);
    md.line("rm xx").ok().stdout_is("xx");
    md.nothing_left();
}

#[test]
fn a_name_is_free_again_after_its_container() {
    let md = common!();
    let name = md.name("again");
    for _ in 0..3 {
        md.run(["run", "--rm", "--name", &name, "hostbox", "true"]).ok();
    }
    md.run(["run", "--name", &name, "hostbox", "true"]).ok();
    md.run(["run", "--name", &name, "hostbox", "true"]).complains(125, "Conflict. The container name");
    md.run(["rm", &name]).ok();
    md.run(["run", "--rm", "--name", &name, "hostbox", "true"]).ok();
    md.nothing_left();
}

#[test]
fn bad_names_are_refused_and_good_ones_are_not() {
    let md = kit::ours!();
    for bad in ["a", "-a", ".ab", "_ab", "a/b", "a b", "ä-name", "a:b", "../../x", "a\nb", "/"] {
        let out = md.run(["run", "--rm", &format!("--name={bad}"), "hostbox", "true"]);
        out.complains(125, "nvalid container name (");
    }
    let long = md.run(["run", "--name", &"n".repeat(300), "nosuch", "true"]);
    let long = long.complains(125, "Invalid container name: it has 300 bytes, and may have at most 255");
    crate::advised(
        &long,
        "do: take a shorter name",
        "because: the name of a container is a file of the store",
    );
    for good in ["ab", "A.b-c_d", "/minidocker-slash", "0a", "a..b"] {
        md.run(["run", "--name", good, "hostbox", "true"]).ok().quiet();
        let outside = good.starts_with('/') && std::fs::remove_file(good).is_ok();
        assert!(!outside, "{good} was made on the host");
        assert_eq!(crate::inspect(&md, good)["Name"], format!("/{}", good.trim_start_matches('/')));
        md.run(["rm", good]).ok();
    }
    md.nothing_left();
}

#[test]
fn without_a_name_docker_gives_two_words() {
    let md = common!();
    let client = md.call(["run", "hostbox", "hostname"]).run().ok();
    let name = crate::inspect(&md, &client.out())["Name"].as_str().unwrap().to_owned();
    let words: Vec<&str> = name.strip_prefix('/').unwrap().split('_').collect();
    assert_eq!(words.len(), 2, "{name}");
    assert!(words.iter().all(|w| w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())), "{name}");
    md.run(["rm", &client.out()]).ok();
}

/// Runs until two ids begin alike; sixteen first digits make that at most seventeen.
fn two_alike(md: &Minidocker) -> (Vec<String>, String) {
    let mut ids: Vec<String> = Vec::new();
    loop {
        let id = md.line("run hostbox hostname").ok().out();
        let digit = id[..1].to_owned();
        let alike = ids.iter().any(|i| i.starts_with(&digit));
        ids.push(id);
        if alike {
            return (ids, digit);
        }
    }
}

#[test]
fn a_prefix_of_an_id_is_enough_if_it_is_the_only_one() {
    let md = kit::ours!();
    let (ids, digit) = two_alike(&md);
    let many = "multiple IDs found with provided prefix: ";
    md.run(["rm", &digit]).complains(1, &format!("{many}{digit}"));
    md.run(["rm", "-f", &digit]).complains(1, &format!("{many}{digit}"));
    md.run(["kill", &digit]).complains(1, &format!("{many}{digit}"));
    for id in &ids {
        assert!(crate::inspect(&md, &id[..8])["Id"].as_str().unwrap().starts_with(id.as_str()));
        md.run(["rm", &id[..8]]).ok().stdout_is(&id[..8]);
    }
    md.nothing_left();
}

#[test]
fn a_name_goes_before_a_prefix() {
    let md = kit::ours!();
    let id = md.line("run hostbox hostname").ok().out();
    md.run(["run", "--name", &id[..4], "hostbox", "true"]).ok();
    assert_eq!(crate::inspect(&md, &id[..4])["Name"], format!("/{}", &id[..4]));
    md.run(["rm", &id[..4]]).ok();
    assert!(crate::inspect(&md, &id[..4])["Id"].as_str().unwrap().starts_with(&id));
}

#[test]
fn an_unknown_name_is_said_so() {
    let md = common!();
    for name in ["nosuch", "ffffffffffff0", "a/b", ""] {
        if name.is_empty() {
            continue;
        }
        md.run(["rm", name]).complains(1, &format!("No such container: {name}"));
        md.run(["kill", name]).complains(1, &format!("No such container: {name}"));
        let out = md.run(["inspect", name]).code(1).stdout_is("[]");
        assert!(out.err().to_lowercase().contains(&format!("no such object: {name}")), "{}", out.err());
    }
}
