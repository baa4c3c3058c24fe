//! Kind 1, a request: the record that the log is full of, and so written by hand. Pure.
//!
//! Two bytes of flags say which optional fields follow, in what form the ids are, and how the request ended. Where a
//! request has details that few have, a second word of flags follows the first. `format.md` has the layout.

use super::id::Id;
use super::wire::{Fields, put_i64, put_text, put_word};
use crate::event::{Code, Notes, Request, Status};
use crate::ground::varint;

/// Kind 1. The fields are those of [`Request`]; their bytes are declared here.
pub type RequestRecord<'a> = Request<'a, Id<'a>>;

/// The flags, from the lowest bit: status (2 bits), form of the request id (2), form of the session id (2),
/// `tool_error` (2), and a bit for each of the fields below.
const REQUEST_ID: u32 = 2;
const SESSION_ID: u32 = 4;
const TOOL_ERROR: u32 = 6;
const TOOL: u16 = 1 << 8;
const BYTES_IN: u16 = 1 << 9;
const BYTES_OUT: u16 = 1 << 10;
const ERROR_CODE: u16 = 1 << 11;
const ERROR_MSG: u16 = 1 << 12;
const TARGET: u16 = 1 << 13;
const PROTOCOL_VERSION: u16 = 1 << 14;
const RPC_ID: u16 = 1 << 15;

/// In place of `tool_error`: a second word of flags follows, and has it.
const MORE: u16 = 3;

/// The second word, from the lowest bit: `tool_error` (2 bits), transport (2, its number or zero), and a bit for each
/// of the fields below; then the form of `retry_of` (2 bits). What a proxy over HTTP knows of each request comes first,
/// so that the word takes one byte there.
const MORE_TRANSPORT: u32 = 2;
const HTTP_STATUS: u32 = 1 << 4;
const ENDPOINT: u32 = 1 << 5;
const OUTCOME: u32 = 1 << 6;
const CAUSE: u32 = 1 << 7;
const NOTES: u32 = 1 << 8;
const DIRECTION: u32 = 1 << 9;
const PRINCIPAL: u32 = 1 << 10;
const TRACE_ID: u32 = 1 << 11;
const PARENT_SPAN_ID: u32 = 1 << 12;
const INPUT_WAIT_US: u32 = 1 << 13;
const RETRY_OF: u32 = 14;
/// The bits of the second word that have a meaning.
const MORE_BITS: u32 = 16;

/// The forms of an id, in two bits of the flags. Zero says that there is none.
const ABSENT: u16 = 0;
const TEXT: u16 = 1;
const UUID: u16 = 2;
const HEX: u16 = 3;

impl<'a> RequestRecord<'a> {
    /// Appends the fields.
    pub(super) fn encode(&self, to: &mut Vec<u8>) {
        let (tool_error, more) = (tool_error_bits(self.tool_error), self.more_flags());
        let flags = self.flags() | if more == 0 { tool_error } else { MORE } << TOOL_ERROR;
        to.extend_from_slice(&flags.to_le_bytes());
        if more != 0 {
            varint::put((more | u32::from(tool_error)).into(), to);
        }
        put_id(&self.request_id, to);
        put_i64(self.ts.wrapping_sub(base_ts(&self.request_id)), to);
        put_i64(self.latency_us, to);
        if let Some(session_id) = &self.session_id {
            put_id(session_id, to);
        }
        put_text(self.proxy, to);
        put_word(self.method, to);
        if let Some(tool) = self.tool {
            put_text(tool, to);
        }
        for number in [self.bytes_in, self.bytes_out].into_iter().flatten() {
            put_i64(number, to);
        }
        for text in [self.error_code, self.error_msg, self.target].into_iter().flatten() {
            put_text(text, to);
        }
        if let Some(version) = self.protocol_version {
            put_word(version, to);
        }
        if let Some(rpc_id) = self.rpc_id {
            put_text(rpc_id, to);
        }
        if more != 0 {
            self.encode_more(to);
        }
    }

