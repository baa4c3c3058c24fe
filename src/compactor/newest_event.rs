//! The time of the newest event in a segment's file: what decides whether the file is too old to be kept.
//!
//! Reads a whole file, on the compactor or on whichever thread makes a plan. It must not change anything.

use crate::ground::file_time::written_at_ms;
use crate::record::record::Record;
use crate::segment::reader::{Item, SegmentReader, Stop};
use std::path::Path;

/// The time of the newest event in a segment's file, in Unix milliseconds; `i64::MIN` if it has none. Of what can't be
/// read, the time at which the file was last written counts: nothing in it was recorded later. `i64::MAX` where the system
/// does not even tell that.
pub(crate) fn newest_event(path: &Path) -> i64 {
    let (newest, is_whole) = match SegmentReader::open(path) {
        Ok(mut reader) => newest_readable(&mut reader),
        Err(_) => (i64::MIN, false),
    };
    if is_whole { newest } else { newest.max(written_at_ms(path).unwrap_or(i64::MAX)) }
}

/// The newest of the events that can be read, and whether those are all.
fn newest_readable(reader: &mut SegmentReader) -> (i64, bool) {
    let (mut newest, mut is_whole) = (i64::MIN, true);
    loop {
        match reader.next() {
            Ok(Item::Frame(frame)) => match Record::decode(frame.payload) {
                // Who writes is no event: an import records old ones today.
                Ok(Record::WriterBegan(_) | Record::WriterEnded(_)) => {}
                Ok(record) => newest = newest.max(record.happened_at()),
                Err(_) => is_whole = false,
            },
            Ok(Item::Damage(_)) => is_whole = false,
            Ok(Item::WrongMark(_)) => {}
            Ok(Item::Stop(stop)) => return (newest, is_whole && !matches!(stop, Stop::Torn { .. })),
            Err(_) => return (newest, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Request;
    use crate::ground::clock::now_ms;
    use crate::ground::position::{SegmentId, Sequence, WriterId};
    use crate::record::record::WriterEndedRecord;
    use crate::segment::format::LogIdentity;
    use crate::segment::writer::PreparedSegment;
    use std::os::unix::fs::FileExt;

    #[test]
    fn the_newest_event_counts_and_of_what_can_not_be_read_the_time_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let prepared = PreparedSegment::create(dir.path(), SegmentId(1), 65536).unwrap();
        let (mut writer, syncer) = prepared.activate(LogIdentity::sample(WriterId([1; 16])), Sequence(1), 5).unwrap();
        let path = writer.path().to_owned();
        assert_eq!(newest_event(&path), i64::MIN, "nothing in it");
        for ts in [-7, 1_000, 900] {
            let mut payload = Vec::new();
            Record::from(crate::Event::Request(Request::new("request", ts, "p", "ping"))).encode(&mut payload);
            writer.append(&payload).unwrap();
        }
        let mut ended = Vec::new();
        Record::WriterEnded(WriterEndedRecord { ended_at: 2_000 }).encode(&mut ended);
        writer.append(&ended).unwrap();
        assert_eq!(newest_event(&path), 1_000);
        let end = writer.extent().end;
        writer.append(b"\xff\x01 of a kind that nobody knows yet").unwrap();
        let last = writer.finish();
        syncer.seal(last, true).unwrap();
        let is_the_files = |newest: i64| (now_ms() - newest).abs() < 600_000;
        assert!(is_the_files(newest_event(&path)), "it may be as new as the file");
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"damage", end.0.into()).unwrap();
        assert!(is_the_files(newest_event(&path)));
        std::fs::write(&path, b"no segment").unwrap();
        assert!(is_the_files(newest_event(&path)));
        assert_eq!(newest_event(&dir.path().join("gone")), i64::MAX, "nobody can tell");
    }
}
