//! What the marks of a process's own log vouch for, as any reader sees it.

use mcplog::position::WriterId;
use mcplog::segment::SegmentReader;
use std::path::{Path, PathBuf};

/// Looks at the marks of a log.
#[derive(Debug)]
pub struct Marks {
    wal_dir: PathBuf,
    /// How many events were durable when it was last looked.
    pub durable: u64,
    /// How many segments there were behind the one whose mark said so, when it was first seen to.
    pub waiting: u64,
}

impl Marks {
    /// For a store in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { wal_dir: dir.join("wal"), durable: 0, waiting: 0 }
    }

    /// Looks again at the log of a writer, whose first record says who it is; tells whether more is durable than before. On a
    /// disk that fails there is nothing to see.
    pub fn look_again(&mut self, writer: WriterId) -> bool {
        let folder = self.wal_dir.join(writer.to_string());
        // One that goes while this looks was folded, and the newest never goes while its writer lives.
        let segments = mcplog::segment::list(&folder).unwrap_or_default();
        let newest_first = segments.into_iter().rev().filter_map(|segment| SegmentReader::open(&segment.path).ok());
        // A mark never runs ahead of those before it, so the newest that vouches for anything says it all.
        let newest = newest_first.enumerate().find_map(|(waiting, segment)| {
            let frames = u64::from(segment.mark().durable.frames);
            // Numbers begin at 1, and the first is no event's.
            let durable = (segment.header().base_sequence.0 + frames).saturating_sub(2);
            (frames > 0).then_some((durable, waiting as u64))
        });
        let before = self.durable;
        if let Some((durable, waiting)) = newest.filter(|(durable, _)| *durable > before) {
            self.durable = durable;
            self.waiting = waiting;
        }
        self.durable > before
    }
}
