//! `ps [-o COLUMNS]`: the processes that /proc shows, one a line. Every `ps` of the book's examples is
//! one of these; `-e`, `-A`, `aux` and `-f` add nothing, as in busybox, for all are shown anyway.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Result, bail, ensure};

use crate::users::{self, Entry};

/// What is shown without `-o`.
const DEFAULT: &str = "pid,user,args";

/// A process, as /proc/pid tells it (proc_pid_stat(5)).
struct Process {
    pid: i32,
    uid: u32,
    comm: String,
    args: String,
    /// The fields behind the name: state, ppid, pgid, sid, ...
    stat: Vec<String>,
}

/// One column: its name, its heading, whether numbers stand at its right edge.
struct Column {
    name: String,
    heading: String,
}

pub(crate) fn main(arguments: &[String]) -> Result<u8> {
    let mut columns = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if let Some(list) = word.strip_prefix("-o") {
            let list = if list.is_empty() { words.next().map_or("", String::as_str) } else { list };
            columns.extend(parse(list)?);
        } else if !word.trim_start_matches('-').chars().all(|c| "eAafuxlw".contains(c)) {
            bail!("no option {word}: ps [-e] [-o COLUMN[=HEADING],...]");
        }
    }
    if columns.is_empty() {
        columns = parse(DEFAULT)?;
    }
    let all = processes(Path::new("/proc"));
    ensure!(!all.is_empty(), "/proc shows no process: is it mounted?");
    crate::print(&table(&columns, &all, &users::users()))?;
    Ok(0)
}

/// `pid,comm=` : names, and after `=` another heading; without any heading no line of headings is shown.
fn parse(list: &str) -> Result<Vec<Column>> {
    let known = ["pid", "ppid", "pgid", "sid", "user", "uid", "stat", "comm", "args"];
    let mut columns = Vec::new();
    for word in list.split([',', ' ']).filter(|word| !word.is_empty()) {
        let (name, heading) =
            word.split_once('=').map_or((word, None), |(name, heading)| (name, Some(heading)));
        let name = match name {
            "cmd" | "command" => "args",
            "s" | "state" => "stat",
            other => other,
        };
        ensure!(known.contains(&name), "no column {name}: one of {}", known.join(", "));
        let usual = if name == "args" { "COMMAND".to_owned() } else { name.to_uppercase() };
        columns.push(Column { name: name.to_owned(), heading: heading.map_or(usual, str::to_owned) });
    }
    Ok(columns)
}

/// All that `proc` shows; what ends meanwhile, or is hidden (hidepid), is passed over.
fn processes(proc: &Path) -> Vec<Process> {
    let names = fs::read_dir(proc).into_iter().flatten().flatten();
    let mut pids: Vec<i32> = names.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter().filter_map(|pid| process(&proc.join(pid.to_string()), pid)).collect()
}

fn process(dir: &Path, pid: i32) -> Option<Process> {
    let stat = fs::read(dir.join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name may hold blanks and parentheses.
    let (head, tail) = stat.rsplit_once(')')?;
    let comm = head.split_once('(')?.1.to_owned();
    let cmdline = fs::read(dir.join("cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&cmdline);
    let words = words.trim_end_matches('\0').replace('\0', " ");
    // The kernel's own threads have none.
    let args = if words.is_empty() { format!("[{comm}]") } else { words };
    let uid = fs::metadata(dir).ok()?.uid();
    Some(Process { pid, uid, comm, args, stat: tail.split_whitespace().map(str::to_owned).collect() })
}

fn table(columns: &[Column], all: &[Process], users: &[Entry]) -> String {
    let cell = |process: &Process, column: &Column| match column.name.as_str() {
        "pid" => process.pid.to_string(),
        "uid" => process.uid.to_string(),
        "user" => users::name(process.uid, users).map_or(process.uid.to_string(), str::to_owned),
        "comm" => process.comm.clone(),
        "args" => process.args.clone(),
        field => {
            let at = ["stat", "ppid", "pgid", "sid"].iter().position(|f| *f == field);
            at.and_then(|at| process.stat.get(at)).map_or("-", String::as_str).to_owned()
        }
    };
    let headings: Vec<String> = columns.iter().map(|c| c.heading.clone()).collect();
    let mut rows = vec![];
    if headings.iter().any(|heading| !heading.is_empty()) {
        rows.push(headings);
    }
    rows.extend(all.iter().map(|process| columns.iter().map(|c| cell(process, c)).collect::<Vec<_>>()));
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (at, cell) in row.iter().enumerate() {
            let (column, width) = (&columns[at].name, widths[at]);
            let gap = if at == 0 { "" } else { " " };
            // What is a number stands at the right.
            let _ = match column.as_str() {
                "user" | "stat" | "comm" | "args" if at + 1 == columns.len() => write!(text, "{gap}{cell}"),
                "user" | "stat" | "comm" | "args" => write!(text, "{gap}{cell:width$}"),
                _ => write!(text, "{gap}{cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        for (pid, stat, cmdline) in [
            ("1", "1 (init) S 0 1 1 0", &b"/sbin/init\0"[..]),
            ("2", "2 (kthreadd) S 0 0 0 0", b""),
            ("10", "10 (a) b) c) R 1 10 9 0", b"a\0-x\0two words\0"),
            // It ended while we looked.
            ("11", "", b""),
        ] {
            fs::create_dir(proc.path().join(pid)).unwrap();
            fs::write(proc.path().join(pid).join("stat"), stat).unwrap();
            fs::write(proc.path().join(pid).join("cmdline"), cmdline).unwrap();
        }
        fs::create_dir(proc.path().join("sys")).unwrap();
        proc
    }

    fn shown(list: &str) -> String {
        table(&parse(list).unwrap(), &processes(host().path()), &[])
    }

    #[test]
    fn processes_are_shown_by_their_numbers() {
        assert_eq!(
            shown("pid,ppid,comm,args"),
            "PID PPID COMM     COMMAND\n  1    0 init     /sbin/init\n  2    0 kthreadd [kthreadd]\n \
             10    1 a) b) c  a -x two words\n"
        );
        assert_eq!(shown("stat=,sid="), "S 1\nS 0\nR 9\n");
    }

    #[test]
    fn a_column_that_is_not_known_is_named() {
        let error = parse("pid,nice").err().unwrap().to_string();
        assert!(error.starts_with("no column nice: one of pid, "), "{error}");
    }
}
