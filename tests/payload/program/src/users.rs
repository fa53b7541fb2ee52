//! Names of users and groups: /etc/passwd and /etc/group, and nothing else (passwd(5), group(5)).

use std::fs;

/// One line of either file.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) id: u32,
    /// The fields behind the id.
    rest: Vec<String>,
}

impl Entry {
    /// The first group of a user.
    pub(crate) fn group(&self) -> Option<u32> {
        self.rest.first()?.parse().ok()
    }

    /// Whether a group has this member.
    pub(crate) fn has(&self, user: &str) -> bool {
        self.rest.first().is_some_and(|members| members.split(',').any(|m| m == user))
    }
}

pub(crate) fn users() -> Vec<Entry> {
    entries(&fs::read_to_string("/etc/passwd").unwrap_or_default())
}

pub(crate) fn groups() -> Vec<Entry> {
    entries(&fs::read_to_string("/etc/group").unwrap_or_default())
}

/// The name of an id. None: the file has none.
pub(crate) fn name(of: u32, among: &[Entry]) -> Option<&str> {
    among.iter().find(|entry| entry.id == of).map(|entry| entry.name.as_str())
}

fn entries(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let mut fields = line.split(':').map(str::to_owned);
        let (name, _password, id) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
        Some(Entry { name, id, rest: fields.collect() })
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_entry_is_passed_over() {
        let all = entries("root:x:0:0:root:/root:/bin/sh\n\n+::::::\nme:x:1000:1001::/:/bin/sh\n");
        assert_eq!((name(0, &all), name(1000, &all), name(7, &all)), (Some("root"), Some("me"), None));
        assert_eq!(all[1].group(), Some(1001));
        assert!(entries("wheel:x:10:me,you\n")[0].has("you"));
    }
}
