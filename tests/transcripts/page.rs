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
    let blocks = console::blocks(&text)?;
    let who = if is_root() && !all_as_root { Who::Plain } else { Who::Me };
    if !Who::all().contains(&who) {
        kit::skip("no-plain-user", &"root can't play a plain user here");
        return Ok(());
    }
    let program = env!("CARGO_BIN_EXE_minidocker");
    let plain = Minidocker::new(program, who);
    let dir = plain.dir("book");
    let kept = programs::kept();
    let bin = programs::provide(&kept, &dir);
    let root = is_root().then(|| Minidocker::new(program, Who::Me));
    let seen = {
        let mut shells =
            (Shell::start(&plain, &dir, &bin), root.as_ref().map(|root| Shell::start(root, &dir, &bin)));
        let mut seen = Seen::default();
        for block in blocks.iter().filter(|block| !(block.plain && all_as_root)) {
            for step in &block.steps {
                let shell = if step.as_root { shells.1.as_mut() } else { Some(&mut shells.0) };
                shell.into_iter().for_each(|shell| seen.step(name, block, step, shell));
            }
        }
        seen
    };
    let may_bless = std::env::var_os("MINIDOCKER_BLESS").is_some() && !all_as_root;
    if may_bless && !seen.blessed.is_empty() {
        return bless(&path, &text, &seen);
    }
    seen.end(name)
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
