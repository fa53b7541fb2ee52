//! `enter PID [--one-by-one]`: goes into all namespaces of a process and says of each kind whether
//! a child of ours is in the same one as the process, and what the machine is called there.

use namespaces::{Child, EnterError, Kind, Target, enter};
use sys::{CloneFlags, Pid};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let pid = Pid::from_raw(args.get(1).and_then(|a| a.parse().ok()).unwrap_or(1));
    let theirs: Vec<Option<u64>> = Kind::ALL.iter().map(|k| k.inode(pid).ok()).collect();
    let gone_in = match args.get(2) {
        None => sys::pidfd_open(pid).map_err(EnterError::from).and_then(|fd| {
            use std::os::fd::AsFd;
            enter(pid, fd.as_fd(), &Kind::ALL)
        }),
        Some(_) => Target::of(pid, &Kind::ALL).and_then(|target| target.enter()),
    };
    if let Err(e) = gone_in {
        println!("{e}");
        std::process::exit(1);
    }
    let child = Child::spawn(CloneFlags::empty(), None, None, || {
        for (kind, theirs) in Kind::ALL.iter().zip(theirs) {
            println!("{kind} {}", theirs.is_some() && kind.own_inode().ok() == theirs);
        }
        println!("{}", nix::unistd::gethostname().unwrap_or_default().display());
        0
    });
    let code = child.ok().and_then(|c| c.wait().ok()).and_then(|s| s.code());
    std::process::exit(code.unwrap_or(1));
}
