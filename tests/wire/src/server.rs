//! What a scripted server says: answers, errors, notifications, requests of its own.
//!
//! Pure but for the dice. It says anything that servers say, right or wrong.

use fastrand::Rng;
use serde_json::{Value, json};

/// A request as its server sees it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) id: Value,
    pub(crate) method: &'static str,
    /// Its client speaks a revision without sessions.
    pub(crate) is_modern: bool,
    /// Tools may become tasks.
    pub(crate) has_tasks: bool,
}

/// The server's choice about a handshake: which revision it agrees on, or that it refuses.
pub(crate) type Handshake = Result<&'static str, ()>;

/// The answer to that request.
pub(crate) fn answer(rng: &mut Rng, ask: &Ask, handshake: Handshake, tasks: &mut Vec<String>) -> Value {
    let id = lenient(rng, &ask.id);
    let code = |rng: &mut Rng| *rng.choice(&[-32603, -32602, -32000, -32001, -32601]).unwrap_or(&-32603);
    if ask.method == "initialize" {
        return match handshake {
            Ok(version) => {
                json!({"jsonrpc": "2.0", "id": id, "result": {"protocolVersion": version, "capabilities": {}}})
            }
            Err(()) => error(&id, -32600, "no"),
        };
    }
    if rng.u8(..10) < 2 {
        let code = code(rng);
        return error(&id, code, "it went wrong");
    }
    let result = match ask.method {
        "tools/call" => match rng.u8(..10) {
            0..2 => json!({"content": [{"type": "text", "text": "boom"}], "isError": true}),
            2..4 if ask.has_tasks => {
                let task = format!("task-{}", rng.u32(..));
                tasks.push(task.clone());
                json!({"task": {"taskId": task, "status": "working"}})
            }
            2..4 if ask.is_modern => json!({"resultType": "input_required", "inputRequests": {}}),
            _ => json!({"content": [{"type": "text", "text": "{\"id\":1,\"error\":{}}"}]}),
        },
        "tasks/result" => json!({"content": [], "isError": rng.bool()}),
        _ => json!({}),
    };
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// An error.
pub(crate) fn error(id: &Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

/// An error that names no request of anybody's.
pub(crate) fn nobody_s_error(rng: &mut Rng) -> Value {
    let id = match rng.u8(..3) {
        0 => json!("server-error"),
        1 => return json!({"jsonrpc": "2.0", "error": {"code": -32700, "message": "parse error"}}),
        _ => Value::Null,
    };
    let code = *rng.choice(&[-32700, -32600, -32000]).unwrap_or(&-32700);
    error(&id, code, "whose is it")
}

/// What is neither answer nor error. A request of the server's may well have an id that a client uses, too.
pub(crate) fn aside(rng: &mut Rng) -> Value {
    match rng.u8(..3) {
        0 => {
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 2}})
        }
        1 => {
            json!({"jsonrpc": "2.0", "id": rng.u8(1..5), "method": "sampling/createMessage", "params": {"messages": []}})
        }
        _ => json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": {"id": 1, "result": 1}}}),
    }
}

/// The id in another form, now and then.
fn lenient(rng: &mut Rng, id: &Value) -> Value {
    match id {
        Value::Number(number) if rng.u8(..20) == 0 => json!(number.to_string()),
        _ => id.clone(),
    }
}

/// An event of a stream.
pub(crate) fn event(rng: &mut Rng, id: Option<&str>, kind: Option<&str>, data: &str) -> String {
    let end = *rng.choice(&["\n", "\n", "\r\n"]).unwrap_or(&"\n");
    let mut text = String::new();
    if rng.u8(..10) == 0 {
        text = format!(": still here{end}");
    }
    for (name, value) in [("event", kind), ("id", id)] {
        if let Some(value) = value {
            text.push_str(&format!("{name}: {value}{end}"));
        }
    }
    // The data may be on several lines: between two of JSON's tokens that changes nothing.
    let data = if rng.u8(..10) == 0 { data.replacen(",\"", &format!(",{end}data: \""), 1) } else { data.to_owned() };
    text.push_str(&format!("data: {data}{end}{end}"));
    text
}
