//! The header of a Zstandard frame, as far as it says how much memory the frame takes.
//!
//! Pure. RFC 8878, section 3.1.1; the library reads it again, and checks it.

/// The longest header, in bytes.
pub(super) const HEADER_BYTES_MAX: usize = 18;

const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// What skippable frames begin with, but for the lowest four bits.
const SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2A, 0x4D, 0x18];
/// How many bytes name a dictionary, and say how long the content is, by the descriptor's bits.
const DICTIONARY_BYTES: [usize; 4] = [0, 1, 2, 4];
const CONTENT_SIZE_BYTES: [usize; 4] = [0, 2, 4, 8];
/// Window sizes begin here, as a logarithm.
const WINDOW_BITS_MIN: u32 = 10;

/// What the beginning of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameStart {
    /// More bytes are needed.
    Short,
    /// A window of that many bytes.
    Window(u64),
    /// There is nothing in it to be unpacked.
    Skippable,
    /// It is no frame.
    Foreign,
}

/// Looks at the beginning of a frame.
pub(super) fn frame_start(bytes: &[u8]) -> FrameStart {
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        let is_skippable = bytes
            .iter()
            .zip(SKIPPABLE_MAGIC)
            .enumerate()
            .all(|(at, (byte, magic))| if at == 0 { byte & 0xf0 == magic } else { *byte == magic });
        return match is_skippable {
            true if known < MAGIC.len() => FrameStart::Short,
            true => FrameStart::Skippable,
            false => FrameStart::Foreign,
        };
    }
    let Some(descriptor) = bytes.get(MAGIC.len()) else { return FrameStart::Short };
    let is_single_segment = descriptor & 0x20 != 0;
    let after_descriptor = MAGIC.len() + 1;
    if !is_single_segment {
        return bytes
            .get(after_descriptor)
            .map_or(FrameStart::Short, |window| FrameStart::Window(window_bytes(*window)));
    }
    // All of the content is the window.
    let start = after_descriptor + DICTIONARY_BYTES[usize::from(descriptor & 3)];
    let size_bytes = CONTENT_SIZE_BYTES[usize::from(descriptor >> 6)].max(1);
    let Some(field) = bytes.get(start..start + size_bytes) else { return FrameStart::Short };
    let mut number = [0; 8];
    number[..size_bytes].copy_from_slice(field);
    let number = u64::from_le_bytes(number);
    FrameStart::Window(if size_bytes == 2 { number + 256 } else { number })
}

fn window_bytes(descriptor: u8) -> u64 {
    let base = 1_u64 << (WINDOW_BITS_MIN + u32::from(descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(rest: &[u8]) -> FrameStart {
        let bytes = [&MAGIC, rest].concat();
        // Less than what decides is never decided otherwise.
        let whole = frame_start(&bytes);
        for len in 0..bytes.len() {
            let start = frame_start(&bytes[..len]);
            assert!(start == FrameStart::Short || start == whole, "{len} of {bytes:?}");
        }
        whole
    }

    #[test]
    fn a_frame_says_how_large_its_window_is() {
        use FrameStart::{Short, Window};
        assert_eq!(frame(&[]), Short);
        assert_eq!(frame(&[0x00, 0x00]), Window(1024));
        assert_eq!(frame(&[0x00, 0x68]), Window(8 << 20));
        assert_eq!(frame(&[0x00, 0x69]), Window(9 << 20));
        assert_eq!(frame(&[0x00, 0xff]), Window((1 << 41) + 7 * (1 << 38)));
        assert_eq!(frame(&[0x20]), Short);
        assert_eq!(frame(&[0x20, 7]), Window(7));
        assert_eq!(frame(&[0x60, 1, 1]), Window(256 + 257));
        assert_eq!(frame(&[0xa0, 0, 0, 1, 0]), Window(1 << 16));
        assert_eq!(frame(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80]), Window(1 << 63));
        assert_eq!(frame(&[0x23, 9, 9, 9, 9, 7]), Window(7), "with a dictionary");
        assert_eq!(frame(&[0xe3, 9, 9, 9, 9, 1, 0, 0, 0, 0, 0, 0, 0]), Window(1), "the longest header");
        assert_eq!(MAGIC.len() + 1 + 4 + 8 + 1, HEADER_BYTES_MAX);
    }

    #[test]
    fn what_is_skippable_and_what_is_no_frame_is_told() {
        for first in 0x50..=0x5f {
            assert_eq!(frame_start(&[first, 0x2A, 0x4D, 0x18]), FrameStart::Skippable);
            assert_eq!(frame_start(&[first, 0x2A]), FrameStart::Short);
        }
        for bytes in [&b"{"[..], b"\x1f\x8b", &[0x28, 0xB5, 0x2F, 0xFC], &[0x4f, 0x2A, 0x4D, 0x18], &[0x50, 0x2A, 0]] {
            assert_eq!(frame_start(bytes), FrameStart::Foreign, "{bytes:?}");
        }
    }
}
