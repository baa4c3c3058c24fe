//! Events survive the way through a block, whatever they hold.

use super::packing::{WORD_BYTES, pack};
use super::unpacking::{copy, event_words, unpack};
use crate::event::any::{with_any_details, with_one_detail_each};
use crate::event::{Code, Event, Request, SchemaVersion, Session, SessionClosed, Status};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["", ".{1,12}", ".{100,400}"]
}

fn option() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text())
}

fn packed(event: &Event<'_>) -> Vec<u8> {
    let count = pack(event, &[]);
    let block: Vec<_> = (0..count + 3).map(|_| AtomicU64::new(u64::MAX)).collect();
    assert_eq!(pack(event, &block[..count]), count);
    assert!(block[count..].iter().all(|word| word.load(Ordering::Relaxed) == u64::MAX));
    let mut bytes = Vec::new();
    copy(event_words(&block), &mut bytes);
    assert_eq!(bytes.len(), count * WORD_BYTES);
    bytes
}

fn survives(event: Event<'_>) -> Result<(), TestCaseError> {
    let packed = packed(&event);
    prop_assert_eq!(unpack(&packed), event);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_request_survives_the_channel(
        texts in proptest::array::uniform3(text()), options in proptest::array::uniform2(option()),
        numbers in any::<(i64, i64)>(), status in 0..3_usize, details in any::<u64>(), long in text(),
    ) {
        let mut request = Request::new(&texts[0], numbers.0, &texts[1], &texts[2]);
        (request.latency_us, request.status) = (numbers.1, Status::ALL[status]);
        [request.session_id, request.tool] = options.each_ref().map(Option::as_deref);
        with_any_details(&mut request, details);
        request.target = Some(&long);
        survives(request.into())?;
    }

    #[test]
    fn any_other_event_survives_the_channel(
        texts in proptest::array::uniform5(text()), options in proptest::array::uniform4(option()),
        ts in any::<i64>(), derived in any::<bool>(), noise_lines in any::<Option<i64>>(),
    ) {
        let mut session = Session::new(&texts[0], ts, &texts[1]);
        let [name, version, platform, protocol] = options.each_ref().map(Option::as_deref);
        (session.client_name, session.client_version, session.client_platform) = (name, version, platform);
        (session.protocol_version, session.derived, session.noise_lines) = (protocol, derived, noise_lines);
        survives(session.into())?;
        survives(SessionClosed::new(&texts[0], ts).into())?;
        survives(SchemaVersion::new(ts, &texts[0], &texts[1], &texts[2], &texts[3], &texts[4]).into())?;
    }
}

#[test]
fn each_detail_alone_survives_the_channel_and_takes_room() {
    let without = pack(&Request::new("id", 1, "proxy", "ping"), &[]);
    for (name, request) in with_one_detail_each() {
        let packed = packed(&request.into());
        assert_eq!(unpack(&packed), request.into(), "{name}");
        // `tool_error` alone has its bits in the head.
        assert!(packed.len() > without * WORD_BYTES || name == "tool_error", "{name}");
    }
}

#[test]
fn an_error_message_is_cut_behind_513_characters_and_not_within_one() {
    let long = "é".repeat(600);
    let mut request = Request::new("id", 0, "p", "m");
    request.error_msg = Some(&long);
    let packed = packed(&request.into());
    let Event::Request(request) = unpack(&packed) else { panic!("not a request") };
    assert_eq!(request.error_msg, Some(&long[..1026]));
}

#[test]
fn every_length_of_text_up_to_three_words_survives() {
    let text = "abcdefghijklmnopqrstuvwxyz";
    for length in 0..=25 {
        let closed = SessionClosed::new(&text[..length], 1).into();
        let packed = packed(&closed);
        assert_eq!(unpack(&packed), closed, "{length}");
    }
}
