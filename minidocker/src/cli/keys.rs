//! `--detach-keys`, in Docker's words (`github.com/moby/term`, `ascii.go`).

/// The keys that leave a container alone, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys(Vec<u8>);

impl Keys {
    /// The bytes that a terminal sends for them.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.clone()
    }
}

impl Default for Keys {
    /// Ctrl-P, Ctrl-Q.
    fn default() -> Self {
        Self(vec![0x10, 0x11])
    }
}

/// `ctrl-p,ctrl-q`, `ctrl-@`, `a`, `DEL`; empty: the default.
///
/// # Errors
/// In words: a key that there isn't.
pub(super) fn parse(text: &str) -> Result<Keys, String> {
    if text.is_empty() {
        return Ok(Keys::default());
    }
    let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
    keys.map(Keys).ok_or_else(|| format!("Invalid detach keys ({text}) provided"))
}

/// ascii(7): the control key takes the bits above the lowest five away.
fn key(name: &str) -> Option<u8> {
    match (name.as_bytes(), name.strip_prefix("ctrl-").map(str::as_bytes)) {
        ([byte], _) => Some(*byte),
        (_, Some([letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')])) => Some(letter & 0x1f),
        (b"DEL", _) => Some(0x7f),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_dockers() {
        for (text, bytes) in [
            ("", &[16, 17][..]),
            ("ctrl-p,ctrl-q", &[16, 17]),
            ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", &[0, 27, 28, 29, 30, 31]),
            ("a,B,1,DEL,ctrl-z", b"aB1\x7f\x1a"),
        ] {
            assert_eq!(parse(text).unwrap().bytes(), bytes, "{text}");
        }
        for bad in [",", "foo", "ctrl-a,shift-b", "ctrl-A", "ctrl-", "ctrl-1", "é", "a,"] {
            assert_eq!(parse(bad).unwrap_err(), format!("Invalid detach keys ({bad}) provided"), "{bad}");
        }
    }
}
