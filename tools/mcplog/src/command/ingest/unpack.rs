//! What was packed, as the text that it was: gzip and zstd by their first bytes, and a byte order mark before the text.
//!
//! Runs on the reader's thread, because the first read of a pipe may take as long as any other. Memory is bounded: a
//! decoder holds its window, and text is handed on as it comes, however much of it a few bytes unpack to.

use std::io::{self, Cursor, Error, ErrorKind, Read};

/// The longest window that a zstd stream may want: 2 to the power of this many bytes, 128 MiB, which all levels of zstd
/// keep to unless told `--long=28` or more.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How an input is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// How many bytes tell.
    pub(super) const BYTES: usize = 4;

    /// What the first bytes say (RFC 1952, RFC 8878).
    pub(super) fn of(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// The text of an input, without a byte order mark.
///
/// # Errors
/// What the decoder says; and text that is UTF-16.
pub(super) fn text_of(input: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let input = Peeked::new(input, Packing::BYTES);
    let text: Box<dyn Read + Send> = match Packing::of(input.first.get_ref()) {
        Packing::Plain => Box::new(input),
        Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    };
    let mut text = Peeked::new(text, 3);
    match text.first.get_ref().as_slice() {
        [0xef, 0xbb, 0xbf] => text.first = Cursor::default(),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            let what = "the text is UTF-16, and UTF-8 is wanted (`iconv -f UTF-16 -t UTF-8`)";
            return Err(Error::new(ErrorKind::InvalidData, what));
        }
        _ => {}
    }
    Ok(Box::new(text))
}

/// An input whose first bytes were looked at.
struct Peeked<R> {
    first: Cursor<Vec<u8>>,
    /// What reading them ended with. It is told behind them, as if nobody had looked.
    error: Option<Error>,
    rest: R,
}

impl<R: Read> Peeked<R> {
    /// Looks at so many bytes, or fewer where the input ends.
    fn new(mut rest: R, bytes: usize) -> Self {
        let mut first = Vec::with_capacity(bytes);
        let error = rest.by_ref().take(bytes as u64).read_to_end(&mut first).err();
        Self { first: Cursor::new(first), error, rest }
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.first.read(buffer)? {
            0 => self.error.take().map_or_else(|| self.rest.read(buffer), Err),
            read => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Gives out one byte at a time, as a slow pipe does.
    struct Slow(Cursor<Vec<u8>>);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let one = buffer.len().min(1);
            self.0.read(&mut buffer[..one])
        }
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(text, 1).unwrap()
    }

    fn read(packed: Vec<u8>) -> io::Result<String> {
        let mut text = String::new();
        text_of(Slow(Cursor::new(packed)))?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn text_is_the_same_however_it_was_packed_and_whatever_mark_stands_before_it() {
        for text in ["", "a", "ab", "abc", "one\ntwo\n", "größe"] {
            for mark in ["", "\u{feff}"] {
                let marked = format!("{mark}{text}");
                for packed in [marked.clone().into_bytes(), gzip(marked.as_bytes()), zstd(marked.as_bytes())] {
                    assert_eq!(read(packed).unwrap(), text);
                }
            }
        }
    }

    #[test]
    fn several_packed_files_behind_one_another_are_one_text() {
        assert_eq!(read([gzip(b"one\n"), gzip(b"two\n")].concat()).unwrap(), "one\ntwo\n");
        assert_eq!(read([zstd(b"one\n"), zstd(b"two\n")].concat()).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn what_is_cut_off_or_damaged_or_utf_16_is_an_error() {
        let text = "0123456789".repeat(100);
        for mut packed in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
            packed.truncate(packed.len() - 3);
            assert!(read(packed).is_err());
        }
        for utf_16 in [&b"\xff\xfea\0"[..], b"\xfe\xff\0a"] {
            assert!(read(utf_16.to_vec()).unwrap_err().to_string().contains("UTF-16"));
            assert!(read(gzip(utf_16)).is_err());
        }
    }

    #[test]
    fn a_window_beyond_the_bound_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(ZSTD_WINDOW_LOG_MAX + 1).unwrap();
        encoder.write_all(b"small").unwrap();
        assert!(read(encoder.finish().unwrap()).is_err());
    }
}
