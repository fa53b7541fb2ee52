//! `ps [-o COLUMNS] [-p PIDS]`: the processes that /proc shows, one a line. `-e`, `-A`, `-w` and `ax` add
//! nothing, as in busybox: all are shown anyway, and at any width. What has other columns in procps
//! (`-f`, `-l`, `u`) is refused: those of `-o` are all there are.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

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

/// What was asked for.
#[derive(Default)]
struct Asked {
    columns: Vec<Column>,
    /// Of `-p`. None: all.
    pids: Option<Vec<i32>>,
}

pub(crate) fn main(arguments: &[String]) -> Result<u8> {
    let Asked { mut columns, pids } = asked(arguments)?;
    if columns.is_empty() {
        columns = parse(DEFAULT)?;
    }
    let mut all = processes(Path::new("/proc"));
    ensure!(!all.is_empty(), "/proc shows no process: is it mounted?");
    all.retain(|process| pids.as_ref().is_none_or(|pids| pids.contains(&process.pid)));
    crate::print(&table(&columns, &all, &users::users()))?;
    // As in procps, 1 tells that nobody has these numbers.
    Ok(u8::from(all.is_empty()))
}

/// Letters may share a word; the value of `-o` and `-p` is what stands behind the letter, or the next word.
fn asked(arguments: &[String]) -> Result<Asked> {
    let mut asked = Asked::default();
    let mut everything = false;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (dash, letters) = word.strip_prefix('-').map_or((false, word.as_str()), |rest| (true, rest));
        ensure!(!letters.is_empty(), "no option {word:?}");
        for (at, letter) in letters.char_indices() {
            match letter {
                'o' | 'p' if dash => {
                    let behind = Some(&letters[at + 1..]).filter(|behind| !behind.is_empty());
                    let list = behind.or_else(|| words.next().map(String::as_str));
                    let list = list.with_context(|| format!("-{letter} wants a list behind it"))?;
                    if letter == 'o' {
                        asked.columns.extend(parse(list)?);
                    } else {
                        asked.pids.get_or_insert_default().extend(numbers(list)?);
                    }
                    break;
                }
                'e' | 'A' if dash => everything = true,
                'a' | 'x' | 'w' => {}
                'f' | 'l' | 'u' => {
                    bail!("no option {word}: say the columns by -o, as in -o pid,ppid,user,args")
                }
                _ => bail!("no option {word}: ps [-e] [-o COLUMN[=HEADING],...] [-p PID,...]"),
            }
        }
    }
    if everything {
        asked.pids = None;
    }
    Ok(asked)
}

fn numbers(list: &str) -> Result<Vec<i32>> {
    let number = |word: &str| match word.parse() {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => bail!("-p {list}: {word:?} is no number of a process"),
    };
    list.split([',', ' ']).map(number).collect()
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
        let usual = match name {
            "comm" | "args" => "COMMAND".to_owned(),
            _ => name.to_uppercase(),
        };
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
    let comm = shown(head.split_once('(')?.1);
    let cmdline = fs::read(dir.join("cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&cmdline);
    let words = shown(&words.trim_end_matches('\0').replace('\0', " "));
    // The kernel's own threads have none.
    let args = if words.is_empty() { format!("[{comm}]") } else { words };
    let uid = fs::metadata(dir).ok()?.uid();
    Some(Process { pid, uid, comm, args, stat: tail.split_whitespace().map(str::to_owned).collect() })
}

/// A process chooses its own words: none of them breaks a line or tells the terminal anything. As procps has it.
fn shown(text: &str) -> String {
    let plain = |c: char| match c {
        '\n' => ' ',
        c if c.is_control() => '?',
        c => c,
    };
    text.chars().map(plain).collect()
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
            ("10", "10 (a) b) c) R 1 10 9 0", b"a\0-x\0two\nwo\x1brds\0"),
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
            "PID PPID COMMAND  COMMAND\n  1    0 init     /sbin/init\n  2    0 kthreadd [kthreadd]\n \
             10    1 a) b) c  a -x two wo?rds\n"
        );
        assert_eq!(shown("stat=,sid="), "S 1\nS 0\nR 9\n");
    }

    fn understood(words: &str) -> Result<(Vec<String>, Option<Vec<i32>>)> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let Asked { columns, pids } = asked(&words)?;
        Ok((columns.into_iter().map(|c| c.name).collect(), pids))
    }

    #[test]
    fn letters_may_share_a_word_and_the_last_may_have_its_value_in_it() {
        for words in
            ["-e -o pid,comm", "-eo pid,comm", "-Aopid,comm", "ax -wo pid -o comm", "-o pid,comm -e -p 7"]
        {
            let (columns, pids) = understood(words).unwrap();
            assert_eq!((columns.join(","), pids), ("pid,comm".to_owned(), None), "{words}");
        }
        for words in ["-o comm= -p 7,9", "-p7,9 -o comm=", "-p 7 -p 9 -ocomm="] {
            assert_eq!(understood(words).unwrap(), (vec!["comm".to_owned()], Some(vec![7, 9])), "{words}");
        }
    }

    #[test]
    fn what_is_not_built_is_refused_and_never_passed_over() {
        let refused = |words| understood(words).unwrap_err().to_string();
        for word in ["-f", "-ef", "aux", "-l"] {
            let told = format!("no option {word}: say the columns by -o, as in -o pid,ppid,user,args");
            assert_eq!(refused(word), told);
        }
        assert!(refused("-T").starts_with("no option -T: ps [-e] "));
        assert!(refused("--pid").starts_with("no option --pid: "));
        assert_eq!(refused("-"), "no option \"-\"");
        assert_eq!(refused("-o"), "-o wants a list behind it");
        assert_eq!(refused("-p 1,x"), "-p 1,x: \"x\" is no number of a process");
        assert_eq!(refused("-p 0"), "-p 0: \"0\" is no number of a process");
    }

    #[test]
    fn a_column_that_is_not_known_is_named() {
        let error = parse("pid,nice").err().unwrap().to_string();
        assert!(error.starts_with("no column nice: one of pid, "), "{error}");
    }
}
