//! One line, one event: the format that `mcplog ingest` reads.
//!
//! Pure. Reasons say where a line is wrong, never what it says: the events are private, the reasons end up in logs.

use super::details::{Details, Members};
use super::reason::{Example, Reason};
use super::text::Text;
use mcplog::{Event, Request, SchemaVersion, Session, SessionClosed, Status};
use mcplog_terminal::moment::UNIX_MS;
use serde::Deserialize;
use serde_json::error::Category;

/// A line that was understood; it borrows from the text it was read from. Events borrow from it in turn.
#[derive(Debug)]
pub(super) enum Line<'a> {
    Request(RequestLine<'a>),
    Session(SessionLine<'a>),
    SessionClosed(SessionClosedLine<'a>),
    SchemaVersion(SchemaVersionLine<'a>),
}

/// What a log says of itself, as `wal-inspect dump --json` prints it: no event.
const OF_THE_LOG: [&str; 4] = ["gap", "clock_step", "writer_began", "writer_ended"];

/// Understands a line. `Ok(None)`: it is blank, or what a log says of itself.
pub(super) fn parse(text: &[u8]) -> Result<Option<Line<'_>>, Reason> {
    let text = text.trim_ascii();
    match text.first() {
        None => return Ok(None),
        // Serde would take an array as the fields in their order.
        Some(first) if *first != b'{' => return Err(Reason::NotAnObject),
        Some(_) => {}
    }
    // Two passes, so that each type has fields of its own: what is listed for another type is ignored here.
    let Kind { kind } = from_json(text)?;
    let line = match kind.as_str() {
        "request" => Line::Request(RequestLine::parse(text)?),
        "session" => Line::Session(from_json(text)?),
        "session_closed" => Line::SessionClosed(from_json(text)?),
        "schema_version" => Line::SchemaVersion(from_json(text)?),
        other if OF_THE_LOG.contains(&other) => return Ok(None),
        _ => {
            let expected = "request, session, session_closed or schema_version".to_owned();
            return Err(Reason::Wrong { field: "type".to_owned(), expected });
        }
    };
    let (field, time) = line.time();
    // What is no time of these years is in another unit. Taken for milliseconds, it would be of 1970 or of a year that no
    // calendar reaches, and expire at once or never.
    match UNIX_MS.contains(&time) {
        true => Ok(Some(line)),
        false => Err(Reason::Time { field, example: Example(time) }),
    }
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

/// A request: the members that each has a place of its own for, and those that are details.
#[derive(Debug)]
pub(super) struct RequestLine<'a> {
    key: RequestKey<'a>,
    status: Status,
    details: Details<'a>,
}

#[derive(Debug, Deserialize)]
struct RequestKey<'a> {
    #[serde(borrow)]
    request_id: Text<'a>,
    ts: i64,
    proxy: Text<'a>,
    session_id: Option<Text<'a>>,
    method: Text<'a>,
    tool: Option<Text<'a>>,
    latency_us: i64,
    status: Text<'a>,
}

impl<'a> RequestLine<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, Reason> {
        let key: RequestKey<'a> = from_json(text)?;
        let expected = || Reason::Wrong { field: "status".to_owned(), expected: "ok, error or timeout".to_owned() };
        let status = Status::from_name(key.status.as_str()).ok_or_else(expected)?;
        let members: Members<'a> = from_json(text)?;
        Ok(Self { key, status, details: Details::parse(&members)? })
    }

    fn event(&self) -> Event<'_> {
        let RequestKey { request_id, proxy, method, .. } = &self.key;
        let mut request = Request::new(request_id.as_str(), self.key.ts, proxy.as_str(), method.as_str());
        request.session_id = optional(&self.key.session_id);
        request.tool = optional(&self.key.tool);
        request.latency_us = self.key.latency_us;
        request.status = self.status;
        self.details.put_into(&mut request);
        request.into()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct SessionLine<'a> {
    #[serde(borrow)]
    session_id: Text<'a>,
    proxy: Text<'a>,
    started_at: i64,
    client_name: Option<Text<'a>>,
    client_version: Option<Text<'a>>,
    client_platform: Option<Text<'a>>,
    protocol_version: Option<Text<'a>>,
    derived: Option<bool>,
    noise_lines: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SessionClosedLine<'a> {
    #[serde(borrow)]
    session_id: Text<'a>,
    ended_at: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct SchemaVersionLine<'a> {
    ts: i64,
    #[serde(borrow)]
    proxy: Text<'a>,
    upstream_url: Text<'a>,
    method: Text<'a>,
    payload: Option<Text<'a>>,
    content_hash: Text<'a>,
    caller: Option<Text<'a>>,
}

