//! What is packed is unpacked, in whatever pieces it comes, in bounded memory; what can't be is given up on.

use super::{Codings, Decoder, PIECE_BYTES, Unreadable, WORK_BYTES_MAX};
use crate::budget::{BUDGET_BYTES, Budget};
use mcplog_packing::{Packer, WAYS, Way, all, bomb, brotli_with_window, content_encoding, pack, zstd_with_window};

fn codings(ways: &[Way]) -> Codings {
    Codings::of([content_encoding(ways).as_str()])
}

fn decoder(ways: &[Way]) -> Decoder {
    Decoder::new(codings(ways), &Budget::default(), WORK_BYTES_MAX)
}

/// What comes of pieces, and how it ended.
fn unpack<'a>(decoder: &mut Decoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Result<(), Unreadable>) {
    let (mut unpacked, mut result) = (Vec::new(), Ok(()));
    for piece in pieces {
        let pushed = decoder.push(piece, |bytes| unpacked.extend_from_slice(bytes));
        assert!(result.is_ok() || pushed.is_err(), "readable again");
        result = pushed;
    }
    (unpacked, result)
}

/// Text that repeats, and text that hardly does; more than a piece of it.
fn content() -> Vec<u8> {
    content_of(4000)
}

fn content_of(lines: u32) -> Vec<u8> {
    let line = |number: u32| format!("{{\"id\":{},\"result\":{number}}}\n", number.wrapping_mul(2_654_435_761));
    (0..lines).map(line).collect::<String>().into_bytes()
}

#[test]
fn every_coding_is_unpacked_in_whatever_pieces_it_comes() {
    let content = content();
    assert!(content.len() > 3 * PIECE_BYTES);
    for ways in all() {
        let packed = pack(&ways, &content);
        for size in [1, 2, 3, 1000, 4096, packed.len()] {
            let mut decoder = decoder(&ways);
            let (unpacked, result) = unpack(&mut decoder, packed.chunks(size));
            assert!(unpacked == content && result.is_ok(), "{ways:?} in pieces of {size}: {}", unpacked.len());
            assert!(decoder.is_whole(), "{ways:?}");
        }
    }
}

#[test]
fn every_coding_is_unpacked_wherever_it_is_cut_in_two() {
    let content =
        br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"aaaaaaaaaaaaaaaaaaaaaaaaaa"}]}}"#;
    for ways in all() {
        let packed = pack(&ways, content);
        for cut in 0..=packed.len() {
            let mut decoder = decoder(&ways);
            let (unpacked, result) = unpack(&mut decoder, [&packed[..cut], &packed[cut..]]);
            assert!(unpacked == content && result.is_ok(), "{ways:?} cut at {cut}");
            // What is cut off is a beginning, and known to be one.
            let mut broken_off = self::decoder(&ways);
            let (unpacked, result) = unpack(&mut broken_off, [&packed[..cut]]);
            assert!(content.starts_with(&unpacked) && result.is_ok(), "{ways:?} broken off at {cut}");
            assert_eq!(broken_off.is_whole(), cut == 0 || cut == packed.len(), "{ways:?} broken off at {cut}");
        }
    }
}

#[test]
fn an_event_is_seen_as_soon_as_its_chunk_was_flushed() {
    for ways in all() {
        let mut packer = Packer::new(&ways);
        let mut decoder = decoder(&ways);
        for number in 0..100 {
            let event = format!("data: {{\"id\":{number},\"result\":{}}}\n\n", "x".repeat(number * 17));
            let (unpacked, result) = unpack(&mut decoder, [packer.flushed(event.as_bytes()).as_slice()]);
            assert!(unpacked == event.as_bytes() && result.is_ok(), "{ways:?}: event {number}");
        }
        let (rest, result) = unpack(&mut decoder, [packer.finish().as_slice()]);
        assert!(rest.is_empty() && result.is_ok() && decoder.is_whole(), "{ways:?}");
    }
}

