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
        Ok(Self { file, partial: [Vec::new(), Vec::new()] })
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
    /// Appends whole lines, or as many as there is room for.
    fn put(&mut self, entries: &[u8]) -> Result<(), SupervisorError> {
        let mut rest = entries;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(length) => rest = &rest[length..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    self.take_back(&entries[..entries.len() - rest.len()]);
                    return Err(SupervisorError::call("write the log", "write", "…")(e));
                }
            }
        }
        Ok(())
    }

    /// Cuts off the part of a line that a full disk left at the end of what was `written`: the next line
    /// would be glued to it.
    fn take_back(&self, written: &[u8]) {
        let part = written.iter().rev().take_while(|b| **b != b'\n').count() as u64;
        if let (Ok(meta), 1..) = (self.file.metadata(), part) {
            let _ = self.file.set_len(meta.len().saturating_sub(part));
        }
    }
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
        .map_err(|e| SupervisorError::call("write the log", "write", "…")(std::io::Error::from(e)))?;
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
        log.take_back(written);
        log.take_back(b"");
        log.write(Stream::Stdout, b"four\n").unwrap();
        let text = std::fs::read_to_string(dir.path().join("log")).unwrap();
        let logs: Vec<String> = text
            .lines()
            .map(|l| {
                serde_json::from_str::<serde_json::Value>(l).unwrap()["log"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(logs, ["one\n", "two\n", "four\n"]);
    }
}
