//! A record in one line for people: what matters first, so that what is cut off is what matters least. Pure.

use crate::clock::Clock;
use crate::escape::escape;
use crate::fields::time_ms;
use crate::line::{BAD, BOLD, DIM, GOOD, Line, NAME, PLAIN, WARNING};
use anstyle::Style;
use mcplog::Status;
use mcplog::record::{Record, RequestRecord, SessionRecord};

/// The kinds as the column shows them; the widest has seven letters.
const KIND_WIDTH: usize = 7;
/// `timeout`.
const STATUS_WIDTH: usize = 7;
/// `999.99 ms`.
const LATENCY_WIDTH: usize = 9;

/// Time of day, kind and content.
pub(crate) fn summary(record: &Record<'_>, clock: &Clock) -> Line {
    let mut line = Line::of(DIM, clock.time_of_day(time_ms(record)));
    line.push(PLAIN, "  ");
    match record {
        Record::Request(request) => {
            kind(&mut line, PLAIN, "request");
            put_request(&mut line, request);
        }
        Record::Session(session) => {
            kind(&mut line, NAME, "session");
            put_session(&mut line, session);
        }
        Record::SessionClosed(closed) => {
            kind(&mut line, NAME, "closed");
            put(&mut line, PLAIN, &closed.session_id.text());
        }
        Record::SchemaVersion(version) => {
            kind(&mut line, NAME, "schema");
            put(&mut line, BOLD, version.method);
            put(&mut line, PLAIN, version.upstream_url);
            put(&mut line, PLAIN, &format!("{} bytes", version.payload.len()));
            put(&mut line, DIM, version.proxy);
            put(&mut line, DIM, version.content_hash);
        }
        Record::Gap(gap) => {
            kind(&mut line, WARNING, "gap");
            put(&mut line, WARNING, &format!("{} events lost", gap.events));
            put(&mut line, DIM, &format!("from {} on", clock.time_of_day(gap.from_ts)));
        }
    }
    line
}

fn put_request(line: &mut Line, request: &RequestRecord<'_>) {
    let (status, name) = (status_style(request.status), request.status.as_str());
    line.push(status, format!("{name:STATUS_WIDTH$}"));
    line.push(PLAIN, format!(" {:>LATENCY_WIDTH$}  ", latency(request.latency_us)));
    let subject = request.tool.or(request.target);
    line.push(if subject.is_some() { PLAIN } else { BOLD }, escape(request.method));
    if let Some(subject) = subject {
        line.push(PLAIN, " ");
        line.push(BOLD, escape(subject));
    }
    line.push(PLAIN, "  ");
    if request.tool_error == Some(true) {
        put(line, BAD, "tool error");
    }
    let error = [request.error_code, request.error_msg].into_iter().flatten().collect::<Vec<_>>().join(" ");
    put(line, status, &error);
    put(line, DIM, request.proxy);
    if let Some(session_id) = request.session_id {
        put(line, DIM, &format!("session {session_id}"));
    }
    put(line, DIM, &format!("request {}", request.request_id));
}

fn put_session(line: &mut Line, session: &SessionRecord<'_>) {
    let client = [session.client_name, session.client_version].into_iter().flatten().collect::<Vec<_>>().join(" ");
    put(line, BOLD, if client.is_empty() { "unknown client" } else { &client });
    if let Some(platform) = session.client_platform {
        put(line, PLAIN, platform);
    }
    if session.derived {
        put(line, DIM, "derived");
    }
    put(line, PLAIN, &session.session_id.text());
    put(line, DIM, session.proxy);
    put(line, DIM, session.protocol_version.unwrap_or_default());
}

fn kind(line: &mut Line, style: Style, name: &str) {
    line.push(style, format!("{name:KIND_WIDTH$}"));
    line.push(PLAIN, "  ");
}

fn put(line: &mut Line, style: Style, text: &str) {
    if !text.is_empty() {
        line.push(style, escape(text));
        line.push(PLAIN, "  ");
    }
}

const fn status_style(status: Status) -> Style {
    match status {
        Status::Ok => GOOD,
        Status::Error => BAD,
        Status::Timeout => WARNING,
    }
}

/// `850 µs`, `1.84 ms`, `12.30 s`.
fn latency(latency_us: i64) -> String {
    match latency_us {
        ..1_000 => format!("{latency_us} µs"),
        1_000..1_000_000 => format!("{}.{:02} ms", latency_us / 1_000, latency_us % 1_000 / 10),
        _ => format!("{}.{:02} s", latency_us / 1_000_000, latency_us % 1_000_000 / 10_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_said_in_the_unit_that_fits() {
        let cases = [
            (-5, "-5 µs"),
            (0, "0 µs"),
            (999, "999 µs"),
            (1_000, "1.00 ms"),
            (1_849, "1.84 ms"),
            (999_999, "999.99 ms"),
            (12_300_000, "12.30 s"),
            (i64::MIN, "-9223372036854775808 µs"),
        ];
        for (latency_us, expected) in cases {
            assert_eq!(latency(latency_us), expected);
        }
    }
}
