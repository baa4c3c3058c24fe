//! What must hold of undoing a body's coding, whatever the body is.

use crate::input::Input;
use flate2::Compression;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use mcplog_observe::read::{Coding, DECODER_BYTES_MAX, Decoder, PIECE_BYTES_MAX, Unreadable};
use std::io::{Read, Write};

/// How long the content is at most that is packed here, in bytes.
const CONTENT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What is unpacked is what was packed, in whatever pieces it comes; memory is bounded, whatever it is.
pub fn check(input: &[u8]) {
    let mut input = Input::new(input);
    let (choices, piece_bytes) = (input.u8(), usize::from(input.u8()) + 1);
    let coding = if choices & 1 == 0 { Coding::Gzip } else { Coding::Deflate };
    let body = if choices & 2 == 0 { Body::packed(coding, choices, &mut input) } else { Body::raw(input.rest()) };

    let (plain, is_readable) = unpack_plainly(coding, &body.bytes);
    let (whole_bytes, result) = unpack(coding, &body.bytes, usize::MAX, &plain);
    let (pieces_bytes, same_result) = unpack(coding, &body.bytes, piece_bytes, &plain);
    assert_eq!(result, same_result, "in one piece or in several");
    if let Some(content) = body.content {
        assert!(is_readable && result.is_ok() && plain == content, "what was packed is unpacked");
    }
    if is_readable {
        assert_eq!((whole_bytes, pieces_bytes), (plain.len(), plain.len()), "all of what is in it");
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
    fn packed(coding: Coding, choices: u8, input: &mut Input<'_>) -> Self {
        let (times, damage) = (usize::from(input.u16()), (usize::from(input.u16()), input.u8()));
        let part = input.rest();
        let content = part.repeat(times.min(CONTENT_BYTES_MAX / part.len().max(1)) + 1);
        let mut bytes = pack(coding, &content);
        if choices & 4 != 0 && coding == Coding::Gzip {
            // A second member.
            bytes.extend(pack(coding, part));
        }
        let is_damaged = choices & 8 != 0;
        if is_damaged {
            let at = damage.0 % bytes.len();
            bytes[at] ^= damage.1;
        }
        let second = if choices & 4 != 0 && coding == Coding::Gzip { part } else { b"" };
        Self { bytes, content: (!is_damaged).then(|| [&content, second].concat()) }
    }
}

fn pack(coding: Coding, content: &[u8]) -> Vec<u8> {
    if coding == Coding::Gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).and_then(|()| encoder.finish()).expect("memory takes it")
    } else {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).and_then(|()| encoder.finish()).expect("memory takes it")
    }
}

/// The same by the library's reading side, in one go; and whether all of it could be read.
fn unpack_plainly(coding: Coding, body: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    let result = if coding == Coding::Gzip {
        MultiGzDecoder::new(body).read_to_end(&mut content)
    } else {
        ZlibDecoder::new(body).read_to_end(&mut content)
    };
    (content, result.is_ok())
}

/// Unpacks a body in pieces, in bounded memory, and compares what comes with what is in it. Says how much came.
fn unpack(coding: Coding, body: &[u8], piece_bytes: usize, plain: &[u8]) -> (usize, Result<(), Unreadable>) {
    let (mut content_bytes, mut result) = (0, Ok(()));
    let memory = allocation_counter::measure(|| {
        let mut decoder = Decoder::new(coding);
        for piece in body.chunks(piece_bytes) {
            let pushed = decoder.push(piece, |bytes| {
                assert!(bytes.len() <= PIECE_BYTES_MAX, "{} bytes at once", bytes.len());
                // Where there is damage, either may have come further than the other.
                let expected = &plain[content_bytes.min(plain.len())..];
                let shared = bytes.len().min(expected.len());
                assert!(bytes[..shared] == expected[..shared], "something else behind {content_bytes} bytes");
                content_bytes += bytes.len();
            });
            assert!(result.is_ok() || pushed.is_err(), "readable again");
            result = pushed;
        }
    });
    assert!(memory.bytes_max <= DECODER_BYTES_MAX as u64, "{} bytes held", memory.bytes_max);
    assert_eq!(memory.bytes_current, 0, "nothing stays behind");
    (content_bytes, result)
}
