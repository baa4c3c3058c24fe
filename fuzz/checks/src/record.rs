//! What must hold of the record decoder for any bytes. Shared by the fuzz target and the corpus replay in
//! `cargo test`.

use mcplog::record::{Id, Record};

/// Decoding never panics, and what decodes means the same after being written and read again.
pub fn check(payload: &[u8]) {
    let Ok(record) = Record::decode(payload) else { return };
    let mut written = Vec::new();
    record.encode(&mut written);
    assert_eq!(Record::decode(&written), Ok(record), "written and read again");
    let id = match record {
        Record::Request(request) => Some(request.request_id),
        Record::Session(session) => Some(session.session_id),
        Record::SessionClosed(closed) => Some(closed.session_id),
        Record::SchemaVersion(_)
        | Record::Gap(_)
        | Record::ClockStep(_)
        | Record::WriterBegan(_)
        | Record::WriterEnded(_) => None,
    };
    if let Some(id) = id {
        let text = id.text();
        assert_eq!(Id::new(&text).text(), text, "an id's text survives its short form");
    }
}
