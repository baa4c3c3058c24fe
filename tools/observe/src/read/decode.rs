//! Undoes a body's `Content-Encoding` for the recording; the bytes that pass stay as they are.
//!
//! gzip and deflate are what MCP clients ask for over plain HTTP. What else a client offers is taken out of its
//! `Accept-Encoding` by the proxy, because a response that cannot be read cannot be recorded. Runs inside the tasks that pass
//! bytes on. It must not hold a whole body: a small one can unpack to gigabytes.

use flate2::write::{MultiGzDecoder, ZlibDecoder};
use std::io::Write;

/// How much is unpacked of one body before the recording gives up on it, in bytes: a bound for processor time, since
/// memory is bounded by [`DECODER_BYTES_MAX`].
pub const DECODED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Compressed bytes that are unpacked at once. Small, because all that they unpack to is in memory together.
const STEP_BYTES: usize = 512;
/// The most that one step unpacks to, in bytes: deflate packs at most 1,032 : 1. What a step finds of an earlier one, in
/// bits that were not yet a whole symbol, is one symbol of 258 bytes, and the decoder's own buffer of 32 KiB may still hold
/// what the one before completed.
pub const STEP_DECODED_BYTES_MAX: usize = STEP_BYTES * 1032 + 32 * 1024 + 258;
/// How much of the output buffer is kept between two steps, in bytes.
const IDLE_BUFFER_BYTES: usize = 64 * 1024;
/// What one decoder holds at most, in bytes: its output buffer, which doubles up to its size and is copied then; the
/// decoder's window, tables and own buffer, under 128 KiB; and the three texts that a gzip header may have, 64 KiB each.
pub const DECODER_BYTES_MAX: usize = 3 * STEP_DECODED_BYTES_MAX + 2 * 128 * 1024 + 3 * 2 * 64 * 1024;

/// The body cannot be read: an unknown coding, broken data or too much of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// As gzip does, in one member or several.
    Gzip,
    /// As zlib does.
    Deflate,
    /// In a way that cannot be undone here.
    Unknown,
}

impl Coding {
    /// The coding that the values of a body's `Content-Encoding` fields name.
    pub fn of<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        let mut fields = fields.into_iter();
        let coding = match (fields.next(), fields.next()) {
            (None, _) => return Self::Identity,
            (Some(value), None) => value.trim(),
            (Some(_), Some(_)) => return Self::Unknown,
        };
        let is = |name: &str| coding.eq_ignore_ascii_case(name);
        if coding.is_empty() || is("identity") {
            Self::Identity
        } else if is("gzip") || is("x-gzip") {
            Self::Gzip
        } else if is("deflate") {
            Self::Deflate
        } else {
            Self::Unknown
        }
    }
}

/// Unpacks one body.
pub struct Decoder {
    method: Method,
    /// How much was unpacked so far, in bytes.
    decoded_bytes: u64,
}

enum Method {
    Identity,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
    Unreadable,
}

impl Decoder {
    /// The decoder for a body that is packed in that way.
    pub fn new(coding: Coding) -> Self {
        let method = match coding {
            Coding::Identity => Method::Identity,
            Coding::Gzip => Method::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Coding::Deflate => Method::Deflate(Box::new(ZlibDecoder::new(Vec::new()))),
            Coding::Unknown => Method::Unreadable,
        };
        Self { method, decoded_bytes: 0 }
    }

    /// Unpacks the next bytes; `on_bytes` gets all of the content that they complete, so that an event at the end of
    /// a flushed chunk is seen when it comes and not with the next one.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] if the bytes are not of that coding, or unpack to more than [`DECODED_BYTES_MAX`] in all; from then on
    /// always.
    pub fn push(&mut self, bytes: &[u8], mut on_bytes: impl FnMut(&[u8])) -> Result<(), Unreadable> {
        let total = &mut self.decoded_bytes;
        let result = match &mut self.method {
            Method::Identity => {
                on_bytes(bytes);
                Ok(())
            }
            Method::Gzip(decoder) => steps(bytes, total, |step| {
                let result = decoder.write_all(step);
                // What came before the damage counts: peers may have read that far.
                let result = result.and(decoder.flush());
                on_bytes(decoder.get_ref());
                (drain(decoder.get_mut()), result)
            }),
            Method::Deflate(decoder) => steps(bytes, total, |step| {
                let result = decoder.write_all(step);
                let result = result.and(decoder.flush());
                on_bytes(decoder.get_ref());
                (drain(decoder.get_mut()), result)
            }),
            Method::Unreadable => Err(Unreadable),
        };
        if result.is_err() {
            self.method = Method::Unreadable;
        }
        result
    }
}

/// Unpacks in steps. `unpack` says how much a step gave, and whether that was all of it.
fn steps(
    bytes: &[u8],
    total: &mut u64,
    mut unpack: impl FnMut(&[u8]) -> (u64, std::io::Result<()>),
) -> Result<(), Unreadable> {
    for step in bytes.chunks(STEP_BYTES) {
        let (decoded, result) = unpack(step);
        *total += decoded;
        if result.is_err() || *total > DECODED_BYTES_MAX {
            return Err(Unreadable);
        }
    }
    Ok(())
}

/// Empties the buffer and says how much it held.
fn drain(buffer: &mut Vec<u8>) -> u64 {
    let len = buffer.len() as u64;
    buffer.clear();
    buffer.shrink_to(IDLE_BUFFER_BYTES);
    len
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    fn decoder(coding: &str) -> Decoder {
        Decoder::new(Coding::of([coding]))
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
        assert_eq!(Coding::of(["gzip", "gzip"]), Coding::Unknown);
        let mut broken = decoder("gzip");
        assert_eq!(broken.push(b"this is not gzip at all", |_| {}), Err(Unreadable));
        assert_eq!(broken.push(&gzip(b"too late"), |_| panic!("unpacked after a failure")), Err(Unreadable));
    }

    #[test]
    fn what_comes_before_the_damage_is_read() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(b"complete").unwrap();
        let packed = [zlib.finish().unwrap(), b"and more".to_vec()].concat();
        let mut seen = Vec::new();
        let result = decoder("deflate").push(&packed, |bytes| seen.extend_from_slice(bytes));
        assert_eq!((seen.as_slice(), result), (&b"complete"[..], Err(Unreadable)));
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
        assert!(largest <= STEP_DECODED_BYTES_MAX, "{largest} bytes at once");
        assert!(total <= DECODED_BYTES_MAX + STEP_DECODED_BYTES_MAX as u64, "{total} bytes in all");
    }

    #[test]
    fn no_coding_and_identity_pass_as_they_are() {
        for mut decoder in [Decoder::new(Coding::of([])), decoder("identity"), decoder("")] {
            let mut seen = Vec::new();
            decoder.push(b"plain", |bytes| seen.extend_from_slice(bytes)).unwrap();
            assert_eq!(seen, b"plain");
        }
    }
}
