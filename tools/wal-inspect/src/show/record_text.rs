//! A record in one line for people: what matters first, so that what is cut off is what matters least. Pure.

use crate::report::fields::time_ms;
use anstyle::Style;
use mcplog::Status;
use mcplog::record::{Record, RequestRecord, SessionRecord};
use mcplog_terminal::clock::{Clock, TimeStyle};
use mcplog_terminal::line::Line;
use mcplog_terminal::style::{BAD, DIM, GOOD, HEADER, NAME, PLAIN, WARNING};
use mcplog_terminal::units::{bytes, counted, duration_ms, latency};

/// The kinds as the column shows them; the widest has seven letters.
const KIND_WIDTH: usize = 7;
/// `timeout`.
const STATUS_WIDTH: usize = 7;
/// `999 ms`, `9.9 min`.
const LATENCY_WIDTH: usize = 7;

/// Time of day, kind and content.
pub(crate) fn summary(record: &Record<'_>, clock: &Clock) -> Line {
    let mut line = Line::of(DIM, time_of_day(clock, time_ms(record)));
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
            put(&mut line, HEADER, version.method);
            put(&mut line, PLAIN, version.upstream_url);
            match version.payload {
                Some(payload) => put(&mut line, PLAIN, &bytes(payload.len() as u64)),
                None => put(&mut line, PLAIN, "seen again"),
            }
            put(&mut line, PLAIN, version.caller);
            put(&mut line, DIM, version.proxy);
            put(&mut line, DIM, version.content_hash);
        }
        Record::Gap(gap) => {
            kind(&mut line, WARNING, "gap");
            put(&mut line, WARNING, &format!("{} lost", counted(gap.events, "event")));
            put(&mut line, DIM, &format!("from {} on", time_of_day(clock, gap.from_ts)));
        }
        Record::ClockStep(step) => {
            kind(&mut line, WARNING, "clock");
            let way = if step.step_ms() < 0 { "back" } else { "ahead" };
            put(&mut line, WARNING, &format!("set {way} by {}", duration_ms(step.step_ms().saturating_abs())));
            put(&mut line, DIM, &format!("from {}", clock.one_time(step.from_ts)));
            if step.between_runs {
                put(&mut line, DIM, "between two runs");
            }
        }
        Record::WriterBegan(began) => {
            kind(&mut line, NAME, "began");
            put(&mut line, PLAIN, &format!("{} {}", began.program, began.program_version));
            put(&mut line, PLAIN, &format!("process {}", began.process_id));
            put(&mut line, DIM, began.host);
        }
        Record::WriterEnded(_) => kind(&mut line, NAME, "ended"),
    }
    line
}

fn put_request(line: &mut Line, request: &RequestRecord<'_>) {
    let (status, name) = (status_style(request.status), request.status.as_str());
    line.push(status, format!("{name:STATUS_WIDTH$}"));
    line.push(PLAIN, format!(" {:>LATENCY_WIDTH$}  ", latency(request.latency_us)));
    let subject = request.tool.or(request.target);
    line.push(if subject.is_some() { PLAIN } else { HEADER }, request.method);
    if let Some(subject) = subject {
        line.push(PLAIN, " ");
        line.push(HEADER, subject);
    }
    line.push(PLAIN, "  ");
    let is_tool_error = request.tool_error == Some(true);
    if is_tool_error {
        put(line, BAD, "tool error");
    }
    let error = [request.error_code, request.error_msg].into_iter().flatten().collect::<Vec<_>>().join(" ");
    put(line, if is_tool_error { BAD } else { status }, &error);
    put(line, DIM, request.proxy);
    if let Some(session_id) = request.session_id {
        put(line, DIM, &format!("session {session_id}"));
    }
    put(line, DIM, &format!("request {}", request.request_id));
}

fn put_session(line: &mut Line, session: &SessionRecord<'_>) {
    let client = [session.client_name, session.client_version].into_iter().flatten().collect::<Vec<_>>().join(" ");
    put(line, HEADER, if client.is_empty() { "unknown client" } else { &client });
    if let Some(platform) = session.client_platform {
        put(line, PLAIN, platform);
    }
    if session.derived {
        put(line, DIM, "derived");
    }
    put(line, PLAIN, &session.session_id.text());
    put(line, DIM, session.proxy);
    put(line, DIM, session.protocol_version.unwrap_or_default());
    if let Some(lines) = session.noise_lines {
        put(line, DIM, &format!("{lines} lines of noise"));
    }
}

fn kind(line: &mut Line, style: Style, name: &str) {
    line.push(style, format!("{name:KIND_WIDTH$}"));
    line.push(PLAIN, "  ");
}

fn put(line: &mut Line, style: Style, text: &str) {
    if !text.is_empty() {
        line.push(style, text);
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

fn time_of_day(clock: &Clock, ts: i64) -> String {
    clock.time(ts, TimeStyle::Today)
}
