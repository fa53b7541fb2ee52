//! What a program needs before it can start: one line for each file, and what that file names itself.
//!
//! ```console
//! $ cargo run -q -p ch01-chroot --example needs -- /bin/ls
//! ```

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use chroot::elf::Elf;

fn main() -> Result<()> {
    let program = std::env::args_os().nth(1).context("needs PROGRAM")?;
    for path in chroot::needs_of(Path::new("/"), Path::new(&program))? {
        let file = File::open(&path).with_context(|| path.display().to_string())?;
        let elf = Elf::read(&file)?;
        let interpreter = elf.interpreter.iter().map(|path| path.display().to_string());
        let libraries = elf.needed.iter().map(|name| name.display().to_string());
        let words: Vec<String> = interpreter.chain(libraries).collect();
        println!("{}: {}", path.display(), words.join(" "));
    }
    Ok(())
}
