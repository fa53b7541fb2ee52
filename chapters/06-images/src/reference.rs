//! What a user types for an image, read as Docker reads it.
//!
//! Source: the grammar of distribution's reference package
//! (<https://github.com/distribution/reference>, reference.go) and its normalized names.

use std::fmt;
use std::str::FromStr;

use crate::Digest;

/// `[domain/]path[:tag][@digest]`, with what Docker adds: `docker.io`, `library/` and `latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that names no image, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not of the grammar.
    #[error("invalid reference format")]
    Format,
    /// The path has upper case letters.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Upper(String),
    /// It would be taken for an image id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    /// Domain and path are longer than 255 characters.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
}

const DEFAULT_DOMAIN: &str = "docker.io";

impl Reference {
    /// The registry: `docker.io`, `localhost:5000`.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/debian`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag; `latest` where neither a tag nor a digest was typed.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest, where one was typed.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The repository as Docker shows it: without `docker.io/` and `library/`.
    #[must_use]
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return format!("{}/{}", self.domain, self.path);
        }
        match self.path.strip_prefix("library/") {
            // `docker.io/library/a/b` would come back as `a/b` of another repository.
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole as Docker shows it: `debian:12`.
    #[must_use]
    pub fn familiar(&self) -> String {
        self.with_name(&self.familiar_name())
    }

    fn with_name(&self, name: &str) -> String {
        let tag = self.tag.as_ref().map_or(String::new(), |t| format!(":{t}"));
        let digest = self.digest.map_or(String::new(), |d| format!("@{d}"));
        format!("{name}{tag}{digest}")
    }
}

/// The full form, `docker.io/library/debian:12`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_name(&format!("{}/{}", self.domain, self.path)))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::LooksLikeId(text.to_owned()));
        }
        let (domain, rest) = split_domain(text);
        let (name_and_tag, digest) = match rest.split_once('@') {
            Some((before, digest)) => (before, Some(digest.parse().map_err(|_| ReferenceError::Format)?)),
            None => (rest, None),
        };
        let (path, tag) = match name_and_tag.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (name_and_tag, None),
        };
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ReferenceError::Upper(path.to_owned()));
        }
        if !is_domain(domain) || !path.split('/').all(is_component) || !tag.is_none_or(is_tag) {
            return Err(ReferenceError::Format);
        }
        let path = match domain == DEFAULT_DOMAIN && !path.contains('/') {
            true => format!("library/{path}"),
            false => path.to_owned(),
        };
        if domain.len() + 1 + path.len() > 255 {
            return Err(ReferenceError::TooLong);
        }
        let tag = tag.or(digest.is_none().then_some("latest")).map(str::to_owned);
        Ok(Self { domain: domain.to_owned(), path, tag, digest })
    }
}

/// The part before the first slash is a domain only if it looks like one.
fn split_domain(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (if first == "index.docker.io" { DEFAULT_DOMAIN } else { first }, rest)
        }
        _ => (DEFAULT_DOMAIN, text),
    }
}

/// `domain-name ["." ...] [":" port]`, or an IPv6 address in brackets.
fn is_domain(text: &str) -> bool {
    let port = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let name = |part: &str| {
        let inner = part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        let inner = address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
        return inner && !address.is_empty() && (rest.is_empty() || rest.strip_prefix(':').is_some_and(port));
    }
    let (host, number) = text.split_once(':').map_or((text, None), |(host, number)| (host, Some(number)));
    host.split('.').all(name) && number.is_none_or(port)
}

/// Lower case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let known = text.bytes().all(|b| alphanumeric(b) || matches!(b, b'.' | b'_' | b'-'));
    let ends = |b: Option<u8>| b.is_some_and(alphanumeric);
    let mut separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    known
        && ends(text.bytes().next())
        && ends(text.bytes().last())
        && separators.all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

/// A letter, digit or `_`, then at most 127 of those, `.` and `-`.
fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
