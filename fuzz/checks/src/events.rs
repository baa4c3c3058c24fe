//! What must hold of the parser of server-sent events for any bytes.

use crate::plain_events::{self, Said};
use mcplog_observe::read::{Part, SseParser};

/// Whatever the stream, and wherever it is cut, it says what the plain parser finds in it.
pub fn check(stream: &[u8]) {
    let expected = plain_events::parse(stream);
    for cut in cuts(stream.len()) {
        assert_eq!(parse(&[&stream[..cut], &stream[cut..]]), expected, "cut at {cut}");
    }
    assert_eq!(parse(&stream.chunks(1).collect::<Vec<_>>()), expected, "byte by byte");
}

/// Every place where a stream of that length can be cut in two; in a long one, as many as a second allows.
pub(crate) fn cuts(len: usize) -> impl Iterator<Item = usize> {
    const CUTS_MAX: usize = 1024;
    (0..=len).step_by(len / CUTS_MAX + 1)
}

fn parse(pieces: &[&[u8]]) -> Vec<Said> {
    let mut parser = SseParser::new();
    let (mut said, mut data) = (Vec::new(), Vec::new());
    for piece in pieces {
        parser.push(piece, |part| match part {
            Part::Data(bytes) => data.extend_from_slice(bytes),
            Part::Dispatch { event } => {
                said.push(Said::Event { name: event.to_owned(), data: std::mem::take(&mut data) });
            }
            Part::Id(id) => said.push(Said::Id(id.to_vec())),
            Part::Retry(retry_ms) => said.push(Said::Retry(retry_ms)),
        });
    }
    said
}
