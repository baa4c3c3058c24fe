//! A database's path as SQLite takes it with parameters. Pure but for the working directory, from which a path may go out.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The parameters for a database that nobody changes: SQLite takes no lock, makes no file beside it, and passes over its WAL.
pub(super) const IMMUTABLE: &str = "immutable=1";

/// The URI of the database at `path`, opened with these parameters. Any bytes may be in the path.
pub(super) fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = "file:".to_owned();
    let absolute = std::path::absolute(path);
    for byte in absolute.as_deref().unwrap_or(path).as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(char::from(*byte)),
            // Writing to a text does not fail.
            _ => drop(write!(uri, "%{byte:02x}")),
        }
    }
    uri.push('?');
    uri.push_str(parameters);
    uri
}
