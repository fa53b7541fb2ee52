//! A kernel that lacks some calls, as a seccomp filter plays it; and examples of other packages.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The words before a program that is to run without some calls: `kit::without(&["clone3=ENOSYS"])`.
///
/// They start chapter 0's example `filter`, where the rules are described. It takes root, so it goes
/// before whatever changes the user: under no_new_privs, which a plain user's filter needs, newuidmap
/// could write no map. A test that calls this begins with `kit::require!(kit::may_filter(), …)`.
#[must_use]
pub fn without(rules: &[&str]) -> Vec<String> {
    let rules = rules.iter().copied().chain(["--"]).map(str::to_owned);
    [program().to_owned()].into_iter().chain(rules).collect()
}

/// Whether this user can start a program under a filter and without no_new_privs.
#[must_use]
pub fn may_filter() -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    *MAY.get_or_init(|| crate::place::my_uid() == 0 && works())
}

/// Tried on a call that is easily seen to fail: `unshare -u true`.
fn works() -> bool {
    let words = [without(&["unshare=EOPNOTSUPP"]), crate::words("unshare --uts true")].concat();
    let out =
        Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).output().expect("start the filter");
    String::from_utf8_lossy(&out.stderr).contains("Operation not supported")
}

fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| example("ch00-syscalls", "filter").to_str().expect("UTF-8").to_owned())
}

/// An example of a package of ours, beside the running test. `cargo test` builds those of its own
/// package alone, and with `--test` none; `cargo xtask test` builds all.
#[must_use]
pub fn example(package: &str, name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("our own path");
    let profile = test.ancestors().nth(2).expect("target/profile/deps/test");
    let built = profile.join("examples").join(name);
    if !built.exists() {
        let profile = profile.file_name().filter(|p| *p != "debug").unwrap_or("dev".as_ref());
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "-q", "-p", package, "--example", name, "--profile"]).arg(profile);
        assert!(cargo.status().expect("start cargo").success(), "the example {name} is not built");
    }
    built
}
