//! The events that a victim records: numbered, so that each one can be found again.

use mcplog::{Recorder, Request};

const STARTED_AT: i64 = 1_760_000_000_000;

/// The request id of event `number`.
pub fn request_id(number: u64) -> String {
    format!("0197a1c0-7b1e-7cc3-98c4-{number:012x}")
}

/// The number in a request id; `None` if no victim made it.
pub fn number(request_id: &str) -> Option<u64> {
    u64::from_str_radix(request_id.strip_prefix("0197a1c0-7b1e-7cc3-98c4-")?, 16).ok()
}

/// Records event `number`, in session `number % 7`; tells whether the store accepted it.
pub fn record(recorder: &Recorder, number: u64) -> bool {
    let (id, session) = (request_id(number), format!("session-{}", number % 7));
    let ts = STARTED_AT.saturating_add_unsigned(number);
    let mut request = Request::new(&id, ts, "files", "tools/call");
    request.session_id = Some(&session);
    request.tool = Some("search");
    recorder.try_record(request).is_ok()
}
