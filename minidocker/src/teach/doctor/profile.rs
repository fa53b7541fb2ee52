//! The narrower way around Ubuntu's restriction: a profile for one program.
//!
//! Sources: apparmor.d(5); AppArmor's wiki, "unprivileged_userns_restriction".

use std::path::Path;

/// A profile that confines nothing and lets the program at `path` use user namespaces. What it starts by
/// another path (unshare, a chapter's demo) is not covered.
///
/// The rule `userns` is of AppArmor 4.0: older ones don't restrict, and need no profile.
#[must_use]
pub fn apparmor_profile(path: &Path) -> String {
    format!(
        "# Lets one program use user namespaces where kernel.apparmor_restrict_unprivileged_userns is 1.\n\
         # do:    minidocker doctor --apparmor-profile | sudo tee /etc/apparmor.d/minidocker\n\
         #        sudo apparmor_parser -r /etc/apparmor.d/minidocker\n\
         # undo:  sudo apparmor_parser -R /etc/apparmor.d/minidocker\n\
         #        sudo rm /etc/apparmor.d/minidocker\n\
         abi <abi/4.0>,\n\
         include <tunables/global>\n\
         \n\
         profile minidocker {} flags=(unconfined) {{\n  \
           userns,\n\
         }}\n",
        quoted(&path.display().to_string())
    )
}

/// In quotes, with AppArmor's own characters escaped: a path is a pattern there.
fn quoted(path: &str) -> String {
    let escaped = path.chars().fold(String::from("\""), |mut text, c| {
        if "\\\"*?[]{}^,@".contains(c) {
            text.push('\\');
        }
        text.push(c);
        text
    });
    escaped + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_no_pattern() {
        let profile = apparmor_profile(Path::new("/home/al ice/{a*}/minidocker"));
        assert!(profile.contains("profile minidocker \"/home/al ice/\\{a\\*\\}/minidocker\" flags=(unconfined) {\n  userns,\n}\n"), "{profile}");
    }
}
