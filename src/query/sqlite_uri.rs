//! A database's path as SQLite takes it with parameters. Pure.

use std::fmt::Write;
use std::path::Path;

/// The URI of a database that nobody changes: SQLite takes no lock, makes no file beside it, and passes over its WAL. `None`
/// for a path that is no UTF-8.
pub(super) fn immutable_uri(path: &Path) -> Option<String> {
    let mut uri = "file:".to_owned();
    for byte in std::path::absolute(path).ok()?.to_str()?.bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(char::from(byte)),
            _ => write!(uri, "%{byte:02x}").ok()?,
        }
    }
    uri.push_str("?immutable=1");
    Some(uri)
}
