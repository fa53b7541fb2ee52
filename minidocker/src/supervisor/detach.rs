//! The keys that leave a container alone, looked for in what its user types.

/// Looks for a sequence of keys, and holds back what may be its beginning.
pub(super) struct DetachKeys {
    keys: Vec<u8>,
    held: Vec<u8>,
}

impl DetachKeys {
    pub(super) fn new(keys: Vec<u8>) -> Self {
        Self { keys, held: Vec::new() }
    }

    /// What of `typed` is the container's, and whether the sequence is complete. What comes behind it
    /// is nobody's.
    pub(super) fn take(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::new();
        for byte in typed {
            self.held.push(*byte);
            // Of what was held, the longest end that the sequence may begin with stays.
            while !self.keys.starts_with(&self.held) {
                passed.push(self.held.remove(0));
            }
            if !self.keys.is_empty() && self.held.len() == self.keys.len() {
                return (passed, true);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_keys_are_passed_on_when_the_others_do_not_follow() {
        // The sequence, what is typed in pieces, what is passed on, whether we leave.
        let table: [(&str, &[&str], &str, bool); 8] = [
            ("pq", &["apq"], "a", true),
            ("pq", &["ap", "qz"], "a", true),
            ("pq", &["p"], "", false),
            ("pq", &["p", "x"], "px", false),
            ("pq", &["pp", "q"], "p", true),
            ("aab", &["aaab"], "a", true),
            ("x", &["yx"], "y", true),
            ("", &["abc"], "abc", false),
        ];
        for (keys, typed, wanted, left) in table {
            let mut detach = DetachKeys::new(keys.as_bytes().to_vec());
            let mut passed = Vec::new();
            let found = typed.iter().any(|piece| {
                let (bytes, found) = detach.take(piece.as_bytes());
                passed.extend(bytes);
                found
            });
            assert_eq!(
                (String::from_utf8(passed).unwrap().as_str(), found),
                (wanted, left),
                "{keys} {typed:?}"
            );
        }
    }
}