#[test]
fn members_and_frames_may_follow_each_other() {
    for way in [Way::Gzip, Way::Zstd] {
        let parts = [pack(&[way], b"first "), pack(&[way], b""), pack(&[way], b"second")];
        for size in 1..40 {
            let mut decoder = decoder(&[way]);
            let (unpacked, result) = unpack(&mut decoder, parts.concat().chunks(size));
            assert!(unpacked == b"first second" && result.is_ok() && decoder.is_whole(), "{way:?} {size}");
        }
    }
    let skippable = [&[0x53, 0x2A, 0x4D, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let body = [skippable.clone(), pack(&[Way::Zstd], b"content"), skippable].concat();
    let mut decoder = decoder(&[Way::Zstd]);
    let (unpacked, result) = unpack(&mut decoder, body.chunks(1));
    assert!(unpacked == b"content" && result.is_ok() && decoder.is_whole());
}

#[test]
fn what_is_put_behind_the_end_is_no_part_of_it() {
    for way in WAYS {
        for garbage in [&[0; 300][..], b"{\"id\":1,\"result\":0}", b"\x1e\x8b", b"(\xb5/"] {
            let body = [&pack(&[way], b"content"), garbage].concat();
            for size in [1, 7, body.len()] {
                let mut decoder = decoder(&[way]);
                let (unpacked, result) = unpack(&mut decoder, body.chunks(size));
                assert!(unpacked == b"content" && result.is_ok(), "{way:?} {garbage:?} {size}: {unpacked:?}");
            }
        }
    }
}

#[test]
fn a_body_without_a_byte_is_read_whatever_its_coding() {
    for ways in all() {
        let budget = Budget::new(0);
        let decoder = Decoder::new(codings(&ways), &budget, WORK_BYTES_MAX);
        assert!(decoder.is_whole(), "{ways:?}");
    }
}

#[test]
fn what_comes_before_the_damage_is_read_and_nothing_after_it() {
    // Several blocks of Zstandard, which is unpacked a block at a time.
    let content = content_of(15_000);
    for way in WAYS {
        let packed = pack(&[way], &content);
        // In the middle; and in the checksum at the end, where there is one.
        let checksum_at = match way {
            Way::Gzip => Some(packed.len() - 5),
            Way::Zlib => Some(packed.len() - 1),
            Way::Bare | Way::Brotli | Way::Zstd => None,
        };
        for at in checksum_at.into_iter().chain([packed.len() / 2]) {
            let mut damaged = packed.clone();
            damaged[at] ^= 0xff;
            damaged[at - 1] ^= 0xff;
            let mut decoder = decoder(&[way]);
            let (unpacked, result) = unpack(&mut decoder, damaged.chunks(100));
            assert!(result.is_err() || unpacked != content, "{way:?} {at}");
            let shared = unpacked.iter().zip(&content).take_while(|(found, expected)| found == expected).count();
            assert!(shared > content.len() / 4, "{way:?} {at}: {shared} bytes were read");
            if checksum_at == Some(at) {
                assert!(unpacked == content && result.is_err(), "{way:?}: the checksum is wrong");
                assert_eq!(decoder.push(&packed, |_| panic!("after a failure")), Err(Unreadable));
            }
        }
    }
    for codings in [Codings::UNKNOWN, Codings::of(["compress"]), Codings::of(["gzip, dcb"])] {
        let mut decoder = Decoder::new(codings, &Budget::default(), WORK_BYTES_MAX);
        assert_eq!(decoder.push(b"x", |_| panic!("unpacked")), Err(Unreadable), "{codings:?}");
    }
    for ways in all().iter().filter(|ways| **ways != [Way::Bare]) {
        // The second looks like a Brotli stream without content.
        for text in [&b"this is not packed at all"[..], b"????", br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#] {
            let mut decoder = decoder(ways);
            let result = decoder.push(text, |_| {});
            assert!(result == Err(Unreadable) || !decoder.is_whole(), "{ways:?} {text:?}");
        }
    }
}

#[test]
fn a_wrong_checksum_of_zstandard_is_noticed() {
    let mut packed = zstd_with_checksum(b"content");
    *packed.last_mut().unwrap() ^= 1;
    for size in [1, packed.len()] {
        let (_, result) = unpack(&mut decoder(&[Way::Zstd]), packed.chunks(size));
        assert_eq!(result, Err(Unreadable));
    }
}

fn zstd_with_checksum(content: &[u8]) -> Vec<u8> {
    let mut packer = zstd_safe::CCtx::create();
    packer.set_parameter(zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
    let mut packed = Vec::with_capacity(1000);
    packer.compress2(&mut packed, content).unwrap();
    packed
}

#[test]
fn a_bomb_is_given_up_on() {
    const WORK: usize = 1 << 20;
    for way in WAYS {
        let packed = bomb(way, 64 * WORK);
        let mut decoder = Decoder::new(codings(&[way]), &Budget::default(), WORK as u64);
        let (mut total, mut largest) = (0, 0);
        let result = decoder.push(&packed, |bytes| {
            total += bytes.len();
            largest = largest.max(bytes.len());
        });
        assert_eq!(result, Err(Unreadable), "{way:?}");
        assert!(total <= WORK + 16 * packed.len() + PIECE_BYTES, "{way:?}: {total} bytes in all");
        assert!(largest <= PIECE_BYTES, "{way:?}: {largest} bytes at once");
    }
    // Text that packs as text does has no limit.
    let content = content();
    for way in WAYS {
        let mut decoder = Decoder::new(codings(&[way]), &Budget::default(), 0);
        let (unpacked, result) = unpack(&mut decoder, pack(&[way], &content).chunks(1000));
        assert!(unpacked == content && result.is_ok(), "{way:?}");
    }
}

/// How much is held while these bytes come in pieces, with a budget of that size, and how much of that is taken.
fn held_within(bytes_max: usize, ways: &[Way], packed: &[u8]) -> (u64, u64) {
    let budget = Budget::new(bytes_max);
    let memory = allocation_counter::measure(|| {
        let mut decoder = Decoder::new(codings(ways), &budget, WORK_BYTES_MAX);
        for piece in packed.chunks(4096) {
            if decoder.push(piece, |_| {}).is_err() {
                assert_eq!(budget.taken(), 0, "{ways:?}: what can't be read holds nothing");
                break;
            }
        }
    });
    assert_eq!((memory.bytes_current, budget.taken()), (0, 0), "{ways:?}: all is given back");
    (memory.bytes_max, budget.taken_most() as u64)
}

/// A gzip header with the longest of texts that mean nothing.
fn gzip_with_texts() -> Vec<u8> {
    let texts = [vec![b'n'; 70_000], vec![0], vec![b'c'; 70_000], vec![0]].concat();
    let head = [0x1f, 0x8b, 8, 0x04 | 0x08 | 0x10, 0, 0, 0, 0, 0, 3, 0xff, 0xff];
    [&head[..], &[b'e'; 65_535], &texts, &pack(&[Way::Bare], &content()), &[0; 8]].concat()
}

#[test]
fn what_is_held_was_taken_before() {
    // What a stack is made of: the list of its layers.
    const LIST_BYTES: u64 = 2048;
    let content = content();
    let mut cases: Vec<(Vec<Way>, Vec<u8>)> =
        all().into_iter().map(|ways| (ways.clone(), pack(&ways, &content))).collect();
    cases.extend(WAYS.map(|way| (vec![way], bomb(way, 9 << 20))));
    cases.push((vec![Way::Gzip], gzip_with_texts()));
    for bits in [10, 18, 22, 23, 24, 27] {
        cases.push((vec![Way::Zstd], zstd_with_window(bits, &content)));
        cases.push((vec![Way::Zstd], [zstd_with_window(bits, b"x"), zstd_with_window(20, &content)].concat()));
    }
    for bits in [10, 16, 22, 24] {
        cases.push((vec![Way::Brotli], brotli_with_window(bits, &content.repeat(100))));
    }
    for (ways, packed) in cases {
        for bytes_max in [0, 40_000, 100_000, 1 << 20, BUDGET_BYTES] {
            let (held, taken) = held_within(bytes_max, &ways, &packed);
            assert!(held <= taken + LIST_BYTES, "{ways:?} {}: {held} held, {taken} taken", packed.len());
            assert!(taken <= bytes_max as u64);
        }
    }
}

#[test]
fn windows_are_held_up_to_a_limit() {
    let content = content();
    for (bits, is_held) in [(10, true), (22, true), (23, true), (24, false), (27, false)] {
        let (unpacked, result) = unpack(&mut decoder(&[Way::Zstd]), [zstd_with_window(bits, &content).as_slice()]);
        assert_eq!((unpacked == content, result.is_ok()), (is_held, is_held), "zstd {bits}");
    }
    // Brotli's grows with what comes, and so may be larger than what is held.
    for bits in [10, 22, 24] {
        let (unpacked, result) = unpack(&mut decoder(&[Way::Brotli]), [brotli_with_window(bits, &content).as_slice()]);
        assert!(unpacked == content && result.is_ok(), "br {bits}");
    }
}
