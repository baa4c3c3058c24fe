//! What must hold of the codec of frames, marks and headers for any bytes.

use mcplog::segment::format::{
    FRAME_HEADER_BYTES, Frame, FrameError, FrameHeader, HEADER_BYTES, HeaderError, MARK_BYTES, Mark, PAYLOAD_BYTES_MAX,
    SegmentHeader, frame_bytes,
};

/// The first four bytes are the salt; the others are read as a frame, as a mark and as a header, and then as the payload
/// of a frame whose checksum fits, which no fuzzer would guess.
pub fn check(input: &[u8]) {
    let Some((salt, bytes)) = input.split_first_chunk::<4>() else { return };
    let salt = u32::from_le_bytes(*salt);
    frame(bytes, salt);
    if let Some(bytes) = bytes.first_chunk::<MARK_BYTES>() {
        mark(bytes, salt);
    }
    if let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() {
        header(bytes);
    }
    if !bytes.is_empty() {
        sealed_frame(bytes, salt);
    }
}

fn frame(bytes: &[u8], salt: u32) {
    match Frame::decode(bytes, salt) {
        Ok(frame) => assert_eq!(encode(salt, frame.index, frame.payload)[..], bytes[..frame_length(&frame)]),
        Err(FrameError::Incomplete(needed)) => {
            assert!(needed as usize > bytes.len() && needed <= frame_bytes(PAYLOAD_BYTES_MAX));
        }
        Err(FrameError::Length(length)) => assert!(length > PAYLOAD_BYTES_MAX),
        Err(FrameError::Unwritten) => assert_eq!(bytes[..4], [0; 4]),
        Err(FrameError::Checksum { expected, found }) => assert_ne!(expected, found),
        Err(FrameError::Padding) => {}
        Err(FrameError::Index { .. }) => panic!("the codec knows of no index that is due"),
    }
}

fn mark(bytes: &[u8; MARK_BYTES], salt: u32) {
    if let Some(mark) = Mark::decode(bytes, salt) {
        assert_eq!(mark.encode(salt), *bytes);
    }
    // The same fields with a checksum that fits: what decodes is what was written.
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let extent =
        |at: usize| mcplog::segment::format::Extent { end: mcplog::position::Offset(word(at)), frames: word(at + 4) };
    let forged = Mark { generation: u64::from(word(0)), durable: extent(8), sealed: Some(extent(16)) };
    if let Some(read) = Mark::decode(&forged.encode(salt), salt)
        && read.sealed.is_some()
    {
        assert_eq!(read, forged);
        assert!(read.durable <= extent(16), "durable beyond the seal");
    }
}

fn header(bytes: &[u8; HEADER_BYTES]) {
    match SegmentHeader::decode(bytes) {
        Ok(header) => assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header)),
        Err(HeaderError::UnsupportedVersion(version)) => assert!(version > mcplog::segment::format::FORMAT_VERSION),
        Err(HeaderError::Corrupt { found, .. }) => assert!(found.chars().all(|c| c.is_ascii_graphic() || c == ' ')),
    }
}

/// What was written is read, every shorter piece of it asks for more, and no flipped bit passes.
fn sealed_frame(payload: &[u8], salt: u32) {
    let payload = &payload[..payload.len().min(64)];
    let index = u32::from(payload[0]);
    let written = encode(salt, index, payload);
    assert_eq!(Frame::decode(&written, salt), Ok(Frame { index, payload }));
    for length in 0..written.len() {
        assert!(matches!(Frame::decode(&written[..length], salt), Err(FrameError::Incomplete(_))), "{length} bytes");
    }
    for bit in 0..written.len() * 8 {
        let mut damaged = written.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Frame::decode(&damaged, salt).is_err(), "bit {bit} of {written:?}");
    }
}

fn encode(salt: u32, index: u32, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader::for_payload(salt, index, payload);
    let mut bytes: Vec<u8> =
        [header.length, header.index, header.crc].iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend_from_slice(payload);
    bytes.resize(frame_bytes(header.length) as usize, 0);
    bytes
}

fn frame_length(frame: &Frame<'_>) -> usize {
    (FRAME_HEADER_BYTES as usize + frame.payload.len()).next_multiple_of(4)
}
