//! `doctor --why "run -m 64m"`: whether one command works here, and why not.

use super::condition::{Found, Need};
use super::{Diagnosis, report};

/// Flags of Docker's by what they need, as the first letters of their names.
const FLAGS: [(Need, &str); 4] = [
    (Need::Limits, "-m --memory --cpu -c --pids-limit --blkio --device-read --device-write"),
    (Need::Network, "-p -P --publish --network --net --expose --dns --link"),
    (Need::Volumes, "-v --volume --mount"),
    (Need::Ids, "-u --user --group-add"),
];

/// Looks for what stands in the way of `line`, a command without `minidocker`: the text, and whether
/// nothing does.
#[must_use]
pub fn why(diagnosis: &Diagnosis, line: &str) -> (String, bool) {
    let needs = needs(line);
    // A condition that stops every container stops this one too, whatever else it asks for.
    let touches = |found: &&Found| {
        found.condition.needs.iter().any(|need| match need {
            Need::User => needs.contains(&Need::Run) && !diagnosis.facts.asker.rootful,
            other => needs.contains(other),
        })
    };
    let found: Vec<&Found> = diagnosis.found.iter().filter(touches).collect();
    let mut text = match found.len() {
        0 => format!("{line}: nothing on this machine stands in its way\n"),
        _ => format!("{line}: does not work here\n"),
    };
    for one in &found {
        text.push('\n');
        report::one(&mut text, one, false);
    }
    (text, found.is_empty())
}

/// What a command needs: its flags end at the first word behind them, the image.
fn needs(line: &str) -> Vec<Need> {
    let mut words =
        line.split_whitespace().skip_while(|word| ["minidocker", "docker", "container"].contains(word));
    let mut needs = match words.next().unwrap_or_default() {
        "pull" | "push" | "login" | "search" => vec![Need::Pull],
        "run" | "create" | "start" | "restart" | "exec" | "build" => vec![Need::Run],
        "strace" => vec![Need::Trace],
        _ => Vec::new(),
    };
    let flags: Vec<&str> = words.collect();
    for (at, flag) in flags.iter().enumerate().filter(|(_, word)| word.starts_with('-')) {
        let value = flag.split_once('=').map(|(_, value)| value).or(flags.get(at + 1).copied());
        let begins =
            |name: &str| flag.starts_with(name) && (name.starts_with("--") || !flag.starts_with("--"));
        let need = FLAGS.iter().find(|(_, names)| names.split(' ').any(begins));
        match need {
            // These two the engine has, and they need nothing.
            Some((Need::Network, _)) if matches!(value, Some("none" | "host")) => {}
            Some((need, _)) if !needs.contains(need) => needs.push(*need),
            _ => {}
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_tell_what_a_command_needs() {
        for (line, want) in [
            ("run -m 64m hostbox true", vec![Need::Run, Need::Limits]),
            ("minidocker run --memory=64m --cpus 2 hostbox", vec![Need::Run, Need::Limits]),
            ("run -p80:80 -v /a:/b hostbox", vec![Need::Run, Need::Network, Need::Volumes]),
            ("run --network none hostbox", vec![Need::Run]),
            ("run --network=host hostbox", vec![Need::Run]),
            ("docker container run -u 5 hostbox", vec![Need::Run, Need::Ids]),
            ("run -it --rm --privileged hostbox", vec![Need::Run]),
            ("pull alpine", vec![Need::Pull]),
            ("ps -a", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(needs(line), want, "{line}");
        }
    }
}
