//! One source file: its lines, its functions, and which of it are tests.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::lex::{self, Kind, Token};

/// A file of the work tree.
pub(crate) struct File {
    /// Relative to the root of the workspace.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// Whether the whole file is compiled for tests only.
    pub(crate) is_test: bool,
}

/// A function with a body.
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) line: usize,
    /// All lines from `fn` to the closing brace.
    pub(crate) length: usize,
    /// `#[test]`, and whether it is expected to panic.
    pub(crate) is_test: bool,
    pub(crate) should_panic: bool,
    pub(crate) body: &'a [Token<'a>],
}

/// The tokens of a file, each with "compiled for tests only".
pub(crate) struct Code<'a> {
    pub(crate) tokens: Vec<Token<'a>>,
    test: Vec<bool>,
    /// Modules declared as `#[cfg(test)] mod name;`, some with a `#[path]` between.
    test_modules: Vec<Declared<'a>>,
}

/// A module that lives in another file.
struct Declared<'a> {
    name: &'a str,
    /// As its `#[path]` says, relative to the folder of the file that declares it.
    path: Option<&'a str>,
}

impl File {
    pub(crate) fn code(&self) -> Code<'_> {
        Code::of(&self.text, self.is_test)
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|e| e == "rs")
    }
}

impl<'a> Code<'a> {
    /// Reads `text`; `all_test` marks the whole of it as tests.
    pub(crate) fn of(text: &'a str, all_test: bool) -> Self {
        let tokens = lex::tokens(text);
        let mut test = vec![all_test; tokens.len()];
        let mut test_modules = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let Some(attribute) = attribute(&tokens, at) else {
                at += 1;
                continue;
            };
            let end = if attribute.inner { tokens.len() } else { item_end(&tokens, attribute.end) };
            if attribute.is_cfg_test(&tokens) {
                test[at..end].fill(true);
                test_modules.extend(declared_module(&tokens[attribute.end..end]));
            }
            at = attribute.end;
        }
        Code { tokens, test, test_modules }
    }

    /// The number of lines that are neither blank nor comment nor test.
    pub(crate) fn budget_lines(&self, text: &str) -> usize {
        let mut lines = BTreeSet::new();
        for (token, _) in self.tokens.iter().zip(&self.test).filter(|(_, test)| !**test) {
            lines.extend(token.line..=token.end_line);
        }
        // A string may hold blank lines.
        text.lines()
            .enumerate()
            .filter(|(i, line)| lines.contains(&(i + 1)) && !line.trim().is_empty())
            .count()
    }

    /// All functions that have a body, nested ones too.
    pub(crate) fn functions(&self) -> Vec<Function<'_>> {
        let tokens = &self.tokens;
        let (mut all, mut marks) = (Vec::new(), Vec::new());
        for (at, token) in tokens.iter().enumerate() {
            if attribute(tokens, at).is_some() {
                marks.push(tokens[at + 2].text);
            } else if ["{", "}", ";"].contains(&token.text) {
                marks.clear();
            }
            let Some(name) = tokens.get(at + 1).filter(|t| token.is("fn") && t.kind == Kind::Ident) else {
                continue;
            };
            let end = item_end(tokens, at);
            let Some(open) = tokens[at..end].iter().position(|t| t.punct('{')) else { continue };
            all.push(Function {
                name: name.text,
                line: token.line,
                length: tokens[end - 1].end_line - token.line + 1,
                is_test: marks.contains(&"test"),
                should_panic: marks.contains(&"should_panic"),
                body: &tokens[at + open..end],
            });
            marks.clear();
        }
        all
    }

    /// For each token the number of inline modules (`mod x { … }`) around it.
    pub(crate) fn module_depths(&self) -> Vec<usize> {
        let mut depths = vec![0; self.tokens.len()];
        for at in 0..self.tokens.len().saturating_sub(2) {
            let [keyword, name, open] = &self.tokens[at..at + 3] else { continue };
            if keyword.is("mod") && name.kind == Kind::Ident && open.punct('{') {
                let end = item_end(&self.tokens, at);
                depths[at + 3..end].iter_mut().for_each(|depth| *depth += 1);
            }
        }
        depths
    }
}

struct Attribute {
    start: usize,
    end: usize,
    inner: bool,
}