impl Line<'_> {
    /// The name of its time, and the time.
    fn time(&self) -> (&'static str, i64) {
        match self {
            Self::Request(line) => ("ts", line.key.ts),
            Self::Session(line) => ("started_at", line.started_at),
            Self::SessionClosed(line) => ("ended_at", line.ended_at),
            Self::SchemaVersion(line) => ("ts", line.ts),
        }
    }

    /// The event that the line describes.
    pub(super) fn event(&self) -> Event<'_> {
        match self {
            Self::Request(line) => line.event(),
            Self::Session(line) => {
                let mut session = Session::new(line.session_id.as_str(), line.started_at, line.proxy.as_str());
                session.client_name = optional(&line.client_name);
                session.client_version = optional(&line.client_version);
                session.client_platform = optional(&line.client_platform);
                session.protocol_version = optional(&line.protocol_version);
                session.derived = line.derived.unwrap_or(false);
                session.noise_lines = line.noise_lines;
                session.into()
            }
            Self::SessionClosed(line) => SessionClosed::new(line.session_id.as_str(), line.ended_at).into(),
            Self::SchemaVersion(line) => {
                let mut version = SchemaVersion::seen_again(
                    line.ts,
                    line.proxy.as_str(),
                    line.upstream_url.as_str(),
                    line.method.as_str(),
                    line.content_hash.as_str(),
                );
                version.payload = optional(&line.payload);
                version.caller = optional(&line.caller).unwrap_or_default();
                version.into()
            }
        }
    }
}

fn optional<'a>(text: &'a Option<Text<'_>>) -> Option<&'a str> {
    text.as_ref().map(Text::as_str)
}

fn from_json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Reason> {
    serde_json::from_slice(text).map_err(|error| match error.classify() {
        Category::Syntax | Category::Io => Reason::NotJson { column: error.column() },
        Category::Eof => Reason::CutOff,
        Category::Data => data_reason::<T>(text),
    })
}

