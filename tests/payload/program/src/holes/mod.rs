//! `holes`: what a process shares with the host, and what it has of its own.
//!
//! Twelve rows. Each is found by something that was tried, in a child where it could change us, and
//! never in a way that changes the host: a name is set to itself, a signal is the signal 0.
//!
//! An effect alone can't always tell: a plain user can't set the host's name, and neither can root in a
//! container. So the rows of namespaces compare as well. With what:
//!
//! - The demos of the chapters leave `/bin/holes.host`: which root directory and which namespaces are
//!   those of whoever started them. For them that is the host, also when it is a container itself.
//! - Otherwise the host is what the machine began with: the kernel numbers the first namespaces always
//!   the same (linux/nsfs.h, *_NS_INIT_INO), see [`host`].
//!
//! What is `own`, as root and as a plain user alike but for the last line:
//!
//! | where | rows |
//! |---|---|
//! | the host | none |
//! | `cargo ch1` | files; with `--chroot` none |
//! | `cargo ch2` | and pids, hostname, mounts, ipc, uid, network (of which `lo` is all), devices (root of a user namespace can make no node) |
//! | `minidocker run` | and capabilities |
//! | a container of root's | as Docker's it has no user namespace: uid is the host's, devices are kept by the device list |
//!
//! Chapters 0 and 1 run in a room (user and mount namespace) that is borrowed from chapter 2. What that
//! alone keeps apart is `HOST`, and says so: chapter 1 did not do it.

mod child;
mod devices;
mod files;
mod host;
mod kernel;
mod limits;
mod namespaces;

use std::fmt::Write;

use anyhow::{Result, bail};

use host::Host;

/// The widest line, so that a row fits on every terminal.
const COLUMNS: usize = 80;

const HELP: &str = "\
holes: what this process shares with the host, and what is its own.

  holes              all rows: name, verdict, what was tried and seen
  holes ROW...       some of them
  holes --json       for programs

HOST  the host's, or nothing but the caller's lack of rights keeps it apart
own   the host's is not reached from here
?     it can't be told here (say, /proc is not mounted); the exit code is 1

`chapter 2's room`: chapters 0 and 1 start in a user and mount namespace that
they borrow; what that alone keeps apart is HOST.
The host is what the demo that started us took for it (/bin/holes.host), else
the machine: the kernel's first namespaces have fixed numbers (linux/nsfs.h).
Nothing of the host is changed. `memory` touches 256 MiB in a child that the
kernel would kill first, `cpu` burns 300 ms and counts throttled periods in
cpu.stat; where no cpu.stat is in sight, no throttling is seen.

Rows: ";

/// What one row found.
struct Finding {
    /// None: it can't be told.
    own: Option<bool>,
    /// What was tried, and what was seen.
    seen: String,
}

impl Finding {
    fn new(own: impl Into<Option<bool>>, seen: impl Into<String>) -> Self {
        Self { own: own.into(), seen: seen.into() }
    }

    fn verdict(&self) -> &'static str {
        match self.own {
            Some(true) => "own",
            Some(false) => "HOST",
            None => "?",
        }
    }
}

type Check = fn(&Host) -> Finding;

/// In the order in which the chapters close them, more or less.
const ROWS: [(&str, Check); 12] = [
    ("files", files::files),
    ("pids", namespaces::pids),
    ("hostname", namespaces::hostname),
    ("mounts", namespaces::mounts),
    ("ipc", namespaces::ipc),
    ("uid", namespaces::uid),
    ("memory", limits::memory),
    ("cpu", limits::cpu),
    ("devices", devices::devices),
    ("network", namespaces::network),
    ("capabilities", kernel::capabilities),
    ("system calls", kernel::system_calls),
];

pub(crate) fn main(arguments: &[String]) -> Result<u8> {
    let (mut json, mut names) = (false, Vec::new());
    for argument in arguments {
        match argument.as_str() {
            "--json" => json = true,
            "-h" | "--help" => {
                let rows = ROWS.map(|(name, _)| name.replace(' ', "-")).join(" ");
                crate::print(&format!("{HELP}{rows}\n"))?;
                return Ok(0);
            }
            option if option.starts_with('-') => bail!("no option {option}: holes [--json] [ROW...]"),
            name => names.push(name.replace('-', " ")),
        }
    }
    if let Some(name) = names.iter().find(|name| !ROWS.iter().any(|row| row.0 == **name)) {
        bail!("no row {name:?}: one of {}", ROWS.map(|row| row.0.replace(' ', "-")).join(", "));
    }
    let host = Host::read();
    let mut told = Vec::new();
    let mut unknown = false;
    for (name, check) in ROWS.iter().filter(|row| names.is_empty() || names.iter().any(|n| n == row.0)) {
        let finding = check(&host);
        unknown |= finding.own.is_none();
        if json {
            told.push(object(name, &finding));
        } else {
            // Each at once: two of them take a moment.
            crate::print(&line(name, &finding))?;
        }
    }
    if json {
        crate::print(&format!("{{\"version\":1,\"rows\":[\n{}\n]}}\n", told.join(",\n")))?;
    }
    Ok(u8::from(unknown))
}

fn line(name: &str, finding: &Finding) -> String {
    let mut line: String = format!("{name:<13} {:<5} {}", finding.verdict(), finding.seen);
    if line.chars().count() > COLUMNS {
        line = line.chars().take(COLUMNS - 1).chain(['…']).collect();
    }
    line + "\n"
}

fn object(name: &str, finding: &Finding) -> String {
    let verdict = finding.own.map_or("null".to_owned(), |_| quoted(finding.verdict()));
    format!("{{\"row\":{},\"verdict\":{verdict},\"seen\":{}}}", quoted(name), quoted(&finding.seen))
}

/// A string as RFC 8259 writes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_at_most_80_columns() {
        let line = line("system calls", &Finding::new(true, "é".repeat(100)));
        assert_eq!(line.trim_end().chars().count(), 80);
        assert!(line.starts_with("system calls  own   éé") && line.ends_with("é…\n"), "{line}");
    }

    #[test]
    fn json_is_escaped() {
        let finding = Finding::new(None, "a \"b\"\n\\");
        assert_eq!(
            object("uid", &finding),
            "{\"row\":\"uid\",\"verdict\":null,\"seen\":\"a \\\"b\\\"\\u000a\\\\\"}"
        );
    }

    #[test]
    fn a_row_that_there_is_not_is_refused_by_name() {
        let error = main(&["color".to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with("no row \"color\": one of files, pids, "), "{error}");
    }
}
