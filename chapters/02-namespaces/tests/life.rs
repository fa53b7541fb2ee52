//! Process 1, signals, and ends: of the program, of its parent, of orphans.
#![allow(clippy::unwrap_used)]

mod demo;

use std::os::fd::AsFd;

use demo::{Room, WHY, err, eventually, everybody, out, userns_allowed};
use kit::require;
use nix::sys::signal::{Signal, kill};

#[test]
fn exit_codes_are_those_of_a_shell() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh"]);
        let code = |args: &[&str]| room.run(args).status.code();
        assert_eq!(code(&["sh", "-c", "exit 7"]), Some(7));
        assert_eq!(code(&["sh", "-c", "kill -TERM $$"]), Some(128 + 15));
        assert_eq!(code(&["sh", "-c", "kill -KILL $$"]), Some(128 + 9));
        assert_eq!(code(&["nosuch"]), Some(127));
        assert_eq!(code(&["/tmp"]), Some(126));
    }
}

#[test]
fn orphans_are_reaped() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh", "sleep", "cat"]);
        // The inner shell ends before its sleep does; a zombie would keep its place in /proc.
        let text = room.sh("sh -c 'sleep 0.05 & echo $! > /orphan'; orphan=$(cat /orphan); \
             until grep_ppid=$(cat /proc/$orphan/stat 2>/dev/null); [ -z \"$grep_ppid\" ]; do \
               case \"$grep_ppid\" in *') Z '*) ;; *') '?' 1 '*) adopted=yes ;; esac; \
               i=$((i + 1)); [ $i -gt 500 ] && break; sleep 0.01; \
             done; \
             [ -d /proc/$orphan ] && echo zombie; echo adopted by 1: $adopted");
        assert_eq!(text, "adopted by 1: yes\n", "{who:?}");
    }
}

#[test]
fn many_orphans_that_end_at_once_are_all_reaped() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh", "sleep", "setsid"]);
        // One of them in a process group of its own: waitpid(2) has a number that leaves it out.
        let text = room.sh(
            "for i in 1 2 3 4 5 6 7 8 9 10; do sh -c 'sleep 0.1 & setsid sleep 0.1 & sleep 0.1 &'; done; \
             while set -- /proc/[0-9]*; [ $# -gt 2 ]; do \
               i=$((i + 1)); [ $i -gt 500 ] && break; sleep 0.02; \
             done; echo $*",
        );
        assert_eq!(text, "/proc/1 /proc/2\n", "process 1 and this shell are left");
    }
}

#[test]
fn signals_are_handed_on_to_the_program() {
    require!(userns_allowed(), "no-userns", WHY);
    let script = |signal: &str| {
        format!("trap 'echo got it; exit 3' {signal}; echo ready; while :; do sleep 0.02; done")
    };
    for who in everybody() {
        let room = Room::new(who, &["sh", "sleep"]);
        for (name, signal) in [("TERM", Signal::SIGTERM), ("USR1", Signal::SIGUSR1), ("HUP", Signal::SIGHUP)]
        {
            let running = room.start(&["sh", "-c", &script(name)]);
            kill(running.pid(), signal).unwrap();
            assert_eq!(running.end(), ("got it\n".to_owned(), Some(3)), "{who:?} {name} to our parent");
            let running = room.start(&["sh", "-c", &script(name)]);
            kill(nix::unistd::Pid::from_raw(running.init()), signal).unwrap();
            assert_eq!(running.end(), ("got it\n".to_owned(), Some(3)), "{who:?} {name} to process 1");
        }
    }
}

#[test]
fn process_1_takes_signals_from_inside_too_and_is_not_killed() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh", "sleep"]);
        // Real-time signals have no name, and process 1 can't be killed from inside.
        let text = room.sh("trap 'echo term' TERM; trap 'echo 40' 40; kill -KILL 1; kill -STOP 1; \
             kill -TERM 1; sleep 0.2; kill -40 1; sleep 0.2; echo alive");
        assert_eq!(text, "term\n40\nalive\n", "{who:?}");
    }
}

