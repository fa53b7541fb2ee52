//! `newer CALL`: makes one of the newer calls, shows its events, and what is told when it fails.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags};
use sys::{CloneArgs, CloneFlags, Cloned, Pid, SysError};

fn main() -> ExitCode {
    sys::set_sink(Some(Box::new(|e| println!("{}({}) = {}", e.call, e.args, e.result))));
    let call = std::env::args().nth(1).unwrap_or_default();
    match make(&call) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let hint = e.hint().map(|hint| format!("because: {}\ndo: {}", hint.because, hint.remedy));
            println!("{}", hint.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

fn make(call: &str) -> Result<(), SysError> {
    let file = |path| File::open(path).map_err(|e| SysError::of("open", format!("{path:?}"), e));
    match call {
        "clone3" | "clone3-newtime" => {
            let time = if call == "clone3" { CloneFlags::empty() } else { CloneFlags::CLONE_NEWTIME };
            match sys::clone3(&CloneArgs { flags: time, cgroup: None })? {
                Cloned::Child => sys::exit_now(5),
                Cloned::Parent { pid, .. } => sys::waitpid(pid).map(drop),
            }
        }
        "close_range" => {
            let files = [file("/dev/null")?, file("/dev/null")?, file("/dev/null")?];
            sys::close_all_but(&[files[1].as_fd()])?;
            for file in &files {
                let open = rustix::io::fcntl_getfd(file.as_fd()).is_ok();
                println!("{} {}", file.as_raw_fd(), if open { "open" } else { "closed" });
            }
            // Dropping them here would close what is closed.
            sys::exit_now(0)
        }
        "openat2" => {
            let how = OFlags::PATH | OFlags::DIRECTORY;
            sys::open_in_root(file("/")?.as_fd(), Path::new("tmp"), how, Mode::empty()).map(drop)
        }
        "pidfd_open" => sys::pidfd_open(Pid::this()).map(drop),
        "pidfd_send_signal" => sys::pidfd_send_signal(sys::pidfd_open(Pid::this())?.as_fd(), 0),
        "fsopen" => sys::fsopen("tmpfs").map(drop),
        other => Err(SysError::new("newer", other.to_owned(), sys::Errno::EINVAL)),
    }
}
