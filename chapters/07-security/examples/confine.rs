//! Confines itself as its arguments say, in this order, and becomes a command; for the tests.
//!
//! `mask PATH`, `readonly PATH` (in a mount namespace of its own), `rlimit NAME SOFT HARD`, `nnp`,
//! `become UID GID GROUPS BOUNDING PERMITTED AMBIENT` (lists with commas, `-` for none; effective
//! is permitted, inheritable is ambient), `apply SET`, and at the end `-- COMMAND...`.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use security::{CapPlan, CapSet, Identity, Rlimit, SecurityError};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match confine(&words) {
        Ok(command) => println!("{}", Command::new(command[0]).args(&command[1..]).exec()),
        Err(e) => println!("failed: {e}"),
    }
}

fn confine<'a>(words: &'a [&'a str]) -> Result<&'a [&'a str], SecurityError> {
    match words {
        ["--", command @ ..] => return Ok(command),
        ["mask", path, ..] => println!("masked {path} {}", security::mask_path(Path::new(path))?),
        ["readonly", path, ..] => println!("readonly {path} {}", security::readonly_path(Path::new(path))?),
        ["nnp", ..] => security::no_new_privs()?,
        ["rlimit", name, soft, hard, ..] => {
            let resource = security::resource(name)?;
            security::set_rlimits(&[Rlimit { resource, soft: number(soft), hard: number(hard) }])?;
        }
        ["become", uid, gid, groups, bounding, permitted, ambient, ..] => {
            let who = Identity {
                uid: sys::Uid::from_raw(number(uid) as u32),
                gid: sys::Gid::from_raw(number(gid) as u32),
                groups: list(groups).map(|g| sys::Gid::from_raw(number(g) as u32)).collect(),
            };
            println!(
                "missing {:?}",
                security::become_user(&who, &plan(bounding, permitted, ambient)?)?.names()
            );
        }
        ["apply", set, ..] => {
            println!("missing {:?}", security::apply_capabilities(&plan(set, set, "-")?)?.names());
        }
        other => panic!("{other:?}"),
    }
    let taken = match words[0] {
        "nnp" => 1,
        "mask" | "readonly" | "apply" => 2,
        "rlimit" => 4,
        _ => 7,
    };
    confine(&words[taken..])
}

fn plan(bounding: &str, permitted: &str, ambient: &str) -> Result<CapPlan, SecurityError> {
    let set = |names: &str| match names {
        "docker" => Ok(security::DOCKER_DEFAULT),
        names => CapSet::from_names(list(names)),
    };
    Ok(CapPlan {
        bounding: set(bounding)?,
        effective: set(permitted)?,
        permitted: set(permitted)?,
        inheritable: set(ambient)?,
        ambient: set(ambient)?,
    })
}

fn list(words: &str) -> impl Iterator<Item = &str> {
    words.split(',').filter(|w| *w != "-")
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or(security::UNLIMITED)
}
