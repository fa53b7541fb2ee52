//! The harness tried on a program that everybody has: `sh` stands where the binary will.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use kit::{Minidocker, Who};

fn shell(who: Who) -> Minidocker {
    Minidocker::fresh("/bin/sh", who)
}

#[test]
fn outputs_are_apart_and_binary_safe() {
    let md = shell(Who::Me);
    let bytes: Vec<u8> = (0..1 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let out = md.call(["-c", "cat; echo err >&2; exit 7"]).stdin(bytes.clone()).run().code(7);
    assert!(out.stdout == bytes);
    assert_eq!(out.err(), "err");
}

#[test]
fn a_signal_is_128_and_its_number() {
    assert_eq!(shell(Who::Me).run(["-c", "kill -9 $$"]).code, 137);
}

#[test]
fn the_environment_is_a_known_one() {
    let md = shell(Who::Me);
    let out = md.run(["-c", "env | cut -d= -f1 | sort"]).ok().out().replace('\n', " ");
    assert!(out.contains("HOME LANG LOGNAME MINIDOCKER_ROOT PATH"), "{out}");
    assert!(!out.contains("CARGO"), "{out}");
}

#[test]
fn each_user_is_who_it_says_and_owns_its_root() {
    for who in Who::all() {
        let md = shell(*who);
        let out = md
            .run(["-c", "id -u; stat -c %u $MINIDOCKER_ROOT; touch $HOME/a $MINIDOCKER_ROOT/b && echo yes"])
            .ok();
        let uid = out.lines()[0].clone();
        assert_eq!(out.lines(), [uid.as_str(), uid.as_str(), "yes"]);
        assert_eq!(who.is_root(), uid == "0");
    }
}

#[test]
fn only_one_plain_user_has_subordinate_ids() {
    kit::require!(Who::all().len() == 3, "not-root", "only root can be somebody else");
    let unshare =
        "unshare -U --map-auto --map-root-user sh -c 'wc -l </proc/self/uid_map; ls -ld /proc/self' 2>&1";
    assert_eq!(shell(Who::Plain).run(["-c", unshare]).ok().lines()[0], "2");
    let out = shell(Who::Single).run(["-c", unshare]);
    assert_ne!(out.code, 0, "{}", out.out());
}

#[test]
fn a_filter_hides_calls_from_each_user_and_takes_no_privileges() {
    kit::require!(kit::may_filter(), "not-root", "a filter without no_new_privs takes root");
    let look = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | tr -d '[:space:]'; unshare -U true 2>&1";
    for who in Who::all() {
        let md = shell(*who);
        let out = md.call(["-c", look]).without_calls(&["unshare=EXDEV"]).run().code(1);
        out.stdout_is("NoNewPrivs:0Seccomp:2unshare: unshare failed: Invalid cross-device link");
        let masked = ["unshare&0x20000000=EXDEV", "1000+=EXDEV"];
        md.call(["-c", look]).without_calls(&masked).run().stdout_is("NoNewPrivs:0Seccomp:2");
        md.run(["-c", look]).ok().stdout_is("NoNewPrivs:0Seccomp:0");
    }
}

#[test]
fn files_of_subordinate_ids_and_closed_directories_are_removed() {
    for who in Who::all() {
        let md = shell(*who);
        let make = "cd $MINIDOCKER_ROOT; mkdir -p w/w; touch w/w/a; unshare -U --map-auto --map-root-user chown 5:5 w/w/a; chmod 0 w/w";
        let _ = md.run(["-c", make]);
        let room = md.room().to_owned();
        drop(md);
        assert!(!room.exists(), "{who:?}");
    }
}

#[test]
fn a_command_can_be_started_through_a_shell() {
    let md = shell(Who::Me);
    let look = "for fd in 0 1 2; do [ -e /proc/$$/fd/$fd ] || printf %s $fd >>$HOME/closed; done";
    for (how, told) in [("\"$@\"", ""), ("exec \"$@\" <&-", "0"), ("exec \"$@\" 0>&- 1>&- 2>&-", "012")] {
        let _ = std::fs::remove_file(md.room().join("home/closed"));
        md.call(["-c", look]).through(how).run().ok();
        assert_eq!(std::fs::read_to_string(md.room().join("home/closed")).unwrap_or_default(), told);
    }
}

#[test]
fn a_terminal_has_a_size_and_signals() {
    for who in Who::all() {
        let md = shell(*who);
        let trap = "trap 'stty size; exit 5' INT; trap 'stty size' WINCH; stty size; echo rea''dy; while :; do sleep 0.05; done";
        let mut running = md.call(["-c", trap]).on_terminal(24, 80);
        assert!(running.expect("ready").starts_with("24 80"));
        running.resize(30, 100);
        running.expect("30 100");
        running.send(b"\x03");
        running.expect("30 100");
        assert_eq!(running.finish().code, 5, "{who:?}");
    }
}

#[test]
fn a_command_without_end_fails_its_test_and_is_ended() {
    let md = shell(Who::Me);
    let brief = std::time::Duration::from_millis(300);
    let mut running = md.call(["-c", "echo $$; exec sleep 1000"]).limit(brief).spawn();
    let pid = running.pid();
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| running.expect("never")));
    let why = failed.unwrap_err().downcast::<String>().unwrap();
    assert!(why.contains("waited in vain until \"never\" appears"), "{why}");
    assert!(why.contains(&format!("process {pid} (sleep) sleep 1000")), "{why}");
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn what_a_root_leaves_is_found() {
    let md = shell(Who::Me);
    md.run(["-c", "setsid sleep 1000 >/dev/null 2>&1 </dev/null & setsid sh -c 'exec 9>$HOME/open; exec env -i sleep 1000' >/dev/null 2>&1 </dev/null &"]).ok();
    let left = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| md.processes()));
    assert_eq!(left.unwrap().len(), 2);
    let other = shell(Who::Me);
    other.nothing_left();
    md.processes().iter().for_each(|p| p.signal(rustix::process::Signal::KILL));
    md.nothing_left();
}
