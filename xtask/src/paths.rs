//! The paths that a source names: `use` trees spelled out, and `a::b::c` in code.

use crate::lex::{Kind, Token};
use crate::source::Code;

/// One path, from its root, and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath<'a> {
    pub(crate) segments: Vec<&'a str>,
    pub(crate) line: usize,
    /// Inline modules around it, which `super` counts too.
    pub(crate) inline_depth: usize,
}

/// All paths of `code`. `use crate::{a, b::c}` gives `crate::a` and `crate::b::c`.
pub(crate) fn named<'a>(code: &Code<'a>) -> Vec<NamedPath<'a>> {
    let depths = code.module_depths();
    let tokens = &code.tokens;
    let mut all = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let first = all.len();
        let start = at;
        if tokens[at].is("use") && !follows_path(tokens, at) {
            let mut tree = Tree { tokens, at: at + 1, all: &mut all };
            tree.read(&[]);
            at = tree.at.max(at + 1);
        } else if tokens[at].kind == Kind::Ident && joined(tokens, at + 1) && !follows_path(tokens, at) {
            let mut segments = vec![tokens[at].text];
            while joined(tokens, at + 1) && tokens.get(at + 3).is_some_and(|t| t.kind == Kind::Ident) {
                segments.push(tokens[at + 3].text);
                at += 3;
            }
            all.push(NamedPath { segments, line: tokens[start].line, inline_depth: 0 });
            at += 1;
        } else {
            at += 1;
        }
        all[first..].iter_mut().for_each(|path| path.inline_depth = depths[start]);
    }
    all
}

/// Whether `::` stands at `at`.
fn joined(tokens: &[Token<'_>], at: usize) -> bool {
    let colon = |i: usize| tokens.get(i).is_some_and(|t| t.punct(':'));
    colon(at) && colon(at + 1)
}

/// Whether the token at `at` continues a path (`a::HERE`) and so is no root. `::HERE` is one.
fn follows_path(tokens: &[Token<'_>], at: usize) -> bool {
    at >= 3 && joined(tokens, at - 2) && (tokens[at - 3].kind == Kind::Ident || tokens[at - 3].punct('>'))
}

/// Reads one use tree (The Rust Reference, "Use declarations").
struct Tree<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    all: &'t mut Vec<NamedPath<'a>>,
}

impl<'a> Tree<'_, 'a> {
    fn read(&mut self, prefix: &[&'a str]) {
        let mut segments = prefix.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |t| t.line);
        loop {
            if joined(self.tokens, self.at) {
                self.at += 2;
            }
            let Some(token) = self.tokens.get(self.at) else { break };
            if token.punct('{') {
                self.at += 1;
                return self.group(&segments);
            }
            if token.kind == Kind::Ident || token.punct('*') {
                segments.push(token.text);
                self.at += 1;
            }
            if !joined(self.tokens, self.at) {
                break;
            }
        }
        if self.tokens.get(self.at).is_some_and(|t| t.is("as")) {
            self.at += 2;
        }
        self.all.push(NamedPath { segments, line, inline_depth: 0 });
    }

    fn group(&mut self, prefix: &[&'a str]) {
        while let Some(token) = self.tokens.get(self.at) {
            if token.punct('}') {
                self.at += 1;
                return;
            }
            if token.punct(',') {
                self.at += 1;
                continue;
            }
            let before = self.at;
            self.read(prefix);
            // Not a use tree after all: don't stand still.
            self.at = self.at.max(before + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::named;
    use crate::source::Code;

    fn paths(text: &str) -> Vec<String> {
        named(&Code::of(text, false)).iter().map(|p| p.segments.join("::")).collect()
    }

    #[test]
    fn a_use_tree_is_spelled_out() {
        let text = "use crate::{a, b::{c, d as e, self}, f::*,};\npub(crate) use ::g::h;use i;";
        let expected =
            ["crate::a", "crate::b::c", "crate::b::d", "crate::b::self", "crate::f::*", "g::h", "i"];
        assert_eq!(paths(text), expected);
    }

    #[test]
    fn paths_in_code_count_from_their_root() {
        let text =
            "fn f() -> io::Result<()> { crate::store::open(super::x::Y::new(), ::nix::z) } // not::this";
        assert_eq!(paths(text), ["io::Result", "crate::store::open", "super::x::Y::new", "nix::z"]);
        assert_eq!(paths("a.b::<c::D>(\"e::f\")"), ["b", "c::D"]);
    }

    #[test]
    fn inline_modules_are_counted() {
        let code = Code::of("mod a { mod b { use super::c; } fn f() { super::d() } }", false);
        let depths: Vec<_> = named(&code).iter().map(|p| (p.segments.join("::"), p.inline_depth)).collect();
        assert_eq!(depths, [("super::c".to_owned(), 2), ("super::d".to_owned(), 1)]);
    }
}
