//! Ids and names.

use super::ContainerError;

/// A new container id: 64 hexadecimal digits from getrandom(2).
///
/// # Errors
/// None in practice: the kernel has random bytes from early boot on.
pub fn new_id() -> std::io::Result<String> {
    use std::fmt::Write;
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let mut id = bytes.iter().fold(String::with_capacity(64), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    });
    // A short id of digits alone would pass for a number, as a host name or in a pid's place.
    if id[..12].bytes().all(|b| b.is_ascii_digit()) {
        id.replace_range(..1, "c");
    }
    Ok(id)
}

/// The most bytes of a name, which becomes a file in names/ (NAME_MAX of linux/limits.h). Docker has no
/// limit: its names are no files.
const NAME_MAX: usize = 255;

/// Checks a name as Docker does: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, with or without a slash before it.
///
/// # Errors
/// `BadName`, `LongName`.
pub fn check_name(name: &str) -> Result<&str, ContainerError> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let mut bytes = bare.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = bare.len() > 1 && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    match first && rest {
        true if bare.len() <= NAME_MAX => Ok(bare),
        true => Err(ContainerError::LongName { bytes: bare.len(), most: NAME_MAX }),
        false => Err(ContainerError::BadName(name.to_owned())),
    }
}

const MANNERS: [&str; 32] = [
    "amber", "brisk", "calm", "candid", "clever", "cosy", "daring", "deft", "eager", "fair", "fleet",
    "frank", "gentle", "glad", "keen", "kind", "lively", "lucid", "mellow", "merry", "neat", "nimble",
    "patient", "plucky", "quiet", "ready", "sober", "steady", "sunny", "tidy", "vivid", "wry",
];
/// People whose work made containers possible, or computers at all.
const PEOPLE: [&str; 32] = [
    "allen",
    "backus",
    "bartik",
    "cerf",
    "codd",
    "diffie",
    "dijkstra",
    "engelbart",
    "floyd",
    "goldberg",
    "hamilton",
    "hoare",
    "hopper",
    "johnson",
    "kay",
    "keller",
    "kernighan",
    "knuth",
    "lamport",
    "liskov",
    "lovelace",
    "mcilroy",
    "perlman",
    "pike",
    "ritchie",
    "shannon",
    "thompson",
    "torvalds",
    "turing",
    "wilkes",
    "wirth",
    "zuse",
];

/// A name for a container that was given none, in Docker's shape. `retry` 1 and above add a digit.
#[must_use]
pub fn new_name(id: &str, retry: u32) -> String {
    let number = |at: usize| usize::from_str_radix(&id[at..at + 2], 16).unwrap_or(0);
    let salt = retry as usize * 7;
    let (manner, person) = (MANNERS[(number(60) + salt) % 32], PEOPLE[(number(62) + salt) % 32]);
    let digit = if retry == 0 { String::new() } else { (retry % 10).to_string() };
    format!("{manner}_{person}{digit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_64_hex_digits_and_differ() {
        let (a, b) = (new_id().unwrap(), new_id().unwrap());
        assert!(a.len() == 64 && a.bytes().all(|c| c.is_ascii_hexdigit()));
        assert_ne!(a, b);
    }

    #[test]
    fn names_follow_dockers_rule() {
        for good in ["ab", "a.b", "A_1", "0-", "/web"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "-a", ".a", "a b", "ä", "a/b", "/", "//a"] {
            assert!(matches!(check_name(bad), Err(ContainerError::BadName(_))), "{bad}");
        }
        assert!(check_name(&format!("/{}", "a".repeat(255))).is_ok());
        let long = check_name(&"a".repeat(256)).unwrap_err();
        assert_eq!(long.to_string(), "Invalid container name: it has 256 bytes, and may have at most 255");
        assert!(long.below().because.is_some_and(|why| why.contains("a file of the store")));
        assert!(check_name(&new_name(&new_id().unwrap(), 3)).is_ok());
    }
}
