//! Bytes pass as they are and as they come, both ways.

use super::fixture::{Fixture, bare, run};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::io::{Read, Write};

const MIB: usize = 1024 * 1024;

pub(crate) fn what_passes_is_what_passes_without_a_wrapper() {
    let requests = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n";
    let scripts: [&[&str]; 8] = [
        &["answer"],
        &["out:Starting up ...\x0a\x0d\x0a\x0a", "answer:1", "out:[debug] between\x0a", "answer"],
        &["out:{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\\x0d\\x0a", "answer"],
        &["answer", "out:{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}", "err:no line feed"],
        &["out:\\xff\\xfe\\x00\\x1b[31m\\xc3\\x28\\x0a", "err:\\xff\\x00", "copy"],
        &["err:bad\\x0a", "exit:3"],
        &["read-all"],
        &["copy"],
    ];
    let inputs: [&[u8]; 6] = [
        b"",
        requests.as_bytes(),
        &requests.replace('\n', "\r\n").into_bytes(),
        requests.trim_end().as_bytes(),
        b"\n\r\n\n{}\n[]\nnull\n\xff\xfe\x00\n{\"id\":1,\"method\":\"a\"",
        &b"{\"id\":".repeat(100_000),
    ];
    for script in scripts {
        for input in inputs {
            let fixture = Fixture::new();
            let (expected, wrapped) = (run(bare(script), input), run(fixture.wrapper(&[], script), input));
            assert_eq!(wrapped, expected, "{script:?} {:?}", String::from_utf8_lossy(&input[..input.len().min(80)]));
        }
    }
}

pub(crate) fn random_bytes_pass_in_random_pieces() {
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "(\\{\"jsonrpc\":\"2.0\",\"id\":[0-9],\"method\":\"tools/call\"\\}\r?\n){0,3}".prop_map(String::into_bytes),
        (0_usize..200_000).prop_map(|length| vec![b'['; length]),
    ];
    let outcome = runner.run(&prop::collection::vec(piece, 0..20), |pieces| {
        let fixture = Fixture::new();
        let mut wrapped = fixture.start(&[], &["copy"]);
        let mut stdin = wrapped.stdin.take().unwrap();
        let sent = pieces.concat();
        let writing = std::thread::spawn(move || pieces.iter().for_each(|piece| stdin.write_all(piece).unwrap()));
        let mut received = Vec::new();
        wrapped.stdout.take().unwrap().read_to_end(&mut received).unwrap();
        writing.join().unwrap();
        prop_assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
        prop_assert!(wrapped.end().success());
        Ok(())
    });
    outcome.unwrap();
}

pub(crate) fn a_line_of_64_mib_passes_both_ways_at_once() {
    let fixture = Fixture::new();
    let mut wrapped = fixture.start(&[], &["copy"]);
    let (mut stdin, mut stdout) = (wrapped.stdin.take().unwrap(), wrapped.stdout.take().unwrap());
    let head = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"big\",\"arguments\":\"";
    let chunk: Vec<u8> = (0..MIB).map(|at| b"abcdefghijklmnopqrstuvwxyz"[at % 26]).collect();
    let expected = chunk.clone();
    let writing = std::thread::spawn(move || {
        stdin.write_all(head).unwrap();
        (0..64).for_each(|_| stdin.write_all(&chunk).unwrap());
        stdin.write_all(b"\"}}\n").unwrap();
    });
    let mut received = vec![0; head.len()];
    stdout.read_exact(&mut received).unwrap();
    assert_eq!(received, head);
    for _ in 0..64 {
        received.resize(MIB, 0);
        stdout.read_exact(&mut received).unwrap();
        assert!(received == expected);
    }
    received.clear();
    stdout.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"\"}}\n");
    writing.join().unwrap();
    assert!(wrapped.end().success());
}

pub(crate) fn no_byte_waits_for_its_line() {
    let fixture = Fixture::new();
    let mut wrapped = fixture.start(&[], &["copy"]);
    for byte in b"{\"jsonrpc\":\"2.0\"" {
        let mut received = [0];
        wrapped.stdin.as_mut().unwrap().write_all(&[*byte]).unwrap();
        wrapped.stdout.as_mut().unwrap().read_exact(&mut received).unwrap();
        assert_eq!(received, [*byte]);
    }
}

pub(crate) fn a_client_that_does_not_read_holds_up_nothing_but_what_it_does_not_read() {
    let fixture = Fixture::new();
    // It fills its output while it reads all of its input.
    let script = ["child", "flood", "end-child", "read-all", "err:all is read\\x0a"];
    let mut wrapped = fixture.start(&["--grace", "10ms"], &script);
    let line = format!("{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\",\"params\":\"{}\"}}\n", "x".repeat(MIB));
    (0..4).for_each(|_| wrapped.send(&line));
    wrapped.stdin = None;
    wrapped.wait_for_errors("all is read");
    wrapped.stdout = None;
    wrapped.end();
}

pub(crate) fn errors_pass_while_nobody_reads_the_output() {
    let fixture = Fixture::new();
    let mut wrapped =
        fixture.start(&["--grace", "10ms"], &["child", "flood", "end-child", "read-line", "err:one\\x0a", "hang"]);
    wrapped.send("{}\n");
    wrapped.wait_for_errors("one\n");
    (wrapped.stdin, wrapped.stdout) = (None, None);
    wrapped.end();
}
