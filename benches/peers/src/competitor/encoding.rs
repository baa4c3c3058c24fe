//! A floor: what it takes to encode mcplog's record and to compute its checksum, kept nowhere.

use super::mcplog::request;
use mcplog::record::Record;
use mcplog::segment::format::FrameHeader;
use measure::log::Failure;
use measure::{Event, Log, Writer};
use std::path::Path;

/// Any: each segment has its own.
const SALT: u32 = 0x6d63_706c;

pub(crate) struct Encoding;

impl Log for Encoding {
    type Writer = Encoder;

    fn open(_dir: &Path) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn writer(&self) -> Result<Encoder, Failure> {
        Ok(Encoder { payload: Vec::with_capacity(512) })
    }

    fn close(self) -> Result<Option<u64>, Failure> {
        Ok(None)
    }
}

pub(crate) struct Encoder {
    payload: Vec<u8>,
}

impl Writer for Encoder {
    #[inline]
    fn hand_over(&mut self, event: &Event<'_>) {
        self.payload.clear();
        Record::from(mcplog::Event::from(request(event))).encode(&mut self.payload);
        std::hint::black_box(FrameHeader::for_payload(SALT, 0, &self.payload));
    }
}
