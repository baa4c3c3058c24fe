//! Events in a plain file: each one's bytes after their length. For the competitors that know no events.

use measure::Event;
use measure::log::Failure;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// An event's bytes after their length, so that a file of them can be read back.
#[inline]
pub(crate) fn frame(event: &Event<'_>, bytes: &mut Vec<u8>, framed: &mut Vec<u8>) {
    event.encode_into(bytes);
    framed.clear();
    framed.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    framed.extend_from_slice(bytes);
}

/// How many such events a file holds.
pub(crate) fn framed_events(path: &Path) -> Result<u64, Failure> {
    let mut file = BufReader::new(File::open(path)?);
    let (mut events, mut length, mut event) = (0, [0; 4], Vec::new());
    while file.read_exact(&mut length).is_ok() {
        event.resize(u32::from_le_bytes(length) as usize, 0);
        file.read_exact(&mut event)?;
        events += 1;
    }
    Ok(events)
}
