//! `enter PID`: goes into all namespaces of a process, and says of each kind whether a child of ours
//! is in the same one as the process, and what the machine is called there.

use namespaces::{Kind, Target};
use sys::{CloneArgs, Cloned, Pid};

fn main() {
    let pid = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1);
    if let Err(e) = run(Pid::from_raw(pid)) {
        println!("{e}");
        std::process::exit(1);
    }
}

fn run(pid: Pid) -> Result<(), Box<dyn std::error::Error>> {
    let theirs = Kind::ALL.map(|kind| kind.inode(pid).ok());
    Target::of(pid, &Kind::ALL)?.enter()?;
    // A pid namespace is entered by being born in it.
    match sys::clone3(&CloneArgs::default())? {
        Cloned::Child => {
            for (kind, theirs) in Kind::ALL.iter().zip(theirs) {
                println!("{} {}", kind.file(), theirs.is_some() && kind.own_inode().ok() == theirs);
            }
            println!("{}", nix::unistd::gethostname()?.display());
        }
        Cloned::Parent { pid, .. } => drop(sys::waitpid(pid)?),
    }
    Ok(())
}
