//! What must hold of undoing a body's codings, whatever the body is.

use crate::input::Input;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use mcplog_observe::read::{Codings, Decoder, PIECE_BYTES, Unreadable};
use mcplog_observe::{BUDGET_BYTES, Budget};
use mcplog_packing::{Way, all, content_encoding, pack};
use std::io::Read;

/// How long the content is at most that is packed here, in bytes.
const CONTENT_BYTES_MAX: usize = 256 * 1024;
/// How much is unpacked of a body before it is given up on, and how much of it is looked at for comparison, in bytes.
const WORK_BYTES_MAX: usize = 2 * CONTENT_BYTES_MAX;
const PLAIN_BYTES_MAX: usize = 2 * WORK_BYTES_MAX;
/// What a decoder holds that is in no budget: the list of its layers.
const LIST_BYTES_MAX: usize = 2048;

/// What is unpacked is what was packed, in whatever pieces it comes; memory is bounded by the budget, whatever it is.
pub fn check(input: &[u8]) {
    let mut input = Input::new(input);
    let (choices, piece_bytes) = (input.u8(), usize::from(input.u8()) + 1);
    let stacks = all();
    let ways = &stacks[usize::from(input.u8()) % stacks.len()];
    let budget_bytes = match input.u8() {
        0..128 => BUDGET_BYTES,
        few => usize::from(few - 128) * 16 * 1024,
    };
    let body = if choices & 2 == 0 { Body::packed(ways, choices, &mut input) } else { Body::raw(input.rest()) };

    let plain = unpack_plainly(ways, &body.bytes);
    let whole = unpack(ways, &body.bytes, usize::MAX, &plain, budget_bytes);
    let pieces = unpack(ways, &body.bytes, piece_bytes, &plain, budget_bytes);
    if budget_bytes == BUDGET_BYTES && ways.len() == 1 {
        assert_eq!(whole.result, pieces.result, "in one piece or in several");
        assert_eq!(whole.is_whole, pieces.is_whole, "in one piece or in several");
    }
    if let Some(content) = body.content.filter(|_| budget_bytes == BUDGET_BYTES) {
        assert!(plain == content, "what was packed is unpacked by others");
        for unpacked in [whole, pieces] {
            assert!(unpacked.result.is_ok() && unpacked.is_whole, "what was packed is readable");
            assert_eq!(unpacked.bytes, content.len(), "all of what is in it");
        }
    }
}

struct Body {
    bytes: Vec<u8>,
    /// What it unpacks to, if that is certain.
    content: Option<Vec<u8>>,
}

impl Body {
    fn raw(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), content: None }
    }

    /// Content that repeats, which packs well; damaged somewhere, or not.
    fn packed(ways: &[Way], choices: u8, input: &mut Input<'_>) -> Self {
        let (times, damage) = (usize::from(input.u16()), (usize::from(input.u16()), input.u8()));
        let part = input.rest();
        let mut content = part.repeat(times.min(CONTENT_BYTES_MAX / part.len().max(1)) + 1);
        let mut bytes = pack(ways, &content);
        if choices & 4 != 0 && (*ways == [Way::Gzip] || *ways == [Way::Zstd]) {
            // A second member, or frame.
            bytes.extend(pack(ways, part));
            content.extend_from_slice(part);
        }
        let is_damaged = choices & 8 != 0;
        if is_damaged {
            let at = damage.0 % bytes.len();
            bytes[at] ^= damage.1;
        }
        Self { bytes, content: (!is_damaged).then_some(content) }
    }
}

/// The same by libraries' reading sides, in one go, as far as they come.
fn unpack_plainly(ways: &[Way], body: &[u8]) -> Vec<u8> {
    ways.iter().rev().fold(body.to_vec(), |body, way| {
        let body = body.as_slice();
        let reader: Box<dyn Read> = match way {
            Way::Gzip => Box::new(MultiGzDecoder::new(body)),
            Way::Zlib | Way::Bare if looks_like_zlib(body) => Box::new(ZlibDecoder::new(body)),
            Way::Zlib | Way::Bare => Box::new(DeflateDecoder::new(body)),
            Way::Brotli => Box::new(brotli::Decompressor::new(body, 4096)),
            Way::Zstd => match zstd::stream::read::Decoder::new(body) {
                Ok(decoder) => Box::new(decoder),
                Err(_) => return Vec::new(),
            },
        };
        let mut content = Vec::new();
        // What comes before an error is kept.
        let _ = reader.take(PLAIN_BYTES_MAX as u64).read_to_end(&mut content);
        content
    })
}

fn looks_like_zlib(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x8f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31))
}

struct Unpacked {
    bytes: usize,
    result: Result<(), Unreadable>,
    is_whole: bool,
}

/// Unpacks a body in pieces, in bounded memory, and compares what comes with what is in it.
fn unpack(ways: &[Way], body: &[u8], piece_bytes: usize, plain: &[u8], budget_bytes: usize) -> Unpacked {
    let codings = Codings::of([content_encoding(ways).as_str()]);
    let budget = Budget::new(budget_bytes);
    let mut unpacked = Unpacked { bytes: 0, result: Ok(()), is_whole: false };
    let memory = allocation_counter::measure(|| {
        let mut decoder = Decoder::new(codings, &budget, WORK_BYTES_MAX as u64);
        for piece in body.chunks(piece_bytes) {
            let pushed = decoder.push(piece, |bytes| {
                assert!(bytes.len() <= PIECE_BYTES, "{} bytes at once", bytes.len());
                // Where there is damage, either may have come further than the other.
                let expected = &plain[unpacked.bytes.min(plain.len())..];
                let shared = bytes.len().min(expected.len());
                assert!(bytes[..shared] == expected[..shared], "something else behind {} bytes", unpacked.bytes);
                unpacked.bytes += bytes.len();
            });
            assert!(unpacked.result.is_ok() || pushed.is_err(), "readable again");
            unpacked.result = pushed;
        }
        unpacked.is_whole = decoder.is_whole();
        if unpacked.result.is_err() {
            assert_eq!(budget.taken(), 0, "what can't be read holds nothing");
        }
    });
    let allowed = budget_bytes + LIST_BYTES_MAX;
    assert!(memory.bytes_max <= allowed as u64, "{} bytes held of {allowed}", memory.bytes_max);
    assert_eq!((memory.bytes_current, budget.taken()), (0, 0), "nothing stays behind");
    unpacked
}
