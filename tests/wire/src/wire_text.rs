//! What bytes say, as they come: the events of a stream, the documents of a JSON body.
//!
//! Pure. Written for judging: simple, and slow where that is simpler.

use serde_json::Value;

/// What a part of a body said.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A message.
    Message(Value),
    /// The address where a stream of 2024-11-05 wants its messages.
    Endpoint(String),
    /// An event's id.
    EventId(String),
    /// How long clients are to wait before they resume, in milliseconds.
    Retry(u64),
}

/// Reads an event stream.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
    /// The last byte ended a line, and a line feed that follows it belongs to it.
    is_behind_return: bool,
    kind: String,
    data: Vec<String>,
}

impl Events {
    /// What these bytes say.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Said> {
        let mut said = Vec::new();
        for byte in bytes {
            let was_behind_return = std::mem::replace(&mut self.is_behind_return, *byte == b'\r');
            match byte {
                b'\n' if was_behind_return => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    self.take(&String::from_utf8_lossy(&line), &mut said);
                }
                byte => self.line.push(*byte),
            }
        }
        said
    }

    fn take(&mut self, line: &str, said: &mut Vec<Said>) {
        if line.is_empty() {
            let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data).join("\n"));
            match kind.as_str() {
                "" | "message" => said.extend(messages(&data).into_iter().map(Said::Message)),
                "endpoint" => said.push(Said::Endpoint(data)),
                _ => {}
            }
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "event" => self.kind = value,
            "data" => self.data.push(value),
            "id" => said.push(Said::EventId(value)),
            "retry" => said.extend(value.parse().ok().map(Said::Retry)),
            _ => {}
        }
    }
}

/// Reads a JSON body: a message, several of them in an array or on lines. What is no object says nothing.
#[derive(Debug, Default)]
pub struct Documents {
    object: Vec<u8>,
    depth: usize,
    is_in_text: bool,
    is_escaped: bool,
}

impl Documents {
    /// The messages that end in these bytes.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Value> {
        let mut messages = Vec::new();
        for byte in bytes {
            if self.depth == 0 && *byte != b'{' {
                continue;
            }
            self.object.push(*byte);
            match (*byte, self.is_in_text) {
                _ if self.is_escaped => self.is_escaped = false,
                (b'\\', true) => self.is_escaped = true,
                (b'"', _) => self.is_in_text = !self.is_in_text,
                (b'{', false) => self.depth += 1,
                (b'}', false) => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        messages.extend(serde_json::from_slice(&std::mem::take(&mut self.object)).ok());
                    }
                }
                _ => {}
            }
        }
        messages
    }

    /// The beginning of a message that does not end, if there is one.
    pub fn unfinished(&self) -> Option<String> {
        (self.depth > 0).then(|| String::from_utf8_lossy(&self.object).into_owned())
    }
}

fn messages(text: &str) -> Vec<Value> {
    match serde_json::from_str(text) {
        Ok(Value::Array(messages)) => messages,
        Ok(message) => vec![message],
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_says_the_same_in_any_pieces() {
        let text =
            b": hi\nid: 7\nretry: 5\r\ndata: {\"id\":1,\ndata: \"result\":{}}\n\nevent: endpoint\ndata: /m\n\ndata: {";
        let expected = [
            Said::EventId("7".to_owned()),
            Said::Retry(5),
            Said::Message(json!({"id": 1, "result": {}})),
            Said::Endpoint("/m".to_owned()),
        ];
        for length in 1..text.len() {
            let mut events = Events::default();
            let said: Vec<_> = text.chunks(length).flat_map(|piece| events.read(piece)).collect();
            assert_eq!(said, expected, "{length}");
        }
    }

    #[test]
    fn a_message_counts_when_its_last_brace_is_there() {
        let text = br#"[{"a":"}{\"","b":{}}, {"c":1}] {"d":"#;
        let mut documents = Documents::default();
        assert_eq!(documents.read(&text[..19]), Vec::<Value>::new());
        assert_eq!(documents.read(&text[19..]), [json!({"a": "}{\"", "b": {}}), json!({"c": 1})]);
        assert_eq!(documents.unfinished().as_deref(), Some(r#"{"d":"#));
    }
}
