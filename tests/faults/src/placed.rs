//! Where the frames of events lie in the segments of a store.

use mcplog::error::SegmentError;
use mcplog::segment::{Item, SegmentReader};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where the frame of an event lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The event's number.
    pub number: u64,
    /// The segment's file.
    pub segment: PathBuf,
    /// The frame's bytes in it.
    pub bytes: Range<u64>,
}

impl Placed {
    /// All frames of a store whose segments were all kept, into which one thread recorded from the first event on: an
    /// event's sequence number is one more than its own. An event that was written again lies at two places.
    ///
    /// # Panics
    /// A segment can't be read.
    pub fn all(store: &Path) -> Vec<Self> {
        Self::read_all(&store.join("wal")).unwrap_or_else(|error| panic!("{error}"))
    }

    fn read_all(wal: &Path) -> Result<Vec<Self>, SegmentError> {
        let mut all = Vec::new();
        for file in mcplog::segment::list(wal)? {
            let mut reader = SegmentReader::open(&file.path)?;
            loop {
                let start = reader.position().end.0;
                let number = match reader.next()? {
                    Item::Frame(frame) => frame.sequence.0 - 1,
                    Item::Stop(_) => break,
                    Item::Damage(damage) => panic!("{}: {damage:?}", file.path.display()),
                    Item::WrongMark(wrong) => panic!("{wrong}"),
                };
                let bytes = u64::from(start)..u64::from(reader.position().end.0);
                all.push(Self { number, segment: file.path.clone(), bytes });
            }
        }
        Ok(all)
    }
}
