//! A parser of server-sent events that is obviously right: it has the whole stream, and takes it line by line as the WHATWG
//! HTML standard says.

use mcplog_observe::read::EVENT_ID_BYTES_MAX;

/// The longest event name or number of milliseconds that the product looks at, in bytes. The standard has no limit; what is
/// longer has no meaning to MCP.
const VALUE_BYTES_MAX: usize = 64;

/// What a stream says, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Event { name: String, data: Vec<u8> },
    Id(Vec<u8>),
    Retry(u64),
}

/// Everything that a stream says.
pub(crate) fn parse(stream: &[u8]) -> Vec<Said> {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let mut said = Vec::new();
    let (mut name, mut data): (&[u8], Option<Vec<u8>>) = (b"", None);
    for line in lines(stream) {
        if line.is_empty() {
            if let Some(data) = data.take() {
                let name = &name[..name.len().min(VALUE_BYTES_MAX)];
                said.push(Said::Event { name: std::str::from_utf8(name).unwrap_or("?").to_owned(), data });
            }
            name = b"";
            continue;
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => match &mut data {
                Some(data) => data.extend([b"\n", value].concat()),
                None => data = Some(value.to_vec()),
            },
            b"event" => name = value,
            b"id" if !value.contains(&0) => said.push(Said::Id(value[..value.len().min(EVENT_ID_BYTES_MAX)].to_vec())),
            b"retry" if (1..=VALUE_BYTES_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_digit) => {
                let digits = std::str::from_utf8(value).expect("digits");
                said.extend(digits.parse().ok().map(Said::Retry));
            }
            _ => {}
        }
    }
    said
}

/// The lines that have an end: what follows the last one is not complete, and says nothing yet.
fn lines(stream: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = stream;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        lines.push(&rest[..end]);
        let is_pair = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(is_pair)..];
    }
    lines
}
