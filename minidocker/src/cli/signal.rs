//! Names of signals, as `kill -s` takes them (`github.com/moby/sys/signal`).

use nix::sys::signal::Signal;

use super::Refused;

/// What `kill` sends without `-s`.
pub const KILL: i32 = Signal::SIGKILL as i32;

/// The first real-time signal that a program may use: the C library keeps 32 and 33 (signal(7)).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// `9`, `KILL`, `sigkill`, `RTMIN+3` as a number.
///
/// # Errors
/// Docker's words for a signal that there isn't.
pub fn number(text: &str) -> Result<i32, Refused> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let found = match name.parse::<i32>() {
        Ok(number) => Some(number),
        Err(_) => real_time(name).or_else(|| named(name)),
    };
    let valid = found.filter(|number| (1..=RTMAX).contains(number));
    valid.ok_or_else(|| Refused::new(1, format!("invalid signal: {text}")))
}

fn named(name: &str) -> Option<i32> {
    let name = match name {
        "CLD" => "CHLD",
        "IOT" => "ABRT",
        "POLL" => "IO",
        other => other,
    };
    format!("SIG{name}").parse::<Signal>().ok().map(|signal| signal as i32)
}

fn real_time(name: &str) -> Option<i32> {
    if let Some(offset) = name.strip_prefix("RTMIN") {
        return offset_of(offset, '+').map(|n| RTMIN + n);
    }
    offset_of(name.strip_prefix("RTMAX")?, '-').map(|n| RTMAX - n)
}

fn offset_of(text: &str, sign: char) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    let offset = text.strip_prefix(sign)?.parse().ok();
    offset.filter(|n| (0..=RTMAX - RTMIN).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_numbers_and_offsets() {
        for (text, wanted) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGTERM", 15),
            ("sigusr1", 10),
            ("hup", 1),
            ("IOT", 6),
            ("CLD", 17),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("64", 64),
        ] {
            assert_eq!(number(text).unwrap(), wanted, "{text}");
        }
        for bad in ["", "0", "-1", "65", "FOO", "SIG", "RTMIN+31", "RTMIN-1", "RTMAX+1", "9x"] {
            assert_eq!(number(bad).unwrap_err().to_string(), format!("invalid signal: {bad}"));
        }
    }
}
