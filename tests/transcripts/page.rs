//! One page, typed from its first command to its last.

use std::fs;
use std::path::Path;

use kit::{Minidocker, Who};

use crate::console::{self, Block, Step};
use crate::shell::Shell;
use crate::{is_root, programs, src, wildcards};

/// How much of a page's transcripts only wildcards may match, in percent.
const MOST: usize = 10;

/// Counts of one page.
#[derive(Default)]
struct Seen {
    commands: usize,
    /// Typed or printed.
    characters: usize,
    by_wildcards: usize,
    wrong: Vec<String>,
    /// Lines of the page that are to be replaced.
    blessed: Vec<(std::ops::Range<usize>, Vec<String>)>,
}

/// Types a page; `all_as_root` types what stands behind `$` as root too.
pub(crate) fn run(name: &str, all_as_root: bool) -> Result<(), String> {
    let path = src().join(name);
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let who = if is_root() && !all_as_root { Who::Plain } else { Who::Me };
    if !Who::all().contains(&who) {
        kit::skip("no-plain-user", &"root can't play a plain user here");
        return Ok(());
    }
    let seen = typed(name, &text, who, all_as_root)?;
    let may_bless = std::env::var_os("MINIDOCKER_BLESS").is_some() && !all_as_root;
    if may_bless && !seen.blessed.is_empty() {
        return bless(&path, &text, &seen);
    }
    seen.end(name)
}

/// Types the transcripts of a page into fresh shells, one for `who` and, where we are root, one for root.
fn typed(name: &str, text: &str, who: Who, all_as_root: bool) -> Result<Seen, String> {
    let blocks = console::blocks(text)?;
    let program = env!("CARGO_BIN_EXE_minidocker");
    let plain = Minidocker::new(program, who);
    let dir = plain.dir("book");
    let kept = programs::kept();
    let bin = programs::provide(&kept, &dir);
    let root = is_root().then(|| Minidocker::new(program, Who::Me));
    let mut plain_shell = Shell::start(&plain, &dir, &bin);
    let mut root_shell = root.as_ref().map(|root| Shell::start(root, &dir, &bin));
    let mut seen = Seen::default();
    for block in blocks.iter().filter(|block| !(block.plain && all_as_root)) {
        for step in &block.steps {
            let shell = if step.as_root { root_shell.as_mut() } else { Some(&mut plain_shell) };
            shell.into_iter().for_each(|shell| seen.step(name, block, step, shell));
        }
    }
    Ok(seen)
}

impl Seen {
    fn step(&mut self, page: &str, block: &Block, step: &Step, shell: &mut Shell<'_>) {
        let printed = if block.tty {
            shell.on_terminal(&step.command, &step.output)
        } else {
            shell.line(&step.command)
        };
        self.commands += 1;
        let all = printed.iter().chain([&step.command]);
        self.characters += all.map(|line| line.chars().count() + 1).sum::<usize>();
        match wildcards::fit(&step.output, &printed) {
            Some(swallowed) => self.by_wildcards += swallowed,
            None => {
                let difference = wildcards::difference(&step.output, &printed);
                self.wrong.push(format!("{page}:{}: {}\n{difference}", step.line, step.command));
                self.blessed.push((step.place.clone(), wildcards::blessed(&step.output, &printed)));
            }
        }
    }

    fn end(self, page: &str) -> Result<(), String> {
        let percent = (100 * self.by_wildcards).div_ceil(self.characters.max(1));
        println!("{page}: {} commands, {percent} % matched by wildcards alone", self.commands);
        if !self.wrong.is_empty() {
            return Err(format!("\n{}", self.wrong.join("\n")));
        }
        if percent > MOST {
            return Err(format!(
                "{percent} % of the transcripts is matched by wildcards alone, at most {MOST}"
            ));
        }
        Ok(())
    }
}

/// Writes what was printed into the page.
fn bless(path: &Path, text: &str, seen: &Seen) -> Result<(), String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (place, output) in seen.blessed.iter().rev() {
        lines.splice(place.clone(), output.iter().cloned());
    }
    fs::write(path, lines.join("\n") + "\n").map_err(|e| format!("write {}: {e}", path.display()))?;
    println!("{}: {} transcripts written anew", path.display(), seen.blessed.len());
    Ok(())
}

#[cfg(test)]
fn of(page: &str) -> Seen {
    let who = *Who::all().iter().find(|who| **who != Who::Me).unwrap_or(&Who::Me);
    typed("x.md", page, who, false).unwrap()
}

#[test]
fn what_comes_out_otherwise_is_a_failure_that_shows_both_sides() {
    let seen = of("```console\n$ cd target; echo a b\na c\n$ echo [ab]*; echo err >&2\nbin\nerr\n```\n");
    assert_eq!((seen.commands, seen.wrong.len()), (2, 1));
    assert_eq!(seen.wrong[0], "x.md:2: cd target; echo a b\n- a c\n+ a b\n");
    assert_eq!(seen.blessed, [(2..3, vec!["a b".to_owned()])]);
    assert!(seen.end("x.md").unwrap_err().contains("+ a b"));
}

#[test]
fn prompts_tell_the_users_apart_and_a_terminal_is_one() {
    let page = "```console\n$ touch mine; id -u >uid\n# [ \"$(id -u)\" = \"$(cat uid)\" ] || echo other\nother\n\
        $ tty\nnot a tty\n```\n```console,tty\n$ PS1='[x] # ' exec sh\n[x] # test -t 0 && echo yes\nyes\n[x] # exit\n```\n";
    let seen = of(page);
    assert_eq!(seen.wrong, [""; 0]);
    assert_eq!(seen.commands, if is_root() { 4 } else { 3 });
}

#[test]
fn wildcards_may_not_match_most_of_a_page() {
    let seen = of("```console\n$ seq 1000\n...\n```\n");
    assert_eq!(seen.wrong, [""; 0]);
    assert!(seen.end("x.md").unwrap_err().starts_with("100 % of the transcripts"));
}
