//! The rules of a pipe in plain words, over whole lines that `serde_json` reads. Tests hold what was recorded against
//! them.

use super::Side;
use mcplog::event::{Direction, Outcome};
use serde_json::Value;

/// A row, as far as the rules tell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) direction: String,
    pub(super) method: String,
    pub(super) id: String,
    pub(super) outcome: String,
    pub(super) code: Option<String>,
    pub(super) is_late: bool,
    pub(super) is_lenient: bool,
}

struct Asked {
    side: Side,
    id: Value,
    method: String,
    is_taken_back: bool,
}

/// What should have been recorded so far.
#[derive(Default)]
pub(super) struct Judge {
    asked: Vec<Asked>,
    rows: Vec<Row>,
    noise: (u64, u64),
    ended: Option<&'static str>,
}

impl Judge {
    /// That side sent a whole line, without its line feed.
    pub(super) fn line(&mut self, side: Side, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        if line.trim_ascii().is_empty() {
            return;
        }
        let messages = match serde_json::from_str(&text) {
            Ok(Value::Array(messages)) => messages,
            Ok(message) => vec![message],
            Err(_) => Vec::new(),
        };
        let mut is_message = false;
        for message in messages.iter().filter(|message| message.is_object()) {
            is_message |= self.message(side, message);
        }
        if side == Side::Server && !is_message {
            self.noise = (self.noise.0 + 1, self.noise.1 + line.len() as u64);
        }
    }

    /// A party is gone. The first reason counts.
    pub(super) fn end(&mut self, code: &'static str) {
        let code = *self.ended.get_or_insert(code);
        for asked in std::mem::take(&mut self.asked) {
            if asked.is_taken_back { self.cancelled(&asked, false) } else { self.failed(&asked, code) }
        }
    }

    /// All rows, and the noise.
    pub(super) fn verdict(mut self) -> (Vec<Row>, (u64, u64)) {
        self.end("client_gone");
        self.rows.sort();
        (self.rows, self.noise)
    }

    /// Says whether it is a message.
    fn message(&mut self, side: Side, message: &Value) -> bool {
        let id = message.get("id").filter(|id| !id.is_null());
        let is_said_to_be = side == Side::Client || message.get("jsonrpc").is_some();
        let has_error = message.get("error").is_some_and(Value::is_object);
        match (message.get("method").and_then(Value::as_str), id) {
            (Some(_), _) if !is_said_to_be => return false,
            (Some(method), Some(id)) => {
                let asked = Asked { side, id: id.clone(), method: method.to_owned(), is_taken_back: false };
                match self.ended {
                    Some(code) => self.failed(&asked, code),
                    None => self.asked.push(asked),
                }
            }
            (Some("notifications/cancelled"), None) => self.cancel(side, &message["params"]["requestId"]),
            (Some(_), None) => {}
            (None, Some(id)) if has_error || message.get("result").is_some() => {
                return self.answer(side, id, message) || is_said_to_be;
            }
            (None, None) => return has_error && message.get("jsonrpc").is_some(),
            (None, Some(_)) => return false,
        }
        true
    }

    fn answer(&mut self, side: Side, id: &Value, message: &Value) -> bool {
        let spellings: Vec<Value> = number(id).map(|number| spellings(number).to_vec()).unwrap_or_default();
        let ids = [vec![id.clone()], spellings].concat();
        let find = |is_taken_back: bool| {
            let is_it = |asked: &Asked, is_meant: &dyn Fn(&Value) -> bool| {
                asked.side != side && asked.is_taken_back == is_taken_back && is_meant(&asked.id)
            };
            match side {
                // Of what the client asked, the newest of each spelling.
                Side::Server => ids
                    .iter()
                    .find_map(|id| self.asked.iter().rposition(|asked| is_it(asked, &|own: &Value| own == id))),
                // Of what the server asked, the oldest.
                Side::Client => {
                    self.asked.iter().position(|asked| is_it(asked, &|own: &Value| own == id)).or_else(|| {
                        let is_number = |own: &Value| number(id).is_some() && number(own) == number(id);
                        self.asked.iter().position(|asked| is_it(asked, &is_number))
                    })
                }
            }
        };
        let Some(at) = find(false).or_else(|| find(true)) else { return false };
        let asked = self.asked.remove(at);
        if asked.is_taken_back {
            self.cancelled(&asked, true);
            return true;
        }
        let code = message.get("result").is_none().then(|| message["error"]["code"].to_string());
        let is_tool_error = message["result"]["isError"] == Value::Bool(true);
        let outcome = match (&*asked.method, &code) {
            ("server/discover", Some(code)) if code == "-32601" => Outcome::Probe,
            (_, Some(_)) => Outcome::Error,
            ("subscriptions/listen", None) if side == Side::Server => Outcome::Ended,
            ("tools/call", None) if side == Side::Server && is_tool_error => Outcome::ToolError,
            _ => Outcome::Ok,
        };
        self.row(&asked, outcome, code, false, asked.id != *id);
        true
    }

    fn cancel(&mut self, side: Side, id: &Value) {
        let find = |side: Side| {
            self.asked.iter().rposition(|asked| asked.side == side && !asked.is_taken_back && asked.id == *id)
        };
        if let Some(at) = find(side) {
            self.asked[at].is_taken_back = true;
        } else if let Some(at) = find(Side::Client).filter(|at| is_subscription(&self.asked[*at]))
            && side == Side::Server
        {
            let asked = self.asked.remove(at);
            self.row(&asked, Outcome::Ended, None, false, false);
        }
    }

    fn cancelled(&mut self, asked: &Asked, is_late: bool) {
        let (outcome, code) = match is_subscription(asked) {
            true => (Outcome::Ended, None),
            false => (Outcome::Cancelled, Some("cancelled".to_owned())),
        };
        self.row(asked, outcome, code, is_late, false);
    }

    fn failed(&mut self, asked: &Asked, code: &str) {
        match is_subscription(asked) && code == "client_gone" {
            true => self.row(asked, Outcome::Ended, None, false, false),
            false => self.row(asked, Outcome::Error, Some(code.to_owned()), false, false),
        }
    }

    fn row(&mut self, asked: &Asked, outcome: Outcome, code: Option<String>, is_late: bool, is_lenient: bool) {
        let direction = match asked.side {
            Side::Client => Direction::Client,
            Side::Server => Direction::Server,
        };
        self.rows.push(Row {
            direction: format!("{direction:?}"),
            method: asked.method.clone(),
            id: asked.id.as_str().map_or_else(|| asked.id.to_string(), str::to_owned),
            outcome: format!("{outcome:?}"),
            code,
            is_late,
            is_lenient,
        });
    }
}

fn is_subscription(asked: &Asked) -> bool {
    asked.side == Side::Client && asked.method == "subscriptions/listen"
}

fn number(id: &Value) -> Option<i64> {
    match id {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64()?.to_string().parse().ok()),
        _ => None,
    }
}

/// In the order in which they are looked for.
fn spellings(number: i64) -> [Value; 3] {
    let float = serde_json::from_str(&format!("{number}.0")).expect("a number");
    [number.into(), number.to_string().into(), float]
}
