//! Where the frames of events lie in the segments of a store.

use crate::event;
use mcplog::error::SegmentError;
use mcplog::record::Record;
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
    /// The frames of all events of a store whose segments were all kept, in the folders of the log or of what is kept. An
    /// event that was written again lies at two places. Each place is named as it was when it was written.
    ///
    /// # Panics
    /// A segment can't be read, or holds what nobody recorded.
    pub fn all(store: &Path) -> Vec<Self> {
        let wal = store.join("wal");
        let mut all = Vec::new();
        for folder in [&wal, &store.join("kept")].into_iter().flat_map(|dir| folders(dir)) {
            let written = wal.join(folder.file_name().unwrap_or_default());
            all.extend(Self::read_all(&folder, &written).unwrap_or_else(|error| panic!("{error}")));
        }
        all
    }

    fn read_all(folder: &Path, written: &Path) -> Result<Vec<Self>, SegmentError> {
        let mut all = Vec::new();
        for file in mcplog::segment::list(folder)? {
            let segment = written.join(file.path.file_name().unwrap_or_default());
            let mut reader = SegmentReader::open(&file.path)?;
            loop {
                let start = reader.position().end.0;
                let number = match reader.next()? {
                    Item::Frame(frame) => match Record::decode(frame.payload) {
                        Ok(Record::Request(request)) => event::number(&request.request_id.text()),
                        Ok(_) => None,
                        Err(error) => panic!("{}: {error}", file.path.display()),
                    },
                    Item::Stop(_) => break,
                    Item::Damage(damage) => panic!("{}: {damage:?}", file.path.display()),
                    Item::WrongMark(wrong) => panic!("{wrong}"),
                };
                let bytes = u64::from(start)..u64::from(reader.position().end.0);
                all.extend(number.map(|number| Self { number, segment: segment.clone(), bytes }));
            }
        }
        Ok(all)
    }
}

/// The folders in a directory; none if there is no such directory.
///
/// # Panics
/// It can't be listed.
pub fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        entries => entries.unwrap_or_else(|error| panic!("{}: {error}", dir.display())),
    };
    let paths = entries.map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", dir.display())).path());
    let mut folders: Vec<_> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}
