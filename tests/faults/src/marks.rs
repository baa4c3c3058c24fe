//! What the marks of a running store's segments vouch for, as any reader sees it.

use mcplog::segment::SegmentReader;
use std::path::{Path, PathBuf};

/// Looks at the marks of a store.
#[derive(Debug)]
pub struct Marks {
    wal_dir: PathBuf,
    /// The sequence number of the first record of this run.
    first_sequence: u64,
    /// How many records of this run were durable when it was last looked.
    pub durable: u64,
    /// How many segments there were behind the one whose mark said so, when it was first seen to.
    pub waiting: u64,
}

impl Marks {
    /// For a store in `dir` into which nothing was recorded since it was opened.
    ///
    /// # Panics
    /// The log has no segment that can be read.
    pub fn new(dir: &Path) -> Self {
        let mut marks = Self { wal_dir: dir.join("wal"), first_sequence: 0, durable: 0, waiting: 0 };
        let Some(active) = marks.newest_first().next() else { panic!("no segment in {}", marks.wal_dir.display()) };
        marks.first_sequence = active.header().base_sequence.0;
        marks
    }

    /// Looks again; tells whether more is durable than before. On a disk that fails there is nothing to see.
    pub fn look_again(&mut self) -> bool {
        // A mark never runs ahead of those before it, so the newest that vouches for anything says it all.
        let newest = self.newest_first().enumerate().find_map(|(waiting, segment)| {
            let frames = u64::from(segment.mark().durable.frames);
            let durable = (segment.header().base_sequence.0 + frames).saturating_sub(self.first_sequence);
            (frames > 0).then_some((durable, waiting as u64))
        });
        let before = self.durable;
        if let Some((durable, waiting)) = newest.filter(|(durable, _)| *durable > before) {
            self.durable = durable;
            self.waiting = waiting;
        }
        self.durable > before
    }

    /// The segments that can be read. One that goes while this looks was folded, and the newest never goes.
    fn newest_first(&self) -> impl Iterator<Item = SegmentReader> {
        let segments = mcplog::segment::list(&self.wal_dir).unwrap_or_default();
        segments.into_iter().rev().filter_map(|segment| SegmentReader::open(&segment.path).ok())
    }
}
