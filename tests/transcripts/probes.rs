//! The probes of the claims, run; what each of them showed is kept for the page that lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use kit::Minidocker;

use crate::claims::{PROBES, Probe, Who};
use crate::{is_root, programs, src, wildcards};

/// Cut off the sentence that a page marks.
const MARK: &str = "<!-- claim: ";

#[test]
fn every_claim_has_a_probe_and_every_probe_a_claim() {
    let mut claims = Vec::new();
    for entry in fs::read_dir(src()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let ids = text.split(MARK).skip(1).filter_map(|rest| rest.split_once(" -->"));
        claims.extend(ids.map(|(id, _)| id.to_owned()));
    }
    let once: BTreeSet<&str> = claims.iter().map(String::as_str).collect();
    assert_eq!(once.len(), claims.len(), "a claim is marked twice: {claims:?}");
    let probes: BTreeSet<&str> = PROBES.iter().map(|probe| probe.claim).collect();
    assert_eq!(probes.len(), PROBES.len(), "a claim has two probes");
    assert_eq!(once, probes);
}

#[test]
fn the_probes_show_their_claims_to_a_plain_user() {
    let who = if is_root() { kit::Who::Plain } else { kit::Who::Me };
    kit::require!(kit::Who::all().contains(&who), "no-plain-user", "root can't play a plain user here");
    kit::require!(crate::userns_allowed(), "no-userns", "user namespaces are forbidden here");
    crate::holds(all("a plain user", who));
}

#[test]
fn the_probes_show_their_claims_to_root() {
    kit::require!(is_root(), "not-root", "only root can run them as root");
    kit::require!(crate::userns_allowed(), "no-userns", "user namespaces are forbidden here");
    crate::holds(all("root", kit::Who::Me));
}

fn all(name: &str, who: kit::Who) -> Result<(), String> {
    let md = Minidocker::new(env!("CARGO_BIN_EXE_minidocker"), who);
    let kept = programs::kept();
    let mut told = BTreeMap::new();
    let mut wrong = Vec::new();
    for probe in PROBES {
        let result = if probe.who == Who::Plain && name == "root" {
            "can't be shown by root, who is not refused".to_owned()
        } else {
            match run(probe, &md, &kept) {
                Ok(()) => "shown".to_owned(),
                Err(why) => {
                    wrong.push(format!("{} as {name}:\n{why}", probe.claim));
                    "NOT SHOWN".to_owned()
                }
            }
        };
        let told_of = serde_json::json!({"script": probe.script, "shows": probe.shows, "result": result});
        told.insert(probe.claim, told_of);
    }
    keep(name, &told);
    if wrong.is_empty() { Ok(()) } else { Err(format!("\n{}", wrong.join("\n"))) }
}

fn run(probe: &Probe, md: &Minidocker, kept: &Minidocker) -> Result<(), String> {
    let dir = md.dir(probe.claim);
    let bin = programs::provide(kept, &dir);
    let path = format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
    // Its standard error has its place between the lines, as on a screen.
    let script = format!("exec 2>&1\n{}", probe.script);
    let call = md.call([""; 0]).through(&script).env("PATH", path).env("LC_ALL", "C").cwd(&dir);
    let printed = lines(&call.limit(Duration::from_secs(60)).run().out());
    let shows = lines(probe.shows);
    match wildcards::fit(&shows, &printed) {
        Some(_) => Ok(()),
        None => Err(wildcards::difference(&shows, &printed)),
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Into the target folder, where `cargo xtask book` looks. If that is another user's, the page says that
/// nobody tried.
fn keep(name: &str, told: &BTreeMap<&str, serde_json::Value>) {
    let exe = std::env::current_exe().unwrap();
    let dir = exe.ancestors().nth(3).unwrap_or(Path::new("/tmp")).join("xtask/claims");
    let text = serde_json::to_string_pretty(told).unwrap();
    let kept = fs::create_dir_all(&dir).and_then(|()| fs::write(dir.join(format!("{name}.json")), text));
    if let Err(e) = kept {
        println!("{}: {e}", dir.display());
    }
}
