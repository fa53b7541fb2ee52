//! What `holes` says where it can make no process to try something in.
#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn without_a_child_holes_says_that_it_cannot_tell_and_not_host() {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    kit::require!(!root || kit::may_filter(), "not-root", "a filter without no_new_privs takes root");
    // A limit on processes is none for root (setrlimit(2), RLIMIT_NPROC); a filter takes root.
    let alone =
        if root { kit::without(&["clone3=EAGAIN", "clone=EAGAIN"]) } else { kit::words("prlimit --nproc=1") };

    let words =
        [alone, kit::words(env!("CARGO_BIN_EXE_applets")), kit::words("holes files system-calls")].concat();
    let output = Command::new(&words[0]).args(&words[1..]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let expected =
        "files         ?     no child: clone3: EAGAIN\nsystem calls  ?     clone3: no child: EAGAIN\n";
    assert_eq!((text.as_str(), output.status.code()), (expected, Some(1)));
}
