//! Packs bodies as HTTP's content codings do, whole or as a stream that is flushed: for the tests of what undoes them.
//!
//! Runs in tests only. Packing into memory does not fail; where a library says that it did, the test is over.

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::Write;

/// A way of packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `gzip`.
    Gzip,
    /// `deflate`, as RFC 9110 has it.
    Zlib,
    /// `deflate` without zlib's header, as some servers send it.
    Bare,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

/// All ways.
pub const WAYS: [Way; 5] = [Way::Gzip, Way::Zlib, Way::Bare, Way::Brotli, Way::Zstd];

/// Ways on top of each other, the first one applied first.
pub const STACKS: [&[Way]; 3] =
    [&[Way::Gzip, Way::Brotli], &[Way::Brotli, Way::Zstd], &[Way::Zstd, Way::Zlib, Way::Gzip]];

/// Each way for itself, and the [`STACKS`].
pub fn all() -> Vec<Vec<Way>> {
    WAYS.iter().map(|way| vec![*way]).chain(STACKS.iter().map(|stack| stack.to_vec())).collect()
}

/// How large a window a stream asks for, as a logarithm.
const BROTLI_WINDOW_BITS: u32 = 22;
/// How hard Brotli tries: as servers do for what they make while it is asked for.
const BROTLI_QUALITY: u32 = 4;

impl Way {
    /// Its name in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib | Self::Bare => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// What `Content-Encoding` says of a body that is packed in those ways.
pub fn content_encoding(ways: &[Way]) -> String {
    ways.iter().map(|way| way.name()).collect::<Vec<_>>().join(", ")
}

/// That content, packed.
pub fn pack(ways: &[Way], content: &[u8]) -> Vec<u8> {
    ways.iter().fold(content.to_vec(), |content, way| {
        let mut layer = Layer::new(*way);
        layer.write(&content);
        layer.finish()
    })
}

/// Zeros without end, nearly: so many bytes of them, packed.
pub fn bomb(way: Way, bytes: usize) -> Vec<u8> {
    const ZEROS: &[u8] = &[0; 1 << 16];
    let mut layer = Layer::new(way);
    let mut left = bytes;
    while left > 0 {
        let part = left.min(ZEROS.len());
        layer.write(&ZEROS[..part]);
        left -= part;
    }
    layer.finish()
}

/// A Zstandard frame with a window of that size, as a logarithm, whatever it holds.
pub fn zstd_with_window(window_bits: u32, content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.window_log(window_bits).expect("a window");
    encoder.write_all(content).and_then(|()| encoder.finish()).expect("memory takes it")
}

/// A Brotli stream with a window of that size, as a logarithm.
pub fn brotli_with_window(window_bits: u32, content: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, BROTLI_QUALITY, window_bits);
    encoder.write_all(content).expect("memory takes it");
    encoder.into_inner()
}

/// Packs a stream.
pub struct Packer(Vec<Layer>);

impl Packer {
    /// A stream that is packed in those ways.
    pub fn new(ways: &[Way]) -> Self {
        Self(ways.iter().map(|way| Layer::new(*way)).collect())
    }

    /// Packs more, and flushes: what it returns is enough to unpack it.
    pub fn flushed(&mut self, content: &[u8]) -> Vec<u8> {
        self.0.iter_mut().fold(content.to_vec(), |content, layer| {
            layer.write(&content);
            layer.flush()
        })
    }

    /// The rest.
    pub fn finish(self) -> Vec<u8> {
        self.0.into_iter().fold(Vec::new(), |content, mut layer| {
            layer.write(&content);
            layer.finish()
        })
    }
}

enum Layer {
    Gzip(GzEncoder<Vec<u8>>),
    Zlib(ZlibEncoder<Vec<u8>>),
    Bare(DeflateEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Layer {
    fn new(way: Way) -> Self {
        let level = Compression::default();
        match way {
            Way::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), level)),
            Way::Zlib => Self::Zlib(ZlibEncoder::new(Vec::new(), level)),
            Way::Bare => Self::Bare(DeflateEncoder::new(Vec::new(), level)),
            Way::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                4096,
                BROTLI_QUALITY,
                BROTLI_WINDOW_BITS,
            ))),
            Way::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 3).expect("an encoder")),
        }
    }

    fn write(&mut self, content: &[u8]) {
        self.encoder().write_all(content).expect("memory takes it");
    }

    fn flush(&mut self) -> Vec<u8> {
        self.encoder().flush().expect("memory takes it");
        std::mem::take(match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zlib(encoder) => encoder.get_mut(),
            Self::Bare(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        })
    }

    fn finish(self) -> Vec<u8> {
        let packed = match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zlib(encoder) => encoder.finish(),
            Self::Bare(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Zstd(encoder) => encoder.finish(),
        };
        packed.expect("memory takes it")
    }

    fn encoder(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(encoder) => encoder,
            Self::Zlib(encoder) => encoder,
            Self::Bare(encoder) => encoder,
            Self::Brotli(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
        }
    }
}
