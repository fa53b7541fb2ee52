use proptest::prelude::*;

use super::*;

fn full(text: &str) -> String {
    text.parse::<Reference>().map_or_else(|e| e.to_string(), |r| r.to_string())
}

#[test]
fn names_are_filled_up_as_docker_does() {
    let d = Digest::of(b"");
    for (typed, want) in [
        ("hostbox", "docker.io/library/hostbox:latest".to_owned()),
        ("debian:12", "docker.io/library/debian:12".to_owned()),
        ("me/app", "docker.io/me/app:latest".to_owned()),
        ("index.docker.io/me/app", "docker.io/me/app:latest".to_owned()),
        ("localhost/app", "localhost/app:latest".to_owned()),
        ("localhost:5000/app", "localhost:5000/app:latest".to_owned()),
        ("ghcr.io/a/b/c:v1.2-rc_3", "ghcr.io/a/b/c:v1.2-rc_3".to_owned()),
        ("[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app:latest".to_owned()),
        ("a__b/c--d", "docker.io/a__b/c--d:latest".to_owned()),
        ("UPPER.example/app", "UPPER.example/app:latest".to_owned()),
        (&format!("debian@{d}"), format!("docker.io/library/debian@{d}")),
        (&format!("debian:12@{d}"), format!("docker.io/library/debian:12@{d}")),
    ] {
        assert_eq!(full(typed), want, "{typed}");
    }
}

#[test]
fn other_texts_are_refused_in_dockers_words() {
    let format = "invalid reference format";
    for text in [
        "",
        ":",
        "a:",
        ":a",
        "a/",
        "/a",
        "a//b",
        "-a",
        "a-",
        "a..b",
        "a___b",
        "a b",
        "a\n",
        "a:-b",
        "a@b",
        "a@sha256:00",
        "../../etc/passwd",
        "..",
        "a:b/c:d",
        "ex_ample.org/a",
        "[::1/a",
        "[::1]x/a",
        "a.b:x/c",
        "ä",
    ] {
        assert_eq!(full(text), format, "{text:?}");
    }
    assert_eq!(full(&format!("a:{}", "t".repeat(129))), format);
    assert_eq!(full("Hostbox"), format!("{format}: repository name (Hostbox) must be lowercase"));
    assert_eq!(full(&"ab/".repeat(90)), format);
    assert_eq!(full(&["ab"; 90].join("/")), "repository name must not be more than 255 characters");
    let hex = "0".repeat(64);
    assert_eq!(
        full(&hex),
        format!("invalid repository name ({hex}), cannot specify 64-byte hexadecimal strings")
    );
}

#[test]
fn the_familiar_form_is_what_docker_shows() {
    for (typed, want) in [
        ("docker.io/library/hostbox", "hostbox:latest"),
        ("docker.io/me/app:1", "me/app:1"),
        ("ghcr.io/library/app", "ghcr.io/library/app:latest"),
        ("docker.io/library/a/b", "library/a/b:latest"),
    ] {
        assert_eq!(typed.parse::<Reference>().unwrap().familiar(), want);
    }
}

proptest! {
    #[test]
    fn what_is_shown_is_read_back(domain in "([a-z]{1,6}\\.[a-z]{2,3}(:[0-9]{1,4})?/)?",
                                  path in "[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,3})?(/[a-z0-9]{1,5}){0,2}",
                                  tag in "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,10})?") {
        let first: Reference = format!("{domain}{path}{tag}").parse().unwrap();
        prop_assert_eq!(&first, &first.to_string().parse().unwrap());
        prop_assert_eq!(&first, &first.familiar().parse().unwrap());
    }

    #[test]
    fn no_text_makes_a_path_that_leaves(text in ".{0,40}") {
        if let Ok(r) = text.parse::<Reference>() {
            prop_assert!(r.path().split('/').all(|c| !c.is_empty() && c != "." && c != ".."));
        }
    }

    #[test]
    fn a_digest_is_read_back(bytes: Vec<u8>) {
        let digest = Digest::of(&bytes);
        prop_assert_eq!(digest, digest.to_string().parse().unwrap());
    }
}
