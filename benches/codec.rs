//! The pure parts of the way to the log: what each step costs for one event.
//!
//! `cargo bench --bench codec`. Each takes an event as the workload of the other benches has it.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use mcplog::record::{Id, IdBuffer, Record};
use mcplog::segment::format::{Frame, FrameHeader};
use mcplog::{Event, Request};

const SALT: u32 = 0x5eed_cafe;
const UUID: &str = "0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f";

fn main() {
    divan::main();
}

fn event() -> Event<'static> {
    let mut request = Request::new(UUID, 1_750_765_435_679, "files", "tools/call");
    request.session_id = Some("0123456789abcdef0123456789abcdef");
    request.tool = Some("read_file");
    request.latency_us = 1_840;
    (request.bytes_in, request.bytes_out) = (Some(180), Some(1_900));
    request.into()
}

fn payload() -> Vec<u8> {
    let mut payload = Vec::new();
    Record::from(event()).encode(&mut payload);
    payload
}

fn frame() -> Vec<u8> {
    let payload = payload();
    let header = FrameHeader::for_payload(SALT, 0, &payload);
    let mut frame = [header.length, header.index, header.crc].map(u32::to_le_bytes).concat();
    frame.extend_from_slice(&payload);
    frame.resize(frame.len().next_multiple_of(4), 0);
    frame
}

#[divan::bench]
fn id_from_text(bencher: Bencher) {
    bencher.bench_local(|| Id::new(black_box(UUID)));
}

#[divan::bench]
fn id_to_text(bencher: Bencher) {
    let id = Id::new(UUID);
    let mut buffer = IdBuffer::default();
    bencher.bench_local(|| black_box(id).text_in(&mut buffer).len());
}

#[divan::bench]
fn event_to_payload(bencher: Bencher) {
    let mut payload = Vec::with_capacity(1024);
    bencher.counter(BytesCount::new(self::payload().len())).bench_local(|| {
        payload.clear();
        Record::from(black_box(event())).encode(&mut payload);
        payload.len()
    });
}

#[divan::bench]
fn payload_to_record(bencher: Bencher) {
    let payload = payload();
    bencher
        .counter(BytesCount::new(payload.len()))
        .bench_local(|| Record::decode(black_box(&payload)).is_ok_and(|record| black_box(record).kind() as u8 == 1));
}

#[divan::bench]
fn frame_header(bencher: Bencher) {
    let payload = payload();
    bencher
        .counter(BytesCount::new(payload.len()))
        .bench_local(|| FrameHeader::for_payload(SALT, 7, black_box(&payload)));
}

#[divan::bench]
fn frame_check(bencher: Bencher) {
    let frame = frame();
    bencher.counter(BytesCount::new(frame.len())).bench_local(|| Frame::decode(black_box(&frame), SALT).is_ok());
}
