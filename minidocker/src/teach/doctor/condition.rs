//! What a condition is: a state of the machine that stops something, and the command that ends it.

use super::Facts;

/// What a condition may stand in the way of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Every container.
    Run,
    /// Every container of a plain user; of root's only the demos, which use user namespaces too.
    User,
    /// More than one user id.
    Ids,
    /// Limits by cgroups.
    Limits,
    /// A network besides `host` and `none`.
    Network,
    /// Volumes.
    Volumes,
    /// strace(1) as the book uses it.
    Trace,
    /// Registries, and cargo.
    Pull,
}

impl Need {
    /// The commands and the chapters, as `stops:` shows them.
    fn stopped(self, facts: &Facts) -> &'static str {
        match self {
            Self::User if facts.asker.rootful => "the demos of chapters 0, 1 and 2",
            Self::Run | Self::User => "run, start; chapters 0 to 7",
            Self::Ids => "run -u, files of other users in images; chapters 2, 4 and 6",
            Self::Limits => "run -m, --cpus, --pids-limit; chapter 3",
            Self::Network => "run -p, --network; chapter 5",
            Self::Volumes => "run -v; chapter 4",
            Self::Trace => "strace; chapters 0, 1 and 2",
            Self::Pull => "pull, push, cargo; chapter 6",
        }
    }
}

/// How much it takes away, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// No container runs.
    Stops,
    /// Some flags or chapters don't work.
    Limits,
}

impl Level {
    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        if self == Self::Stops { "stops" } else { "limits" }
    }
}

/// A row of the table; its words stand in conditions.txt.
#[derive(Debug)]
pub struct Condition {
    /// Its name for tests, scripts and instructors.
    pub id: &'static str,
    /// What it stands in the way of.
    pub needs: &'static [Need],
    /// The failed calls that it explains: `mount:EPERM` and so on.
    pub calls: &'static str,
    /// By what it was recognised, if it holds.
    pub holds: fn(&Facts) -> Option<String>,
}

/// A condition that holds on a machine.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which.
    pub condition: &'static Condition,
    /// How much it takes away from this user.
    pub level: Level,
    /// What is the case, in a few words.
    pub title: &'static str,
    /// Why that matters.
    pub why: &'static str,
    /// By what it was recognised.
    pub seen: String,
    /// The commands and chapters that it stops.
    pub stops: String,
    /// What ends it, and the line that undoes that; a second pair where there is another way.
    pub remedies: Vec<[String; 2]>,
}

impl Condition {
    /// What is found of it on the machine of `facts`.
    pub(super) fn judge(&'static self, facts: &Facts) -> Option<Found> {
        let seen = (self.holds)(facts)?;
        let all = |need: &Need| *need == Need::Run || *need == Need::User && !facts.asker.rootful;
        let level = if self.needs.iter().any(all) { Level::Stops } else { Level::Limits };
        let stops = self.needs.iter().map(|need| need.stopped(facts)).collect::<Vec<_>>().join("; ");
        let mut found =
            Found { condition: self, level, title: "", why: "", seen, stops, remedies: Vec::new() };
        let mut remedy = "";
        for (key, words) in words(self.id).lines().filter_map(|line| line.split_once(": ")) {
            match key {
                "what" => found.title = words,
                "why" => found.why = words,
                "undo" => found.remedies.push([remedy, words].map(|line| fill(line, facts))),
                _ => remedy = words,
            }
        }
        Some(found)
    }

    /// Whether a failed call, as strace shows it, is of the kind that this explains.
    pub(super) fn explains(&self, call: &str) -> bool {
        let Some((name, rest)) = call.split_once('(') else { return false };
        let errno = rest.rsplit(" : ").next().and_then(|end| end.split(' ').next()).unwrap_or_default();
        self.calls.split(' ').any(|pair| pair.split_once(':') == Some((name, errno)))
    }

    /// Whether it stands in nobody's way here but the demos'.
    pub(super) fn is_of_lessons(&self, facts: &Facts) -> bool {
        facts.asker.rootful && self.needs.contains(&Need::User)
    }
}

/// The lines below `[id]` in conditions.txt.
pub(super) fn words(id: &str) -> &'static str {
    let mut sections = include_str!("conditions.txt").split("\n[");
    sections.find_map(|section| section.strip_prefix(id)?.strip_prefix("]\n")).unwrap_or_default()
}

fn fill(line: &str, facts: &Facts) -> String {
    let limit =
        facts.files.iter().find(|(path, text)| path.contains("/user/max_") && **text == Ok("0".to_owned()));
    let limit = limit.map(|(path, _)| path.replace("/proc/sys/", "").replace('/', "."));
    let no_tun = facts.refused("/dev/net/tun").is_none_or(|r| r.errno == "ENOENT");
    let (pids, most) = facts.groups.pids.clone().unwrap_or_default();
    let values = [
        ("{user}", facts.asker.name.clone()),
        ("{store}", facts.store.path.clone()),
        ("{program}", facts.program.clone()),
        ("{sysctl}", limit.unwrap_or_else(|| "user.max_user_namespaces".to_owned())),
        ("{ids}", format!("{}-{}", facts.free_ids, facts.free_ids.saturating_add(65_535))),
        ("{pids}", pids),
        ("{most}", most.to_string()),
        ("{covered}", facts.proc_covered.join(" ")),
        ("{load_tun}", if no_tun { "sudo modprobe tun && " } else { "" }.to_owned()),
        ("{helper}", facts.asker.helper.clone().unwrap_or_default().1),
    ];
    let filled = values.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name, value));
    // Root needs no sudo, and may have none.
    if facts.asker.uid == 0 { filled.replace("sudo ", "") } else { filled }
}