#[test]
fn the_program_starts_with_default_signals() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        for share in [&[][..], &["--share", "pid"]] {
            let room = Room::new(who, &["grep"]);
            let args = [share, &["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]].concat();
            let text = out(&room.run(&args));
            let ignored = text.trim_end().rsplit('\t').next().unwrap();
            let ignored = u64::from_str_radix(ignored, 16).unwrap();
            // Bits 0 to 30 are signals 1 to 31; above, ours are as our own parent left them.
            assert_eq!(ignored & 0x7fff_ffff, 0, "{text}");
            assert!(text.starts_with("SigBlk:\t0000000000000000\n"), "{text}");
        }
    }
}

#[test]
fn nobody_survives_the_parent() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        let room = Room::new(who, &["sh", "sleep"]);
        let running = room.start(&["sh", "-c", "sleep 1000 & echo ready; sleep 1000"]);
        let init = sys::pidfd_open(sys::Pid::from_raw(running.init())).unwrap();
        kill(running.pid(), Signal::SIGKILL).unwrap();
        assert_eq!(running.end().1, None, "killed");
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(init.as_fd(), rustix::event::PollFlags::IN)];
        let bound = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut fds, Some(&bound)), Ok(1), "process 1 has ended");
        eventually("all processes of the room are gone", || room.processes().is_empty());
    }
}

/// Injection is there in debug builds alone.
const RELEASE: &str = "a release build injects nothing";

#[test]
fn a_child_whose_parent_dies_at_any_call_ends_too() {
    require!(userns_allowed(), "no-userns", WHY);
    require!(cfg!(debug_assertions), "release-build", RELEASE);
    for who in everybody() {
        let room = Room::new(who, &["sh", "sleep"]);
        // 1: pidfd_open, 2: clone3, then the id maps, then waiting for the program.
        for call in 1..=7 {
            let mut command = room.demo(&["sh", "-c", "sleep 1000"]);
            command.env("MINIDOCKER_INJECT", format!("client:{call}:KILL"));
            let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
            if call <= 5 || who == demo::Who::Single {
                assert_eq!(child.wait().unwrap().code(), None, "{who:?} was not killed at call {call}");
            } else {
                let _ = child.kill();
                let _ = child.wait();
            }
            eventually("all processes of the room are gone", || room.processes().is_empty());
        }
    }
}

#[test]
fn where_clone3_is_filtered_clone_is_used() {
    require!(userns_allowed(), "no-userns", WHY);
    require!(cfg!(debug_assertions), "release-build", RELEASE);
    for who in everybody() {
        let room = Room::new(who, &["sh", "stat"]);
        let mut command =
            room.demo(&["--trace", "stat", "-L", "-c", "%i", "/proc/self/ns/time", "/proc/self/ns/pid"]);
        let output = command.env("MINIDOCKER_INJECT", "client:clone3:ENOSYS").output().unwrap();
        let text = err(&output);
        assert!(text.contains("clone3({flags=CLONE_NEWNS|"), "{text}");
        assert!(text.contains("= -1 ENOSYS (Function not implemented)\nclone(CLONE_NEWNS|"), "{text}");
        // clone(2) has no bit for a time namespace: the child makes it.
        assert!(text.contains("\nunshare(CLONE_NEWTIME) = 0\n"), "{text}");
        let host = [namespaces::Kind::Time, namespaces::Kind::Pid].map(|k| k.own_inode().unwrap());
        for (line, host) in out(&output).lines().zip(host) {
            assert_ne!(line, host.to_string());
        }
        assert_eq!(out(&output).lines().count(), 2);
    }
}

#[test]
fn what_is_refused_to_the_child_is_told_by_the_parent() {
    require!(userns_allowed(), "no-userns", WHY);
    require!(cfg!(debug_assertions), "release-build", RELEASE);
    for who in everybody() {
        let room = Room::new(who, &["sh"]);
        let mut command = room.demo(&["sh", "-c", "true"]);
        let output = command.env("MINIDOCKER_INJECT", "child:setresuid:EINVAL").output().unwrap();
        assert_eq!(output.status.code(), Some(125));
        let wanted = "in the new namespaces: setresuid(0, 0, 0) : EINVAL (Invalid argument)";
        assert!(err(&output).contains(wanted), "{output:?}");
        assert_eq!(room.processes(), []);
    }
}
