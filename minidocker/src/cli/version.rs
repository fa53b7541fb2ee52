//! `minidocker version`.

use super::verb::{Arity, Verb};

/// `version`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Version {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Version {
    const ABOUT: &'static str = "Show the minidocker version information";
    const USAGE: &'static str = "[OPTIONS]";
    const NOT_YET: &'static str = "f,format=";
    const ARITY: Arity = Arity::None;

    fn words(&self) -> usize {
        self.words.len()
    }

    fn act(self, _: &str) -> anyhow::Result<u8> {
        super::show(&text(&rustix::system::uname().release().to_string_lossy()))
    }
}

/// Docker prints a client and a server; here is one program.
fn text(kernel: &str) -> String {
    format!(
        "Client: minidocker\n \
         Version:           {}\n \
         OCI runtime spec:  {}\n \
         OS/Arch:           {}/{}\n \
         Kernel:            {kernel}\n",
        env!("CARGO_PKG_VERSION"),
        crate::spec::OCI_VERSION,
        std::env::consts::OS,
        architecture(std::env::consts::ARCH),
    )
}

/// Go's names, which the OCI specifications use.
fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn version_names_the_kernel_and_the_architecture_as_oci_does() {
        let text = super::text("6.1.0");
        assert!(text.starts_with("Client: minidocker\n Version:           0."), "{text}");
        assert!(text.ends_with(" Kernel:            6.1.0\n"), "{text}");
        assert_eq!(super::architecture("x86_64"), "amd64");
    }
}
