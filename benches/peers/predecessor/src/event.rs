//! The workload's events in the predecessor's types.

use mcpr_integrations::store::{RequestEvent, RequestStatus, SessionEvent, StoreEvent};
use measure::Event;
use measure::workload::{FIRST_TS, PROXY};

/// Its events own their strings.
#[inline]
pub(crate) fn request_event(event: &Event<'_>) -> StoreEvent {
    StoreEvent::Request(RequestEvent {
        request_id: event.request_id.into(),
        ts: event.ts,
        proxy: event.proxy.into(),
        session_id: Some(event.session_id.into()),
        method: event.method.into(),
        tool: Some(event.tool.into()),
        latency_us: event.latency_us,
        status: if event.failure.is_some() { RequestStatus::Error } else { RequestStatus::Ok },
        error_code: event.failure.map(|failure| failure.code.into()),
        error_msg: event.failure.map(|failure| failure.message.into()),
        bytes_in: Some(event.bytes_in),
        bytes_out: Some(event.bytes_out),
    })
}

/// Of a session that Claude's client began.
pub(crate) fn session_event(session: &str) -> StoreEvent {
    StoreEvent::Session(SessionEvent {
        session_id: session.into(),
        proxy: PROXY.into(),
        started_at: FIRST_TS,
        client_name: Some("claude-desktop".into()),
        client_version: Some("1.2.0".into()),
        client_platform: Some("claude".into()),
    })
}