    /// Appends the fields that the second word of flags announces.
    fn encode_more(&self, to: &mut Vec<u8>) {
        if let Some(status) = self.http_status {
            varint::put(status.into(), to);
        }
        if let Some(endpoint) = self.endpoint {
            put_text(endpoint, to);
        }
        if let Some(outcome) = self.outcome {
            varint::put(outcome.number().into(), to);
        }
        if let Some(cause) = self.cause {
            put_text(cause, to);
        }
        if !self.notes.is_empty() {
            varint::put(self.notes.bits(), to);
        }
        if let Some(direction) = self.direction {
            varint::put(direction.number().into(), to);
        }
        if let Some(principal) = self.principal {
            put_text(principal, to);
        }
        to.extend(self.trace_id.into_iter().flatten());
        to.extend(self.parent_span_id.into_iter().flatten());
        if let Some(wait_us) = self.input_wait_us {
            put_i64(wait_us, to);
        }
        if let Some(retry_of) = &self.retry_of {
            put_id(retry_of, to);
        }
    }

    /// The first word, but for `tool_error`.
    fn flags(&self) -> u16 {
        let flag = |set: bool, bit: u16| if set { bit } else { 0 };
        u16::from(self.status.number())
            | form(&self.request_id) << REQUEST_ID
            | self.session_id.as_ref().map_or(ABSENT, form) << SESSION_ID
            | flag(self.tool.is_some(), TOOL)
            | flag(self.bytes_in.is_some(), BYTES_IN)
            | flag(self.bytes_out.is_some(), BYTES_OUT)
            | flag(self.error_code.is_some(), ERROR_CODE)
            | flag(self.error_msg.is_some(), ERROR_MSG)
            | flag(self.target.is_some(), TARGET)
            | flag(self.protocol_version.is_some(), PROTOCOL_VERSION)
            | flag(self.rpc_id.is_some(), RPC_ID)
    }

    /// The second word, but for `tool_error`; zero where there is none.
    fn more_flags(&self) -> u32 {
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        self.transport.map_or(0, |transport| u32::from(transport.number())) << MORE_TRANSPORT
            | flag(self.http_status.is_some(), HTTP_STATUS)
            | flag(self.endpoint.is_some(), ENDPOINT)
            | flag(self.outcome.is_some(), OUTCOME)
            | flag(self.cause.is_some(), CAUSE)
            | flag(!self.notes.is_empty(), NOTES)
            | flag(self.direction.is_some(), DIRECTION)
            | flag(self.principal.is_some(), PRINCIPAL)
            | flag(self.trace_id.is_some(), TRACE_ID)
            | flag(self.parent_span_id.is_some(), PARENT_SPAN_ID)
            | flag(self.input_wait_us.is_some(), INPUT_WAIT_US)
            | u32::from(self.retry_of.as_ref().map_or(ABSENT, form)) << RETRY_OF
    }

