//! The events that a victim records: numbered, so that each one can be found again.

use mcplog::{Recorder, Refusal, Refused, Request};
use std::time::{Duration, Instant};

const STARTED_AT: i64 = 1_760_000_000_000;
/// How long to sleep before looking for room in the channel again.
const WAIT_STEP: Duration = Duration::from_micros(200);

/// The request id of event `number`.
pub fn request_id(number: u64) -> String {
    format!("0197a1c0-7b1e-7cc3-98c4-{number:012x}")
}

/// The number in a request id; `None` if no victim made it.
pub fn number(request_id: &str) -> Option<u64> {
    u64::from_str_radix(request_id.strip_prefix("0197a1c0-7b1e-7cc3-98c4-")?, 16).ok()
}

/// Whether this is what event `number` said when it was recorded.
pub fn is_as_recorded(number: u64, ts: i64, session_id: Option<&str>) -> bool {
    ts == STARTED_AT.saturating_add_unsigned(number) && session_id == Some(&session_of(number))
}

fn session_of(number: u64) -> String {
    format!("session-{}", number % 7)
}

/// Records event `number`, in session `number % 7`; tells whether the store accepted it.
pub fn record(recorder: &Recorder, number: u64) -> bool {
    record_within(recorder, number, Duration::ZERO)
}

/// Records event `number`; if there is no room, the store drops it and counts it.
pub fn record_or_drop(recorder: &Recorder, number: u64) {
    with_event(number, |request| recorder.record(request));
}

/// Records event `number`, trying again for so long while the channel is full; tells whether the store accepted it.
pub fn record_within(recorder: &Recorder, number: u64, wait: Duration) -> bool {
    let start = Instant::now();
    with_event(number, |request| {
        loop {
            match recorder.try_record(request) {
                Ok(()) => return true,
                Err(Refused { reason: Refusal::Full, .. }) if start.elapsed() < wait => std::thread::sleep(WAIT_STEP),
                Err(_) => return false,
            }
        }
    })
}

fn with_event<T>(number: u64, record: impl FnOnce(Request<'_>) -> T) -> T {
    let (id, session) = (request_id(number), session_of(number));
    let ts = STARTED_AT.saturating_add_unsigned(number);
    let mut request = Request::new(&id, ts, "files", "tools/call");
    request.session_id = Some(&session);
    request.tool = Some("search");
    record(request)
}