/// Parses once more, to learn which field is wrong. Bad lines may cost twice.
fn data_reason<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Reason {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut deserializer) else {
        return Reason::NotJson { column: text.len() };
    };
    let field = error.path().to_string();
    let message = error.inner().to_string();
    let message = message.rsplit_once(" at line ").map_or(&*message, |(before, _)| before);
    // "missing field `ts`", "duplicate field `ts`": the name is this format's, not the line's.
    let named = |prefix: &str| message.strip_prefix(prefix)?.strip_suffix('`').map(str::to_owned);
    if let Some(field) = named("missing field `") {
        return Reason::Missing(field);
    }
    if let Some(field) = named("duplicate field `") {
        return Reason::Duplicate(field);
    }
    // "invalid type: string \"...\", expected i64": what was found is the line's and stays out.
    let expected = match message.rsplit_once(", expected ").map(|(_, expected)| expected) {
        Some("i64") => "a whole number",
        Some("a boolean") => "true or false",
        Some("a string") => "a string",
        _ => "another type",
    };
    Reason::Wrong { field, expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcplog::event::{Direction, Note, Notes, Outcome, Transport};

    const TS: i64 = 1_760_000_000_000;

    fn reason(line: &str) -> String {
        parse(line.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn every_field_of_every_type_arrives() {
        let line = parse(
            br#"{"type":"request","request_id":"r","ts":1760000000000,"proxy":"p","session_id":"s","method":"m","tool":"t",
                "latency_us":2,"status":"timeout","error_code":"c","error_msg":"e","bytes_in":3,"bytes_out":4,
                "tool_error":true,"target":"u","protocol_version":"v","rpc_id":"7","http_status":404,"transport":"sse",
                "endpoint":"/mcp","outcome":"lost","cause":"c","direction":"server","principal":"who",
                "trace_id":"0af7651916cd43dd8448eb211c80319C","parent_span_id":"b7ad6b7169203331","retry_of":"r0",
                "input_wait_us":5,"notes":["late_answer","note_9"]}"#,
        );
        let line = line.unwrap().unwrap();
        let mut request = Request::new("r", TS, "p", "m");
        request.session_id = Some("s");
        request.tool = Some("t");
        request.latency_us = 2;
        request.status = Status::Timeout;
        request.error_code = Some("c");
        request.error_msg = Some("e");
        request.bytes_in = Some(3);
        request.bytes_out = Some(4);
        request.tool_error = Some(true);
        request.target = Some("u");
        request.protocol_version = Some("v");
        request.rpc_id = Some("7");
        (request.http_status, request.transport) = (Some(404), Some(Transport::Sse));
        (request.endpoint, request.outcome, request.cause) = (Some("/mcp"), Some(Outcome::Lost), Some("c"));
        (request.direction, request.principal) = (Some(Direction::Server), Some("who"));
        request.trace_id = Some(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
        request.parent_span_id = Some(0xb7ad_6b71_6920_3331_u64.to_be_bytes());
        (request.retry_of, request.input_wait_us) = (Some("r0"), Some(5));
        request.notes = Notes::from_bits(1 << 9).with(Note::LateAnswer);
        assert_eq!(line.event(), request.into());

        let line = parse(
            br#"{"type":"session","session_id":"s","proxy":"p","started_at":1760000000000,"client_name":"n","client_version":"v",
                "client_platform":"claude","protocol_version":"2025-11-25","derived":true,"noise_lines":7}"#,
        );
        let line = line.unwrap().unwrap();
        let mut session = Session::new("s", TS, "p");
        session.client_name = Some("n");
        session.client_version = Some("v");
        session.client_platform = Some("claude");
        session.protocol_version = Some("2025-11-25");
        session.derived = true;
        session.noise_lines = Some(7);
        assert_eq!(line.event(), session.into());

        let line = parse(br#"{"type":"session_closed","session_id":"s","ended_at":1760000000000}"#).unwrap().unwrap();
        assert_eq!(line.event(), SessionClosed::new("s", TS).into());

        let line = parse(
            br#"{"type":"schema_version","ts":1760000000000,"proxy":"p","upstream_url":"u","method":"tools/list",
                "payload":"{\"tools\":[]}","content_hash":"h"}"#,
        );
        let line = line.unwrap().unwrap();
        let version = SchemaVersion::new(TS, "p", "u", "tools/list", r#"{"tools":[]}"#, "h");
        assert_eq!(line.event(), version.into());

        let line = parse(
            br#"{"type":"schema_version","ts":1760000000000,"proxy":"p","upstream_url":"u","method":"tools/list",
                "payload":null,"content_hash":"h","caller":"c"}"#,
        );
        let line = line.unwrap().unwrap();
        let mut version = SchemaVersion::seen_again(TS, "p", "u", "tools/list", "h");
        version.caller = "c";
        assert_eq!(line.event(), version.into());
    }

    #[test]
    fn what_a_log_says_of_itself_is_no_event() {
        for kind in OF_THE_LOG {
            assert!(parse(format!(r#"{{"type":"{kind}","sequence":1}}"#).as_bytes()).unwrap().is_none(), "{kind}");
        }
    }

    const REQUEST: &str = r#"{"type":"request","request_id":"r","ts":1760000000000,"proxy":"p","method":"m","latency_us":2,"status":"ok""#;

    #[test]
    fn absent_and_null_are_none_and_other_fields_are_ignored() {
        let bare = format!("{REQUEST}}}");
        let nulls = format!(
            r#"{REQUEST},"tool":null,"bytes_in":null,"tool_error":null,"ended_at":"other type's","x":[{{"y":1}}]}}"#
        );
        let bare = parse(bare.as_bytes()).unwrap().unwrap();
        let mut expected = Request::new("r", TS, "p", "m");
        expected.latency_us = 2;
        assert_eq!(bare.event(), expected.into());
        assert_eq!(parse(nulls.as_bytes()).unwrap().unwrap().event(), expected.into());
    }

    #[test]
    fn escapes_are_understood_and_plain_text_is_not_copied() {
        let line = format!(r#"{REQUEST},"tool":"a\"b\u00e9\ud83d\ude00\n","target":"plain"}}"#);
        let parsed = parse(line.as_bytes()).unwrap().unwrap();
        let Event::Request(request) = parsed.event() else { panic!("no request") };
        assert_eq!(request.tool, Some("a\"bé😀\n"));
        // Where it lies: in the line itself.
        let target = request.target.unwrap();
        assert_eq!(target, "plain");
        assert!(line.as_bytes().as_ptr_range().contains(&target.as_ptr()));
        assert!(line.as_bytes().as_ptr_range().contains(&request.method.as_ptr()));
    }

    #[test]
    fn blank_lines_are_no_events_and_no_errors() {
        for line in ["", " ", "\r", "\t  "] {
            assert!(parse(line.as_bytes()).unwrap().is_none());
        }
    }

    #[test]
    fn reasons_say_where_a_line_is_wrong() {
        let cases = [
            ("not json", "not a JSON object"),
            ("[1,2]", "not a JSON object"),
            (r#"{"type":"request",}"#, "not valid JSON, from column 19 on"),
            (r#"{"type":"request""#, "not a whole JSON object: the line ends too early"),
            (r#"{"ts":1}"#, "`type` is missing"),
            (r#"{"type":"SECRET"}"#, "`type` is wrong: expected request, session, session_closed or schema_version"),
            (r#"{"type":null}"#, "`type` is wrong: expected a string"),
            (r#"{"type":"session_closed","session_id":"s"}"#, "`ended_at` is missing"),
            (
                r#"{"type":"session_closed","session_id":"s","ended_at":null}"#,
                "`ended_at` is wrong: expected a whole number",
            ),
            (
                r#"{"type":"session_closed","session_id":"s","ended_at":"SECRET, expected SECRET"}"#,
                "`ended_at` is wrong: expected a whole number",
            ),
            (
                r#"{"type":"session_closed","session_id":"s","ended_at":1.5}"#,
                "`ended_at` is wrong: expected a whole number",
            ),
            (
                r#"{"type":"session_closed","session_id":"s","ended_at":99999999999999999999}"#,
                "`ended_at` is wrong: expected a whole number",
            ),
            (
                r#"{"type":"session_closed","session_id":["SECRET"],"ended_at":1}"#,
                "`session_id` is wrong: expected a string",
            ),
            (r#"{"type":"session_closed","session_id":"s","ended_at":1,"ended_at":2}"#, "`ended_at` appears twice"),
            (r#"{"type":"session_closed","session_id":"s","ended_at":1} SECRET"#, "not valid JSON, from column 57 on"),
        ];
        for (line, expected) in cases {
            assert_eq!(reason(line), expected, "{line}");
            assert!(!reason(line).contains("SECRET"));
        }
        let status = REQUEST.replace("ok", "SECRET");
        assert_eq!(reason(&format!("{status}}}")), "`status` is wrong: expected ok, error or timeout");
        for (member, expected) in [
            (r#""tool_error":"SECRET""#, "`tool_error` is wrong: expected true or false"),
            (r#""bytes_in":"SECRET""#, "`bytes_in` is wrong: expected a whole number"),
            (r#""target":["SECRET"]"#, "`target` is wrong: expected a string"),
            (r#""http_status":65536"#, "`http_status` is wrong: expected a whole number up to 65535"),
            (r#""transport":"SECRET""#, "`transport` is wrong: expected one of http, sse, stdio"),
            (r#""trace_id":"0af7""#, "`trace_id` is wrong: expected 32 hexadecimal digits"),
            (r#""notes":["SECRET"]"#, "`notes` is wrong: expected a list of the names of notes"),
            (r#""target":"SECRET","target":"SECRET""#, "`target` appears twice"),
        ] {
            assert_eq!(reason(&format!("{REQUEST},{member}}}")), expected);
        }
    }

    #[test]
    fn text_that_is_not_unicode_is_refused() {
        let mut line = format!(r#"{REQUEST},"tool":"?"}}"#).into_bytes();
        let position = line.iter().position(|byte| *byte == b'?').unwrap();
        line[position] = 0xff;
        assert!(matches!(parse(&line), Err(Reason::NotJson { .. })));
    }

    #[test]
    fn a_time_in_another_unit_is_refused_in_every_type_and_what_it_would_be_is_said() {
        let session = r#"{"type":"session","session_id":"s","proxy":"p","started_at":TS}"#;
        let closed = r#"{"type":"session_closed","session_id":"s","ended_at":TS}"#;
        let version = r#"{"type":"schema_version","ts":TS,"proxy":"p","upstream_url":"u","method":"m","payload":"{}","content_hash":"h"}"#;
        let request = format!("{REQUEST}}}").replace("1760000000000", "TS");
        for (line, field) in [(request.as_str(), "ts"), (session, "started_at"), (closed, "ended_at"), (version, "ts")]
        {
            for (number, meant) in [
                ("1760000000", "; it would be 2025-10-09 in seconds"),
                ("1760000000000000", "; it would be 2025-10-09 in microseconds"),
                ("946684799999", ""),
                ("4102444800000", ""),
                ("0", ""),
                ("-5", ""),
            ] {
                let expected = format!("`{field}` is no time from 2000 to 2100 in Unix milliseconds{meant}");
                assert_eq!(reason(&line.replace("TS", number)), expected, "{number}");
            }
            for number in ["946684800000", "4102444799999"] {
                assert!(parse(line.replace("TS", number).as_bytes()).unwrap().is_some(), "{number}");
            }
        }
    }
}
