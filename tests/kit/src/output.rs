//! What a finished command left: exit code, stdout, stderr.

use std::fmt::Write;

/// The end of a command. The checks return the output again, so that they can be chained.
#[derive(Clone)]
pub struct Output {
    /// The exit code; 128 + n when signal n killed it.
    pub code: i32,
    /// Its standard output (with a terminal: all that appeared there).
    pub stdout: Vec<u8>,
    /// Its standard error (with a terminal: empty).
    pub stderr: Vec<u8>,
    /// The command line, for messages.
    pub shown: String,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: exit code {}, stdout {:?}, stderr {:?}", self.shown, self.code, self.out(), self.err())
    }
}

impl Output {
    /// Fails the test with `why` and all that the command said.
    #[track_caller]
    pub fn fail(&self, why: &str) -> ! {
        let mut text = format!("{why}\n  command: {}\n  exit code: {}\n", self.shown, self.code);
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            const MOST: usize = 4000;
            let cut = &bytes[..bytes.len().min(MOST)];
            let words = String::from_utf8_lossy(cut);
            let _ = writeln!(text, "  {name} ({} bytes):", bytes.len());
            words.lines().for_each(|l| text.push_str(&format!("    {l}\n")));
        }
        panic!("{text}");
    }

    #[track_caller]
    fn expect(self, holds: bool, why: impl FnOnce() -> String) -> Self {
        if !holds {
            self.fail(&why());
        }
        self
    }

    /// It ended with 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// It ended with `code`.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        let holds = self.code == code;
        self.expect(holds, || format!("expected exit code {code}"))
    }

    /// Standard output as text, without blanks at its end.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// Standard error as text, without blanks at its end.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim_end().to_owned()
    }

    /// The lines of standard output.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.out().lines().map(str::to_owned).collect()
    }

    /// Standard output is `text`, but for blanks at its end.
    #[track_caller]
    pub fn stdout_is(self, text: &str) -> Self {
        let holds = self.out() == text;
        self.expect(holds, || format!("expected on stdout: {text:?}"))
    }

    /// Standard output holds `text`.
    #[track_caller]
    pub fn stdout_has(self, text: &str) -> Self {
        let holds = self.out().contains(text);
        self.expect(holds, || format!("expected in stdout: {text:?}"))
    }

    /// Standard error holds `text`.
    #[track_caller]
    pub fn stderr_has(self, text: &str) -> Self {
        let holds = self.err().contains(text);
        self.expect(holds, || format!("expected in stderr: {text:?}"))
    }

    /// Nothing came on standard error.
    #[track_caller]
    pub fn quiet(self) -> Self {
        let holds = self.stderr.is_empty();
        self.expect(holds, || "expected an empty stderr".to_owned())
    }

    /// It failed by our own doing: `code`, nothing on stdout, and one message on stderr, which
    /// begins with `minidocker: ` and holds `text` in its first line.
    #[track_caller]
    pub fn complains(self, code: i32, text: &str) -> Self {
        let this = self.code(code);
        if crate::Minidocker::is_docker() {
            // Its words are the same, but not what stands before and behind them.
            return this.stderr_has(text);
        }
        let err = this.err();
        let first = err.lines().next().unwrap_or_default();
        let messages = err.lines().filter(|l| l.starts_with("minidocker: ")).count();
        this.expect_message(first, text).expect(messages == 1, || format!("{messages} messages, not one"))
    }

    #[track_caller]
    fn expect_message(self, first: &str, text: &str) -> Self {
        let (ours, has) = (first.starts_with("minidocker: "), first.contains(text));
        let (empty, calm) = (self.stdout.is_empty(), !self.err().contains("panicked at"));
        let named = !self.err().contains("(os error");
        self.expect(ours, || "the first line of stderr doesn't begin with \"minidocker: \"".to_owned())
            .expect(has, || format!("expected in the first line of stderr: {text:?}"))
            .expect(empty, || "expected an empty stdout beside the message".to_owned())
            .expect(calm, || "it panicked".to_owned())
            .expect(named, || "an errno is told by its number, not by its name".to_owned())
    }
}
