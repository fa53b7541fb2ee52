//! JSON as Docker prints it.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

/// JSON indented by four blanks, with a line end.
///
/// # Errors
/// The value can't be JSON, such as a path that isn't UTF-8.
pub fn pretty<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b"    ")))?;
    out.push(b'\n');
    String::from_utf8(out).map_err(serde::ser::Error::custom)
}
