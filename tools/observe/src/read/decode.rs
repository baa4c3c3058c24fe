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
/// The most that is unpacked before it is handed on, in bytes: the decoder stops whenever its own buffer of 32 KiB is full;
/// that much may wait in its window besides, and where a gzip member ends, in the buffer of the next.
pub const PIECE_BYTES_MAX: usize = 128 * 1024;
/// What one decoder holds at most, in bytes: the unpacked piece, in a buffer that doubles and is copied then; the decoder's
/// window, tables and own buffer, under 128 KiB, and once more while one gzip member follows another; the three texts that a
/// gzip header may have, 64 KiB each, in buffers that double.
pub const DECODER_BYTES_MAX: usize = 3 * PIECE_BYTES_MAX + 2 * 128 * 1024 + 3 * 2 * 64 * 1024;

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
        let result = match &mut self.method {
            Method::Identity => {
                on_bytes(bytes);
                Ok(())
            }
            Method::Gzip(decoder) => unpack(&mut **decoder, bytes, &mut self.decoded_bytes, on_bytes),
            Method::Deflate(decoder) => unpack(&mut **decoder, bytes, &mut self.decoded_bytes, on_bytes),
            Method::Unreadable => Err(Unreadable),
        };
        if result.is_err() {
            self.method = Method::Unreadable;
        }
        result
    }
}

/// A decoder that writes into a buffer.
trait Unpacker: Write {
    fn buffer(&mut self) -> &mut Vec<u8>;
}

impl Unpacker for MultiGzDecoder<Vec<u8>> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }
}

impl Unpacker for ZlibDecoder<Vec<u8>> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }
}

/// Unpacks the next bytes, piece by piece. What comes before damage is handed on too: peers may have read that far.
fn unpack(
    decoder: &mut impl Unpacker,
    mut bytes: &[u8],
    decoded_bytes: &mut u64,
    mut on_bytes: impl FnMut(&[u8]),
) -> Result<(), Unreadable> {
    loop {
        let taken = if bytes.is_empty() { None } else { Some(decoder.write(bytes).unwrap_or(0)) };
        // Nothing is taken of what is no part of the stream.
        let is_damaged = taken == Some(0);
        let is_flushed = taken.is_some_and(|taken| taken > 0) || decoder.flush().is_ok();
        let buffer = decoder.buffer();
        *decoded_bytes += buffer.len() as u64;
        on_bytes(buffer);
        buffer.clear();
        if is_damaged || !is_flushed || *decoded_bytes > DECODED_BYTES_MAX {
            return Err(Unreadable);
        }
        match taken {
            Some(taken) => bytes = &bytes[taken..],
            None => return Ok(()),
        }
    }
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
        assert!(largest <= PIECE_BYTES_MAX, "{largest} bytes at once");
        assert!(total <= DECODED_BYTES_MAX + PIECE_BYTES_MAX as u64, "{total} bytes in all");
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
