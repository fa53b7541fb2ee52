//! `log`: what the container wrote, in Docker's json-file format, a line each.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

use super::SupervisorError;
use crate::container::now;

/// Docker cuts longer lines into parts of this many bytes; only the last one ends in a newline.
const PART: usize = 16 * 1024;

/// What a write of the log is for, and what its failure means.
const LOST: &str = "write the log (lines of it are lost)";

/// Which of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(super) const BOTH: [Stream; 2] = [Stream::Stdout, Stream::Stderr];
}

#[derive(Serialize)]
struct Entry<'a> {
    log: &'a str,
    stream: &'static str,
    time: String,
}

/// The log of one container, open for appending.
pub(super) struct JsonLog {
    file: File,
    partial: [Vec<u8>; 2],
    /// How many lines found no room since the last that did.
    lost: usize,
}

impl JsonLog {
    pub(super) fn open(dir: &Path) -> Result<Self, SupervisorError> {
        use nix::libc::{O_CLOEXEC, O_NOFOLLOW};
        let options = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(O_NOFOLLOW | O_CLOEXEC)
            .open(dir.join("log"));
        let args = "AT_FDCWD, \"log\", O_WRONLY|O_CREAT|O_APPEND|O_NOFOLLOW|O_CLOEXEC, 0600";
        let file = options.map_err(SupervisorError::call("open the log", "openat", args))?;
        Ok(Self { file, partial: [Vec::new(), Vec::new()], lost: 0 })
    }

    /// Takes what the container wrote. Whole lines go to the file in one write(2) a call.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), SupervisorError> {
        let mut partial = std::mem::take(&mut self.partial[stream as usize]);
        partial.extend_from_slice(bytes);
        let mut entries = Vec::new();
        let mut rest = partial.as_slice();
        while let Some(length) = line_length(rest) {
            let (line, behind) = rest.split_at(length);
            append(&mut entries, stream, line)?;
            rest = behind;
        }
        self.partial[stream as usize] = rest.to_vec();
        self.put(&entries)
    }

    /// Writes the last lines that have no newline.
    pub(super) fn flush(&mut self) -> Result<(), SupervisorError> {
        let mut entries = Vec::new();
        for stream in Stream::BOTH {
            let rest = std::mem::take(&mut self.partial[stream as usize]);
            if !rest.is_empty() {
                append(&mut entries, stream, &rest)?;
            }
        }
        self.put(&entries)
    }
}

impl JsonLog {
    /// Appends whole lines, or as many as there is room for; first, where lines were lost, one that says so.
    fn put(&mut self, entries: &[u8]) -> Result<(), SupervisorError> {
        if entries.is_empty() && self.lost == 0 {
            return Ok(());
        }
        let notice = self.notice()?;
        let all = [&notice, entries].concat();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(length) => rest = &rest[length..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    let kept = self.take_back(&all[..all.len() - rest.len()]);
                    let before = if kept < notice.len() { self.lost } else { 0 };
                    self.lost = before + lines(&all[kept.max(notice.len())..]);
                    return Err(SupervisorError::call(LOST, "write", "\"log\", …")(e));
                }
            }
        }
        self.lost = 0;
        Ok(())
    }

    /// What stands in the log where lines are missing.
    fn notice(&self) -> Result<Vec<u8>, SupervisorError> {
        let mut entry = Vec::new();
        if self.lost > 0 {
            let text =
                format!("minidocker: {} lines are missing here, they could not be written\n", self.lost);
            append(&mut entry, Stream::Stderr, text.as_bytes())?;
        }
        Ok(entry)
    }

    /// Cuts off the part of a line that a full disk left at the end of what was `written`: the next line
    /// would be glued to it. Tells how long the rest is.
    fn take_back(&self, written: &[u8]) -> usize {
        let part = written.iter().rev().take_while(|b| **b != b'\n').count();
        if let (Ok(meta), 1..) = (self.file.metadata(), part) {
            let _ = self.file.set_len(meta.len().saturating_sub(part as u64));
        }
        written.len() - part
    }
}

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|b| **b == b'\n').count()
}

/// The length of the first line or part, newline included; none if more must come.
fn line_length(bytes: &[u8]) -> Option<usize> {
    let window = &bytes[..bytes.len().min(PART)];
    let newline = window.iter().position(|b| *b == b'\n').map(|at| at + 1);
    newline.or((window.len() == PART).then_some(PART))
}

fn append(entries: &mut Vec<u8>, stream: Stream, line: &[u8]) -> Result<(), SupervisorError> {
    let stream = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    // As Docker: what is no UTF-8 becomes U+FFFD in the log. What clients get is untouched.
    let entry = Entry { log: &String::from_utf8_lossy(line), stream, time: now() };
    serde_json::to_writer(&mut *entries, &entry)
        .map_err(|e| SupervisorError::call(LOST, "write", "\"log\", …")(std::io::Error::from(e)))?;
    entries.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_entries_and_long_ones_are_parted() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = JsonLog::open(dir.path()).unwrap();
        log.write(Stream::Stdout, b"one\ntw").unwrap();
        log.write(Stream::Stderr, b"err \"q\" \xff\n").unwrap();
        log.write(Stream::Stdout, b"o\n").unwrap();
        log.write(Stream::Stdout, &[b'x'; PART + 1]).unwrap();
        log.flush().unwrap();
        let text = std::fs::read_to_string(dir.path().join("log")).unwrap();
        let entries: Vec<serde_json::Value> =
            text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let logs: Vec<&str> = entries.iter().map(|e| e["log"].as_str().unwrap()).collect();
        let long = "x".repeat(PART);
        assert_eq!(logs, ["one\n", "err \"q\" \u{fffd}\n", "two\n", &long, "x"]);
        assert_eq!(entries[1]["stream"], "stderr");
    }

    /// What stands in the `log` field of each entry.
    fn logs(dir: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(dir.join("log")).unwrap();
        let log = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["log"].clone();
        text.lines().map(|line| log(line).as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn lines_without_room_are_counted_in_the_log_as_soon_as_there_is_some() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = JsonLog::open(dir.path()).unwrap();
        log.write(Stream::Stdout, b"one\n").unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let room = std::mem::replace(&mut log.file, full);
        for lines in [b"two\nthree\nfo".as_slice(), b"ur\n", b"fi"] {
            let lost = log.write(Stream::Stdout, lines).unwrap_err().in_a_line();
            assert_eq!(
                lost,
                "cannot write the log (lines of it are lost): write(\"log\", …) : ENOSPC (No space left on device)"
            );
        }
        log.file = room;
        log.write(Stream::Stdout, b"ve\n").unwrap();
        log.flush().unwrap();
        assert_eq!(
            logs(dir.path()),
            ["one\n", "minidocker: 3 lines are missing here, they could not be written\n", "five\n"]
        );
    }

    #[test]
    fn half_a_line_that_a_full_disk_left_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = JsonLog::open(dir.path()).unwrap();
        log.write(Stream::Stdout, b"one\n").unwrap();
        let mut entries = Vec::new();
        append(&mut entries, Stream::Stdout, b"two\n").unwrap();
        append(&mut entries, Stream::Stdout, b"three\n").unwrap();
        let written = &entries[..entries.len() - 10];
        log.file.write_all(written).unwrap();
        let kept = log.take_back(written);
        assert!(written[..kept].ends_with(b"\n") && lines(&written[..kept]) == 1);
        assert_eq!(log.take_back(b""), 0);
        log.write(Stream::Stdout, b"four\n").unwrap();
        assert_eq!(logs(dir.path()), ["one\n", "two\n", "four\n"]);
    }
}
