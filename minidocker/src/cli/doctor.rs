//! `minidocker doctor`.

use std::ffi::OsString;
use std::io::IsTerminal;

use super::parse::parse;
use super::verb::{Arity, Verb};
use super::{Create, Refused, Run, known};
use crate::teach::doctor::{self, Diagnosis};

/// `doctor [--json] [--class] [--why COMMAND] [--apparmor-profile]`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Doctor {
    /// Print an AppArmor profile for this program
    #[arg(long)]
    pub apparmor_profile: bool,
    /// Print one line to send to an instructor
    #[arg(long)]
    pub class: bool,
    /// Print everything that was seen and tried
    #[arg(long)]
    pub json: bool,
    /// Say whether one command works here ("run -m 64m")
    #[arg(long, value_name = "command")]
    pub why: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Doctor {
    const ABOUT: &'static str = "Try what this machine can do; say why not, and what to do";
    const USAGE: &'static str = "[OPTIONS]";
    const NOT_YET: &'static str = "";
    const ARITY: Arity = Arity::None;

    fn words(&self) -> usize {
        self.words.len()
    }

    fn act(self, _: &str) -> anyhow::Result<u8> {
        if [self.apparmor_profile, self.class, self.json, self.why.is_some()].iter().filter(|on| **on).count()
            > 1
        {
            return Err(
                Refused::new(125, "doctor takes one of --apparmor-profile, --class, --json, --why").into()
            );
        }
        if self.apparmor_profile {
            let ours = std::env::current_exe();
            let ours = ours.map_err(|e| sys::SysError::of("readlink", "\"/proc/self/exe\"".into(), e))?;
            return super::show(&doctor::apparmor_profile(&ours));
        }
        let diagnosis = Diagnosis::here();
        if let Some(line) = &self.why {
            return self.answer(&diagnosis, line);
        }
        super::print(&match (self.class, self.json) {
            (true, _) => doctor::class(&diagnosis),
            (_, true) => doctor::json(&diagnosis),
            _ => doctor::text(&diagnosis, may_be_bold()),
        })?;
        Ok(u8::from(diagnosis.is_stopped()))
    }
}

impl Doctor {
    fn answer(&self, diagnosis: &Diagnosis, line: &str) -> anyhow::Result<u8> {
        let (text, works) = doctor::why(diagnosis, line);
        let missing = not_built(line).map(|refused| format!("{refused}\n")).unwrap_or_default();
        super::print(&format!("{missing}{text}"))?;
        Ok(u8::from(!works || !missing.is_empty()))
    }
}

/// What of a command no machine could do yet.
fn not_built(line: &str) -> Option<Refused> {
    let mut words = line.split_whitespace().skip_while(|word| ["minidocker", "docker"].contains(word));
    let (command, rest) = (words.next()?, words.map(OsString::from).collect());
    let refused = match command {
        "run" => parse::<Run>(command, rest).err()?,
        "create" => parse::<Create>(command, rest).err()?,
        "ps" | "start" | "inspect" | "kill" | "rm" | "version" => return None,
        _ if known::command(command) => Refused::not_yet(command),
        _ => return None,
    };
    Some(refused).filter(|refused| refused.to_string().ends_with("not in minidocker yet"))
}

/// On a terminal, unless <https://no-color.org> says otherwise.
fn may_be_bold() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    std::io::stdout().is_terminal()
        && set("NO_COLOR").is_none()
        && set("TERM").is_some_and(|term| term != "dumb")
}
