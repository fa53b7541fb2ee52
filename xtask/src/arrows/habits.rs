//! Habits of the house that a machine can see: `unsafe` in one place, no test without a check,
//! nothing left to do, each file opened by a word about itself.

use std::collections::HashSet;
use std::path::Path;

use super::Finding;
use crate::lex::{Kind, Token};
use crate::source::{Code, File, Function};
use crate::workspace::Workspace;

const SYS: &str = "chapters/00-syscalls";
const TESTS: &str = "tests";
/// What the kit asks of a command that has ended: `.ok()`, `.code(3)`, `.stdout_is("x")`.
const OUTPUT: &str = "tests/kit/src/output.rs";
/// And of the host afterwards.
const NOTHING_LEFT: &str = "nothing_left";

pub(super) fn check(workspace: &Workspace, files: &[File]) -> Vec<Finding> {
    let rust = || files.iter().filter(|f| f.is_rust());
    let libraries = workspace.packages.iter().filter(|p| p.library.is_some() && p.folder != Path::new(SYS));
    let mut findings = Vec::new();
    for root in libraries.map(|p| p.folder.join("src/lib.rs")) {
        let forbids = rust().any(|f| f.path == root && f.text.contains("#![forbid(unsafe_code)]"));
        if !forbids {
            findings.push(Finding::new(&root, 0, "a library opens with #![forbid(unsafe_code)]"));
        }
    }
    let kit: Vec<_> = rust().filter(|f| f.path == Path::new(OUTPUT)).map(File::code).collect();
    let kit = kit.first().map(Code::functions).unwrap_or_default();
    let kit = checking(&kit, [NOTHING_LEFT].into());
    let none = HashSet::new();
    for file in rust() {
        let code = file.code();
        findings.extend(tokens(file, &code));
        let known = if file.path.starts_with(TESTS) { &kit } else { &none };
        findings.extend(tests(file, &code, known));
        // A module of tests is opened by the file that declares it.
        if !file.is_test && !file.text.starts_with("//!") {
            findings.push(Finding::new(&file.path, 1, "a file opens with //! and what it is for"));
        }
    }
    findings
}

fn tokens(file: &File, code: &Code<'_>) -> Vec<Finding> {
    let in_sys = file.path.starts_with(SYS);
    let mut findings = Vec::new();
    for (at, token) in code.tokens.iter().enumerate() {
        let next = |i: usize, c: char| code.tokens.get(at + i).is_some_and(|t| t.punct(c));
        let before = |i: usize, c: char| at >= i && code.tokens[at - i].punct(c);
        let what = match token.text {
            "unsafe" if token.kind == Kind::Ident && !in_sys => "unsafe outside of sys",
            "todo" | "unimplemented" if next(1, '!') && token.kind == Kind::Ident => "nothing is left to do",
            "ignore" if before(1, '[') && before(2, '#') => {
                "a test that can't run says why with kit::require!"
            }
            _ => continue,
        };
        findings.push(Finding::new(&file.path, token.line, what));
    }
    let fences = file.text.lines().enumerate().filter(|(_, line)| is_ignored_doc_test(line));
    findings.extend(
        fences.map(|(i, _)| Finding::new(&file.path, i + 1, "an ignored doc test is never compiled")),
    );
    findings
}

fn is_ignored_doc_test(line: &str) -> bool {
    let comment = line.trim_start().strip_prefix("//!").or_else(|| line.trim_start().strip_prefix("///"));
    let fence = comment.and_then(|text| text.trim_start().strip_prefix("```"));
    fence.is_some_and(|words| words.split(',').any(|word| word.trim() == "ignore"))
}

/// Tests in which nothing can fail on purpose. `known` are functions of other files that check.
fn tests(file: &File, code: &Code<'_>, known: &HashSet<&str>) -> Vec<Finding> {
    let functions = code.functions();
    let checking = checking(&functions, known.clone());
    let blind = functions.iter().filter(|f| f.is_test && !f.should_panic && !is_check(f, &checking));
    blind.map(|f| Finding::new(&file.path, f.line, format!("test {} asserts nothing", f.name))).collect()
}

/// `known` and the functions that check something, by themselves or through another of them.
fn checking<'a>(functions: &[Function<'a>], mut known: HashSet<&'a str>) -> HashSet<&'a str> {
    loop {
        let more: Vec<_> =
            functions.iter().filter(|f| !known.contains(f.name) && is_check(f, &known)).collect();
        if more.is_empty() {
            return known;
        }
        known.extend(more.iter().map(|f| f.name));
    }
}

fn is_check(function: &Function<'_>, checking: &HashSet<&str>) -> bool {
    let words = ["assert", "prop_assert", "debug_assert", "expect", "unwrap", "panic"];
    let checks = |t: &Token<'_>| words.iter().any(|w| t.text.starts_with(w)) || checking.contains(t.text);
    function.body.iter().any(|t| t.punct('?') || (t.kind == Kind::Ident && checks(t)))
}

#[cfg(test)]
mod tests {
    use crate::source::File;

    fn findings(text: &str) -> Vec<(usize, String)> {
        let file = File { path: "minidocker/src/a.rs".into(), text: text.into(), is_test: false };
        let code = file.code();
        let both =
            super::tokens(&file, &code).into_iter().chain(super::tests(&file, &code, &["complains"].into()));
        both.map(|f| (f.line, f.what)).collect()
    }

    #[test]
    fn a_test_without_a_check_is_found_and_helpers_count() {
        let text = "#[test]\nfn kit() { run().complains(1) }\n#[test]\nfn blind() { let _ = run(); }\n#[test]\nfn sees() { look(); }\n\
            fn look() { deeper() }\nfn deeper() { assert!(x) }\n#[test]\n#[should_panic]\nfn p() { f() }\n";
        assert_eq!(findings(text), [(4, "test blind asserts nothing".to_owned())]);
    }

    #[test]
    fn words_in_strings_and_comments_are_no_code() {
        let text = "// unsafe\nconst A: &str = \"unsafe todo!()\"; #![forbid(unsafe_code)] fn todo() {}";
        assert_eq!(findings(text), []);
    }

    #[test]
    fn what_is_left_to_do_is_found() {
        let text =
            "fn f() { unsafe { g() } }\nfn h() { todo!() }\n#[ignore = \"slow\"]\n/// ```rust,ignore\n";
        let lines: Vec<_> = findings(text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
    }
}
