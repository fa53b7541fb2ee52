//! The transcripts of a page, read.

use std::ops::Range;

/// One block that is fenced as `console`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// On a terminal.
    pub(crate) tty: bool,
    /// Holds for a plain user only.
    pub(crate) plain: bool,
    pub(crate) steps: Vec<Step>,
}

/// One command, and what it printed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Where it stands in the page, from 1.
    pub(crate) line: usize,
    /// Behind `#`, not `$`.
    pub(crate) as_root: bool,
    pub(crate) command: String,
    pub(crate) output: Vec<String>,
    /// The lines of the page that hold the output, from 0.
    pub(crate) place: Range<usize>,
}

/// The blocks of a page, or the line that is wrong.
pub(crate) fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let lines: Vec<&str> = page.lines().collect();
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let Some(info) = lines[at].strip_prefix("```") else {
            at += 1;
            continue;
        };
        let inside = at + 1..end_of(&lines, at)?;
        at = inside.end + 1;
        let tags: Vec<&str> = info.split(',').map(str::trim).collect();
        if tags[0] == "console" {
            let unknown = tags[1..].iter().find(|tag| !["tty", "plain"].contains(*tag));
            if let Some(tag) = unknown {
                return Err(format!("line {}: a transcript can't be {tag}", inside.start));
            }
            let (tty, plain) = (tags.contains(&"tty"), tags.contains(&"plain"));
            let steps = if tty { on_terminal(&lines, inside)? } else { steps(&lines, inside)? };
            blocks.push(Block { tty, plain, steps });
        }
    }
    Ok(blocks)
}

/// The line of the fence that closes the one at `at`.
fn end_of(lines: &[&str], at: usize) -> Result<usize, String> {
    let end = lines[at + 1..].iter().position(|line| line.trim_end() == "```");
    end.map(|end| at + 1 + end).ok_or_else(|| format!("line {}: this block has no end", at + 1))
}

fn steps(lines: &[&str], inside: Range<usize>) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for at in inside {
        let line = lines[at];
        if goes_on {
            let rest = line.strip_prefix("> ").ok_or_else(|| format!("line {}: no `> `", at + 1))?;
            let step = steps.last_mut().ok_or("no command")?;
            step.command.push_str(&format!("\n{rest}"));
            step.place = at + 1..at + 1;
            goes_on = rest.ends_with('\\');
        } else if let Some((as_root, command)) = prompt(line) {
            steps.push(Step {
                line: at + 1,
                as_root,
                command: command.to_owned(),
                output: Vec::new(),
                place: at + 1..at + 1,
            });
            goes_on = command.ends_with('\\');
        } else {
            let step = steps.last_mut().ok_or_else(|| format!("line {}: output of no command", at + 1))?;
            step.output.push(line.to_owned());
            step.place.end = at + 1;
        }
    }
    if steps.is_empty() { Err("a transcript without a command".to_owned()) } else { Ok(steps) }
}

/// One command: the prompts of the shell that it starts are not ours.
fn on_terminal(lines: &[&str], inside: Range<usize>) -> Result<Vec<Step>, String> {
    let first = inside.start;
    let (as_root, command) = prompt(lines[first]).ok_or_else(|| format!("line {}: no prompt", first + 1))?;
    let place = first + 1..inside.end;
    let output = lines[place.clone()].iter().map(|line| (*line).to_owned()).collect();
    Ok(vec![Step { line: first + 1, as_root, command: command.to_owned(), output, place }])
}

fn prompt(line: &str) -> Option<(bool, &str)> {
    let plain = line.strip_prefix("$ ").map(|command| (false, command));
    plain.or_else(|| line.strip_prefix("# ").map(|command| (true, command)))
}

/// What is typed at the prompt of a program: `[hostbox] / # ps` is the prompt and `ps`.
pub(crate) fn typed(line: &str) -> Option<(&str, &str)> {
    let at = line.find("# ").filter(|_| line.starts_with('['))? + 2;
    Some(line.split_at(at))
}

#[test]
fn a_block_is_cut_into_commands_and_what_they_print() {
    let page = "# T\n\n```console\n$ a b\nout\n\nmore\n# c \\\n> d\n$ e\n```\n\n```text\n$ no\n```\n```console,tty,plain\n\
        $ sh\n[x] / # ps\n$ 1\n```\n";
    let all = blocks(page).unwrap();
    let seen: Vec<_> = all[0]
        .steps
        .iter()
        .map(|s| (s.line, s.as_root, s.command.as_str(), s.output.join("|"), s.place.clone()))
        .collect();
    let expected = [
        (4, false, "a b", "out||more".to_owned(), 4..7),
        (8, true, "c \\\nd", String::new(), 9..9),
        (10, false, "e", String::new(), 10..10),
    ];
    assert_eq!(seen, expected);
    assert!(all.len() == 2 && all[1].tty && all[1].plain && !all[0].tty);
    assert_eq!(all[1].steps[0].output, ["[x] / # ps", "$ 1"]);
}

#[test]
fn a_block_that_cannot_be_typed_is_refused() {
    let message = |page: &str| blocks(page).unwrap_err();
    assert_eq!(message("```console\nout\n```\n"), "line 2: output of no command");
    assert_eq!(message("```console\n```\n"), "a transcript without a command");
    assert_eq!(message("```console\n$ a\n"), "line 1: this block has no end");
    assert_eq!(message("```console\n$ a \\\nb\n```\n"), "line 3: no `> `");
    assert_eq!(message("```console,slow\n$ a\n```\n"), "line 1: a transcript can't be slow");
}

#[test]
fn what_is_typed_stands_behind_a_prompt() {
    assert_eq!(typed("[hostbox] / # ps"), Some(("[hostbox] / # ", "ps")));
    assert_eq!(typed("a # b"), None);
}