impl Attribute {
    /// `cfg(test)` or `cfg(all(test, …))`; `cfg(not(test))` is no test.
    fn is_cfg_test(&self, tokens: &[Token<'_>]) -> bool {
        let has = |word| tokens[self.start..self.end].iter().any(|t| t.is(word));
        has("cfg") && has("test") && !has("not")
    }
}

/// The attribute `#[…]` or `#![…]` that begins at `at`.
fn attribute(tokens: &[Token<'_>], at: usize) -> Option<Attribute> {
    let inner = tokens.get(at + 1)?.punct('!');
    let open = at + 1 + usize::from(inner);
    if !tokens[at].punct('#') || !tokens.get(open)?.punct('[') {
        return None;
    }
    Some(Attribute { start: at, end: matching(tokens, open), inner })
}

/// The index after the bracket that closes the one at `open`.
fn matching(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open).filter(|(_, t)| t.kind == Kind::Punct) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// The index after the item that begins at `at`: after its `;` or its closing brace.
fn item_end(tokens: &[Token<'_>], mut at: usize) -> usize {
    while at < tokens.len() {
        let token = &tokens[at];
        if token.punct('{') {
            let end = matching(tokens, at);
            let semicolon = tokens.get(end).is_some_and(|t| t.punct(';'));
            return end + usize::from(semicolon);
        }
        if token.punct(';') {
            return at + 1;
        }
        at = if token.punct('(') || token.punct('[') { matching(tokens, at) } else { at + 1 };
    }
    tokens.len()
}

fn declared_module<'a>(item: &[Token<'a>]) -> Option<Declared<'a>> {
    let at = item.iter().position(|t| t.is("mod"))?;
    let path = item[..at].windows(3).find(|w| w[0].is("path") && w[1].punct('='));
    let path = path.map(|w| w[2].text.trim_matches('"'));
    item.get(at + 2).filter(|t| t.punct(';')).map(|_| Declared { name: item[at + 1].text, path })
}

/// Reads the project's own text files below `root`, sorted by path.
pub(crate) fn read_tree(root: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    walk(root, Path::new(""), &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let test_only: HashSet<PathBuf> =
        files.iter().filter(|f| f.is_rust()).flat_map(test_module_paths).collect();
    for file in &mut files {
        file.is_test = file.path.ancestors().any(|p| test_only.contains(&p.with_extension("")));
    }
    Ok(files)
}

/// Where the modules live that `file` declares for tests only, without `.rs`.
fn test_module_paths(file: &File) -> Vec<PathBuf> {
    let stem = file.path.file_stem().unwrap_or_default();
    let owns_its_folder = ["lib", "main", "mod"].iter().any(|name| stem == *name);
    let beside = file.path.parent().unwrap_or(Path::new(""));
    let below = if owns_its_folder { beside.to_owned() } else { beside.join(stem) };
    let place = |module: &Declared<'_>| match module.path {
        Some(path) => beside.join(path).with_extension(""),
        None => below.join(module.name),
    };
    file.code().test_modules.iter().map(place).collect()
}

fn walk(root: &Path, below: &Path, files: &mut Vec<File>) -> Result<()> {
    let folder = root.join(below);
    for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let path = below.join(&name);
        let hidden = name.as_encoded_bytes().starts_with(b".") && name != ".ci";
        if hidden || path == Path::new("target") || path == Path::new("book/book") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(root, &path, files)?;
        } else if entry.file_type()?.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push(File { path, text, is_test: false });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Code, File, read_tree, test_module_paths};

    const TEXT: &str = "//! doc\n\nuse a::{b,\n    c};\n\nfn f(x: [u8; 2]) -> u8 {\n    // why\n    x[0]\n}\n\
        #[cfg(test)]\nmod tests {\n    #[test]\n    fn t() {\n        assert!(true);\n    }\n}\n";

    #[test]
    fn a_budget_line_is_neither_blank_nor_comment_nor_test() {
        assert_eq!(Code::of(TEXT, false).budget_lines(TEXT), 5);
        assert_eq!(Code::of(TEXT, true).budget_lines(TEXT), 0);
        let gated = "fn a() {}\n#[cfg(not(test))]\nfn b() {}\n";
        assert_eq!(Code::of(gated, false).budget_lines(gated), 3);
    }

    #[test]
    fn functions_have_their_length_and_tests_are_known() {
        let code = Code::of(TEXT, false);
        let seen: Vec<_> = code.functions().iter().map(|f| (f.name, f.length, f.is_test)).collect();
        assert_eq!(seen, [("f", 4, false), ("t", 3, true)]);
    }

    #[test]
    fn a_module_file_that_is_declared_for_tests_is_a_test() {
        let file = |path: &str| File {
            path: path.into(),
            text: "#[cfg(test)]\nmod tests;\nmod real;\n".into(),
            is_test: false,
        };
        assert_eq!(test_module_paths(&file("a/src/lib.rs")), [PathBuf::from("a/src/tests")]);
        assert_eq!(test_module_paths(&file("a/src/elf.rs")), [PathBuf::from("a/src/elf/tests")]);
        let elsewhere = File {
            path: "a/src/elf.rs".into(),
            text: "#[cfg(test)]\n#[path = \"elf_tests.rs\"]\nmod tests;\n".into(),
            is_test: false,
        };
        assert_eq!(test_module_paths(&elsewhere), [PathBuf::from("a/src/elf_tests")]);
    }

    #[test]
    fn a_tree_is_read_without_what_was_built() {
        let root = tempfile::tempdir().unwrap();
        for path in ["src/lib.rs", "src/elf/tests.rs", "src/elf.rs", "target/x.rs", ".git/y.rs"] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "#[cfg(test)] mod tests;").unwrap();
        }
        let files = read_tree(root.path()).unwrap();
        let seen: Vec<_> = files.iter().map(|f| (f.path.as_path(), f.is_test)).collect();
        let expected = [("src/elf/tests.rs", true), ("src/elf.rs", false), ("src/lib.rs", false)];
        assert_eq!(seen, expected.map(|(p, t)| (Path::new(p), t)));
    }
}