    /// Reads the fields, and gives what is left of the bytes. `None`: they are no such record.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut fields = Fields(bytes);
        let flags = u16::from_le_bytes(fields.array()?);
        let has = |bit: u16| flags & bit != 0;
        let more = match flags >> TOOL_ERROR & 3 {
            MORE => Some(u32::try_from(fields.u64()?).ok().filter(|more| more >> MORE_BITS == 0)?),
            _ => None,
        };
        let tool_error = match more.map_or(flags >> TOOL_ERROR & 3, |more| (more & 3) as u16) {
            0 => None,
            1 => Some(false),
            2 => Some(true),
            _ => return None,
        };
        let request_id = id(flags >> REQUEST_ID & 3, &mut fields)??;
        let ts = fields.i64()?.wrapping_add(base_ts(&request_id));
        let latency_us = fields.i64()?;
        let session_id = id(flags >> SESSION_ID & 3, &mut fields)?;
        let (proxy, method) = (fields.text()?, fields.word()?);
        let mut record = Self {
            latency_us,
            session_id,
            status: Status::with_number((flags & 3).into())?,
            tool_error,
            tool: if has(TOOL) { Some(fields.text()?) } else { None },
            bytes_in: if has(BYTES_IN) { Some(fields.i64()?) } else { None },
            bytes_out: if has(BYTES_OUT) { Some(fields.i64()?) } else { None },
            error_code: if has(ERROR_CODE) { Some(fields.text()?) } else { None },
            error_msg: if has(ERROR_MSG) { Some(fields.text()?) } else { None },
            target: if has(TARGET) { Some(fields.text()?) } else { None },
            protocol_version: if has(PROTOCOL_VERSION) { Some(fields.word()?) } else { None },
            rpc_id: if has(RPC_ID) { Some(fields.text()?) } else { None },
            ..Self::with_id(request_id, ts, proxy, method)
        };
        if let Some(more) = more {
            record.decode_more(more, &mut fields)?;
        }
        Some((record, fields.0))
    }

    /// Reads the fields that the second word of flags announces.
    fn decode_more(&mut self, more: u32, fields: &mut Fields<'a>) -> Option<()> {
        let has = |bit: u32| more & bit != 0;
        self.transport = match more >> MORE_TRANSPORT & 3 {
            0 => None,
            number => Some(Code::with_number(number.into())?),
        };
        self.http_status = if has(HTTP_STATUS) { Some(u16::try_from(fields.u64()?).ok()?) } else { None };
        self.endpoint = if has(ENDPOINT) { Some(fields.text()?) } else { None };
        self.outcome = if has(OUTCOME) { Some(Code::with_number(fields.u64()?)?) } else { None };
        self.cause = if has(CAUSE) { Some(fields.text()?) } else { None };
        self.notes = if has(NOTES) { Notes::from_bits(fields.u64()?) } else { Notes::NONE };
        self.direction = if has(DIRECTION) { Some(Code::with_number(fields.u64()?)?) } else { None };
        self.principal = if has(PRINCIPAL) { Some(fields.text()?) } else { None };
        self.trace_id = if has(TRACE_ID) { Some(fields.array()?) } else { None };
        self.parent_span_id = if has(PARENT_SPAN_ID) { Some(fields.array()?) } else { None };
        self.input_wait_us = if has(INPUT_WAIT_US) { Some(fields.i64()?) } else { None };
        self.retry_of = id((more >> RETRY_OF & 3) as u16, fields)?;
        Some(())
    }
}

/// `tool_error` in two bits.
fn tool_error_bits(tool_error: Option<bool>) -> u16 {
    match tool_error {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    }
}

/// What a request's time is counted from: the time in its id, where that has one. A UUID of version 7 begins with the
/// milliseconds of when it was made, and that is when the request arrived: so the time takes one byte in place of six.
/// In other UUIDs these bits are random; then it takes seven.
fn base_ts(request_id: &Id<'_>) -> i64 {
    match request_id {
        Id::Uuid([a, b, c, d, e, f, ..]) => i64::from_be_bytes([0, 0, *a, *b, *c, *d, *e, *f]),
        Id::Text(_) | Id::Hex(_) => 0,
    }
}

fn form(id: &Id<'_>) -> u16 {
    match id {
        Id::Text(_) => TEXT,
        Id::Uuid(_) => UUID,
        Id::Hex(_) => HEX,
    }
}

fn put_id(id: &Id<'_>, to: &mut Vec<u8>) {
    match id {
        Id::Text(text) => put_text(text, to),
        Id::Uuid(bytes) | Id::Hex(bytes) => to.extend_from_slice(bytes),
    }
}

