//! A command on a terminal of its own.

use std::fs::File;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::room::Room;
use crate::{Running, Who};

/// Starts `command` with a new terminal as its three standard files.
pub(crate) fn start(
    mut command: Command,
    rows: u16,
    columns: u16,
    who: Who,
    shown: String,
    limit: Duration,
    room: Arc<Room>,
) -> Running {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("openpt");
    grantpt(&master).expect("grantpt");
    unlockpt(&master).expect("unlockpt");
    let path = ptsname(&master, Vec::new()).expect("ptsname");
    let slave = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
    let slave = File::from(slave.expect("open the terminal"));
    // As login(1) does: who sits at the terminal owns it.
    who.own(std::path::Path::new(path.to_str().expect("a path of ASCII")));
    tcsetwinsize(&master, size(rows, columns)).expect("TIOCSWINSZ");
    let three = [0, 1, 2].map(|_| slave.try_clone().expect("dup of the terminal"));
    let [stdin, stdout, stderr] = three;
    let child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn();
    let child = child.unwrap_or_else(|e| panic!("start {shown}: {e}"));
    let output = File::from(master.try_clone().expect("dup of the terminal"));
    let mut running = Running::of(child, Some(output), None, shown, limit, Some(room));
    running.set_terminal(master);
    running
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Running {
    /// Changes the size of its terminal, which sends SIGWINCH to the foreground process group.
    pub fn resize(&self, rows: u16, columns: u16) {
        let terminal = self.terminal.as_ref().expect("it has a terminal");
        tcsetwinsize(terminal, size(rows, columns)).expect("TIOCSWINSZ");
    }
}
