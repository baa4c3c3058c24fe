//! A line of the access log. Pure.
//!
//! Names are a client's to choose: they are cut, and characters that would act on a terminal are escaped.

use super::diagnostics::LogFormat;
use mcplog::event::Outcome;
use mcplog::{Request, Status};
use mcplog_terminal::text::beginning;
use mcplog_terminal::{json, moment};
use serde::Serialize;

/// How many characters of a method's or a tool's name are shown.
const NAME_CHARACTERS_MAX: usize = 128;

/// What a line has, in this order; docs/operating.md explains it.
#[derive(Serialize)]
pub(super) struct AccessLine<'a> {
    ts: i64,
    method: &'a str,
    tool: Option<&'a str>,
    client: Option<&'a str>,
    status: &'a str,
    outcome: &'a str,
    http_status: Option<u16>,
    latency_us: i64,
    request_id: &'a str,
}

impl<'a> AccessLine<'a> {
    /// The line of a request, of which the client is known or not.
    pub(super) fn new(request: &Request<'a>, client: Option<&'a str>) -> Self {
        let outcome = request.outcome.unwrap_or(match (request.status, request.tool_error) {
            (Status::Ok, Some(true)) => Outcome::ToolError,
            (Status::Ok, _) => Outcome::Ok,
            (Status::Error, _) => Outcome::Error,
            (Status::Timeout, _) => Outcome::Timeout,
        });
        Self {
            ts: request.ts,
            method: beginning(request.method, NAME_CHARACTERS_MAX),
            tool: request.tool.map(|tool| beginning(tool, NAME_CHARACTERS_MAX)),
            client,
            status: request.status.as_str(),
            outcome: outcome.as_str(),
            http_status: request.http_status,
            latency_us: request.latency_us,
            request_id: request.request_id,
        }
    }

    /// The line, with its end.
    pub(super) fn text(&self, format: LogFormat) -> String {
        if format == LogFormat::Json {
            return written(self);
        }
        let Self { ts, method, tool, client, status, outcome, http_status, latency_us, request_id } = self;
        let http_status = http_status.map_or_else(|| "-".to_owned(), |code| code.to_string());
        format!(
            "{} method={} tool={} client={} status={status} outcome={outcome} http_status={http_status} \
             latency_us={latency_us} request_id={}\n",
            moment::rfc3339(*ts),
            value(Some(method)),
            value(*tool),
            value(*client),
            value(Some(request_id)),
        )
    }

    /// What stands in the place of lines that were left out.
    pub(super) fn left_out(format: LogFormat, lines: u64) -> String {
        match format {
            LogFormat::Text => format!("{} left_out={lines}\n", moment::rfc3339_now()),
            LogFormat::Json => written(&serde_json::json!({ "left_out": lines })),
        }
    }
}

/// One JSON object and the end of the line.
fn written(object: &impl Serialize) -> String {
    let mut line = Vec::new();
    // Writing to memory does not fail.
    let _ = json::write_line(&mut line, object);
    String::from_utf8_lossy(&line).into_owned()
}

/// A value as it is where that is one word, else as a JSON string; `-` for none.
fn value(text: Option<&str>) -> String {
    let Some(text) = text else { return "-".to_owned() };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:@+-".contains(&byte);
    match !text.is_empty() && text != "-" && text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => written(&text).trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_the_page_says_and_hides_nothing_that_acts() {
        let mut request =
            Request::new("0195511c-0008-7cc3-98c4-dc0c0c07398f", 1_740_823_200_123, "files", "tools/call");
        (request.tool, request.latency_us) = (Some("a \"b\"\n\u{1b}[31m\u{202e}"), 1_500);
        (request.tool_error, request.http_status) = (Some(true), Some(200));
        (request.error_msg, request.target) = (Some("SECRET"), Some("SECRET"));
        (request.session_id, request.principal) = (Some("SECRET"), Some("SECRET"));
        let line = AccessLine::new(&request, Some("claude-ai"));
        let text = line.text(LogFormat::Text);
        assert_eq!(
            text,
            "2025-03-01T10:00:00.123Z method=tools/call tool=\"a \\\"b\\\"\\n\\u001b[31m\\u202e\" client=claude-ai \
             status=ok outcome=tool_error http_status=200 latency_us=1500 \
             request_id=0195511c-0008-7cc3-98c4-dc0c0c07398f\n"
        );
        let json = line.text(LogFormat::Json);
        assert!(!json.contains("SECRET") && json.ends_with("}\n"), "{json}");
        let object: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&object["tool"], &object["client"]), (&request.tool.into(), &"claude-ai".into()));
        let bare = AccessLine::new(&Request::new("r", 1_740_823_200_000, "p", "ping"), None).text(LogFormat::Text);
        assert!(bare.contains(" tool=- client=- status=ok outcome=ok http_status=- "), "{bare}");
        assert_eq!([value(Some("-")), value(Some(""))], ["\"-\"", "\"\""]);
    }

    #[test]
    fn what_was_left_out_is_a_line_of_the_format() {
        assert!(AccessLine::left_out(LogFormat::Text, 7).ends_with("Z left_out=7\n"));
        assert_eq!(AccessLine::left_out(LogFormat::Json, 7), "{\"left_out\":7}\n");
    }
}