/// An id of that form, if there is one.
fn id<'a>(form: u16, fields: &mut Fields<'a>) -> Option<Option<Id<'a>>> {
    let id = match form {
        ABSENT => return Some(None),
        TEXT => Id::Text(fields.text()?),
        UUID => Id::Uuid(fields.array()?),
        _ => Id::Hex(fields.array()?),
    };
    Some(Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::any::{with_any_details, with_one_detail_each};
    use crate::event::{Outcome, Transport};
    use proptest::prelude::*;

    const UUID_V7: &str = "0199cc2c-c07b-7cc3-98c4-dc0c0c07398f";

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["", ".{1,12}", "[0-9a-f]{32}", Just(UUID_V7.to_owned()), Just("tools/call".to_owned())]
    }

    proptest! {
        #[test]
        fn any_request_is_read_as_it_was_written(
            texts in proptest::array::uniform3(text()), options in proptest::array::uniform2(proptest::option::of(text())),
            numbers in any::<(i64, i64)>(), status in 0..3_usize, details in any::<u64>(), target in text(),
        ) {
            let mut request = Request::new(&texts[0], numbers.0, &texts[1], &texts[2]);
            [request.session_id, request.tool] = options.each_ref().map(Option::as_deref);
            (request.latency_us, request.status) = (numbers.1, Status::ALL[status]);
            with_any_details(&mut request, details);
            request.target = request.target.map(|_| &*target);
            let record = request.map(Id::new, |_, text| text);
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            for length in 0..bytes.len() {
                // A cut record is none, or one whose end lies in what is left.
                if let Some((_, rest)) = RequestRecord::decode(&bytes[..length]) {
                    prop_assert!(rest.len() < length);
                    prop_assert!(false, "{length} of {} bytes decode", bytes.len());
                }
            }
            bytes.push(7);
            prop_assert_eq!(RequestRecord::decode(&bytes), Some((record, &[7][..])));
        }
    }

    #[test]
    fn values_of_the_flags_without_a_meaning_are_none() {
        let good = RequestRecord::decode(&[0x04, 0, 1, b'r', 0, 0, 1, b'p', 2]);
        assert_eq!(good.map(|(record, _)| record.method), Some("ping"));
        // Status 3; no request id.
        for flags in [0x07, 0x00] {
            assert_eq!(RequestRecord::decode(&[flags, 0, 1, b'r', 0, 0, 1, b'p', 2]), None, "{flags:#x}");
        }
        // A second word: nothing in it; `tool_error` 3; a bit that is not known.
        let with_more = |more: &'static [u8]| [&[0xc4, 0][..], more, &[1, b'r', 0, 0, 1, b'p', 2]].concat();
        assert!(RequestRecord::decode(&with_more(&[0])).is_some());
        assert_eq!(RequestRecord::decode(&with_more(&[3])), None);
        assert_eq!(RequestRecord::decode(&with_more(&[0x80, 0x80, 0x04])), None);
    }

    #[test]
    fn each_detail_alone_survives() {
        for (name, request) in with_one_detail_each() {
            let mut bytes = Vec::new();
            let record = request.map(Id::new, |_, text| text);
            record.encode(&mut bytes);
            assert_eq!(RequestRecord::decode(&bytes), Some((record, &[][..])), "{name}");
        }
    }

    #[test]
    fn what_a_proxy_over_http_knows_takes_five_bytes_beside_the_path() {
        let length = |request: Request<'static>| {
            let mut bytes = Vec::new();
            request.map(Id::new, |_, text| text).encode(&mut bytes);
            bytes.len()
        };
        let mut request = Request::new(UUID_V7, 1_760_000_000_125, "files", "tools/call");
        let without = length(request);
        (request.http_status, request.transport) = (Some(200), Some(Transport::Http));
        (request.endpoint, request.outcome) = (Some("/mcp"), Some(Outcome::Ok));
        // Flags, two for the status, the outcome, the length of the path.
        assert_eq!(length(request) - without, 5 + "/mcp".len());
    }

    #[test]
    fn a_typical_request_takes_63_bytes() {
        let mut event = crate::Request::new(UUID_V7, 1_760_000_000_125, "files", "tools/call");
        event.session_id = Some("0123456789abcdef0123456789abcdef");
        (event.tool, event.latency_us) = (Some("read_file"), 1_840);
        (event.bytes_in, event.bytes_out) = (Some(180), Some(1_900));
        let mut payload = Vec::new();
        crate::record::Record::from(crate::Event::from(event)).encode(&mut payload);
        assert_eq!(payload.len(), 63);
    }
}
