//! A log with a torn tail, as a crash leaves it, and no database: everything in it is still to be folded, and then to go.

use crate::placed::folders;
use crate::victim::Victim;
use mcplog::error::SegmentError;
use mcplog::segment::{Item, SegmentReader};
use std::io::ErrorKind;
use std::path::Path;

/// The bytes behind the last frame, of a frame that was cut short.
const TAIL: [u8; 40] = [0x17; 40];

/// Makes such a log in `store`, of segments that were never synced, with the events `0..events`; `victim` records
/// into it.
///
/// # Panics
/// It can't be made.
pub fn leave(victim: &Victim, store: &Path, events: u64) {
    let mut victim = victim
        .clone()
        .with(["--sync", "never", "--keep-segments-bytes", "1000000000", "--linger"])
        .with(["--events", &events.to_string()])
        .start();
    assert!(victim.listen_until(|said| said.appended == events), "the victim ended by itself");
    victim.kill();
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let path = store.join(name);
        match std::fs::remove_file(&path) {
            // Whoever folds may not have come as far.
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("remove {}: {error}", path.display()),
            _ => {}
        }
    }
    // What was folded by then may have been kept elsewhere: without a database it is to be folded again.
    let [folder] = folders(&store.join("wal")).try_into().unwrap_or_else(|found| panic!("one folder, not {found:?}"));
    bring_back(&folder, &store.join("kept")).unwrap_or_else(|error| panic!("{}: {error}", store.display()));
    tear(&folder).unwrap_or_else(|error| panic!("tear the log in {}: {error}", store.display()));
}

/// Moves what was kept of a log back to it.
fn bring_back(folder: &Path, kept: &Path) -> std::io::Result<()> {
    for from in folders(kept) {
        for entry in std::fs::read_dir(&from)? {
            let path = entry?.path();
            std::fs::rename(&path, folder.join(path.file_name().unwrap_or_default()))?;
        }
        std::fs::remove_dir(&from)?;
    }
    Ok(())
}

/// Writes behind the last frame of the last segment.
fn tear(folder: &Path) -> Result<(), SegmentError> {
    let segments = mcplog::segment::list(folder)?;
    let Some(last) = segments.last().filter(|_| segments.len() > 1) else { panic!("too few segments: {segments:?}") };
    let mut reader = SegmentReader::open(&last.path)?;
    while !matches!(reader.next()?, Item::Stop(_)) {}
    let end = u64::from(reader.position().end.0);
    assert!(end + TAIL.len() as u64 <= reader.file_bytes()?, "no room behind the last frame");
    mcplog_fixture::segment::patch(&last.path, end, &TAIL);
    Ok(())
}
