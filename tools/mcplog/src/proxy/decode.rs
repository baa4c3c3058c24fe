//! Undoes a body's `Content-Encoding` for the recording; the bytes that pass stay as they are.
//!
//! gzip and deflate are what MCP clients ask for over plain HTTP. What else a client offers is taken out of its
//! `Accept-Encoding` ([`super::headers::limit_accept_encoding`]), because a response that cannot be read cannot be
//! recorded. Runs inside the forwarding tasks. It must not hold a whole body: a small one can unpack to gigabytes.

use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use std::io::Write;

/// How much is unpacked of one body before the recording gives up on it, in bytes: a bound for processor time, since
/// memory is bounded by [`STEP_BYTES`].
const DECODED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Compressed bytes that are unpacked at once. Deflate packs at most 1,032 : 1, so this is 4 MiB at the very worst.
const STEP_BYTES: usize = 4096;

/// The body cannot be read: an unknown coding, broken data or too much of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Unpacks one body.
pub(super) enum Decoder {
    Identity,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>, u64),
    Deflate(Box<ZlibDecoder<Vec<u8>>>, u64),
    Unreadable,
}

impl Decoder {
    /// The decoder for a body with these headers.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let coding = match (values.next(), values.next()) {
            (None, _) => return Self::Identity,
            (Some(value), None) => value.to_str().unwrap_or("?").trim(),
            (Some(_), Some(_)) => "?",
        };
        if coding.is_empty() || coding.eq_ignore_ascii_case("identity") {
            Self::Identity
        } else if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())), 0)
        } else if coding.eq_ignore_ascii_case("deflate") {
            Self::Deflate(Box::new(ZlibDecoder::new(Vec::new())), 0)
        } else {
            Self::Unreadable
        }
    }

    /// Unpacks the next bytes; `on_bytes` gets all of the content that they complete, so that an event at the end of
    /// a flushed chunk is seen when it comes and not with the next one.
    pub(super) fn push(&mut self, bytes: &[u8], mut on_bytes: impl FnMut(&[u8])) -> Result<(), Unreadable> {
        let result = match self {
            Self::Identity => {
                on_bytes(bytes);
                Ok(())
            }
            Self::Gzip(decoder, total) => steps(bytes, total, |step| {
                decoder.write_all(step)?;
                decoder.flush()?;
                on_bytes(decoder.get_ref());
                Ok(drain(decoder.get_mut()))
            }),
            Self::Deflate(decoder, total) => steps(bytes, total, |step| {
                decoder.write_all(step)?;
                decoder.flush()?;
                on_bytes(decoder.get_ref());
                Ok(drain(decoder.get_mut()))
            }),
            Self::Unreadable => Err(Unreadable),
        };
        if result.is_err() {
            *self = Self::Unreadable;
        }
        result
    }
}

fn steps(
    bytes: &[u8],
    total: &mut u64,
    mut unpack: impl FnMut(&[u8]) -> std::io::Result<u64>,
) -> Result<(), Unreadable> {
    for step in bytes.chunks(STEP_BYTES) {
        *total += unpack(step).map_err(|_| Unreadable)?;
        if *total > DECODED_BYTES_MAX {
            return Err(Unreadable);
        }
    }
    Ok(())
}

/// Empties the buffer and says how much it held.
fn drain(buffer: &mut Vec<u8>) -> u64 {
    let len = buffer.len() as u64;
    buffer.clear();
    buffer.shrink_to(64 * 1024);
    len
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    fn decoder(coding: &'static str) -> Decoder {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        Decoder::of(&headers)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_and_deflate_are_unpacked_byte_by_byte() {
        let content: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(&content).unwrap();
        for (coding, packed) in
            [("gzip", gzip(&content)), ("X-GZIP", gzip(&content)), ("deflate", zlib.finish().unwrap())]
        {
            let mut decoder = decoder(coding);
            let mut unpacked = Vec::new();
            for byte in packed.chunks(1) {
                decoder.push(byte, |bytes| unpacked.extend_from_slice(bytes)).unwrap();
            }
            assert_eq!(unpacked, content, "{coding}");
        }
    }

    #[test]
    fn an_event_is_seen_as_soon_as_its_compressed_chunk_was_flushed() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"data: 1\n\n").unwrap();
        encoder.flush().unwrap();
        let first = encoder.get_ref().clone();
        let mut seen = Vec::new();
        decoder("gzip").push(&first, |bytes| seen.extend_from_slice(bytes)).unwrap();
        assert_eq!(seen, b"data: 1\n\n");
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_stays_refused() {
        assert_eq!(decoder("br").push(b"x", |_| {}), Err(Unreadable));
        assert_eq!(decoder("gzip, br").push(b"x", |_| {}), Err(Unreadable));
        let mut broken = decoder("gzip");
        assert_eq!(broken.push(b"this is not gzip at all", |_| {}), Err(Unreadable));
        assert_eq!(broken.push(&gzip(b"too late"), |_| panic!("unpacked after a failure")), Err(Unreadable));
    }

    #[test]
    fn a_bomb_is_given_up_on_in_bounded_memory() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![0_u8; 1 << 20];
        for _ in 0..=(DECODED_BYTES_MAX >> 20) {
            encoder.write_all(&zeros).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        let mut largest = 0;
        let mut total = 0;
        let result = decoder("gzip").push(&bomb, |bytes| {
            largest = largest.max(bytes.len());
            total += bytes.len() as u64;
        });
        assert_eq!(result, Err(Unreadable));
        assert!(largest <= STEP_BYTES * 1040, "{largest} bytes at once");
        assert!(total <= DECODED_BYTES_MAX + (STEP_BYTES as u64) * 1040, "{total} bytes in all");
    }

    #[test]
    fn no_coding_and_identity_pass_as_they_are() {
        for mut decoder in [Decoder::of(&HeaderMap::new()), decoder("identity")] {
            let mut seen = Vec::new();
            decoder.push(b"plain", |bytes| seen.extend_from_slice(bytes)).unwrap();
            assert_eq!(seen, b"plain");
        }
    }
}
