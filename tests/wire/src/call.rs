//! A call, as the judge sees it, and how it ended.
//!
//! Pure data.

use crate::id::Id;
use crate::row::Row;
use serde_json::Value;

/// A number for a call.
pub type CallNumber = usize;

/// Who a client says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

/// Whether its client still waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Its exchange goes on.
    Waiting,
    /// Its exchange is over; its client may come back for the answer until then.
    Left(Left),
    /// Its answer is due on that exchange's stream; since when.
    Due(usize, u64),
    /// Its client took it back then; until when a late answer is noted.
    TakenBack(u64, u64),
    /// It has its row.
    Over,
}

/// How a call was left.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// What it was then.
    pub failure: Failure,
    /// When.
    pub at_ms: u64,
    /// It is over then, if nobody comes back.
    pub until_ms: u64,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub code: String,
    /// Why, in the words of whoever noticed.
    pub cause: Option<String>,
}

impl Failure {
    /// Nobody said why.
    pub fn of(code: &str) -> Self {
        Self { code: code.to_owned(), cause: None }
    }

    fn message(&self) -> String {
        match self.code.as_str() {
            "stream_broken" => "the connection to the upstream broke before the response was complete",
            "no_response" => "the upstream's response ended without an answer to this request",
            "client_gone" => "the client went away before the answer",
            "cancelled" => "the client cancelled the request",
            "proxy_shutdown" => "the proxy was stopped before the answer",
            "upstream_timeout" => "the upstream did not answer within its time limit",
            code => return format!("the upstream answered HTTP {} without JSON-RPC", code.trim_start_matches("http_")),
        }
        .to_owned()
    }
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The exchange that brought it.
    pub exchange: usize,
    /// When its request came.
    pub at_ms: u64,
    /// Its id.
    pub id: Id,
    /// What was asked.
    pub message: Value,
    /// The method.
    pub method: String,
    /// Whose calls it is looked for among: a name of a session, or of those who can't be told apart.
    pub owner: String,
    /// The transport names its session.
    pub is_named: bool,
    /// A session was made up for it, maybe.
    pub derived: Option<String>,
    /// Its revision has no sessions: closing its response takes it back.
    pub is_sessionless: bool,
    /// Its client, if this is a handshake.
    pub handshake: Option<Who>,
    /// Its client, if it says that in each message.
    pub client: Option<Who>,
    /// Where it is.
    pub progress: Progress,
    /// It was accepted, and its answer is due on whichever stream its session listens on.
    pub is_due_to_session: bool,
    /// Its request was cut before its last byte: whether it has a row depends on how much of it was there.
    pub may_be_missing: bool,
}

impl Call {
    /// Its client still waits.
    pub fn is_open(&self) -> bool {
        !matches!(self.progress, Progress::TakenBack(..) | Progress::Over)
    }

    /// Its exchange is over, and it waits elsewhere.
    pub fn is_left(&self) -> bool {
        matches!(self.progress, Progress::Left(_) | Progress::Due(..))
    }

    /// It is in a session, announced or made up.
    pub fn has_session(&self) -> bool {
        self.is_named || self.derived.is_some()
    }

    /// It ends when either side likes.
    pub fn is_subscription(&self) -> bool {
        self.method == "subscriptions/listen"
    }

    /// What it is about: the tool, or else.
    pub fn about(&self) -> Option<String> {
        let params = &self.message["params"];
        let member = match self.method.as_str() {
            "tools/call" | "prompts/get" => "name",
            "resources/read" => "uri",
            "tasks/result" => "taskId",
            _ => return None,
        };
        params[member].as_str().map(str::to_owned)
    }

    /// A row with what the request alone says.
    pub fn row(&self) -> Row {
        Row {
            ts: i64::try_from(self.at_ms).unwrap_or(i64::MAX),
            method: self.method.clone(),
            about: self.about(),
            rpc_id: Some(self.id.text.clone()),
            ..Row::default()
        }
    }

    /// How that answer says that it ended.
    pub fn answered(&self, answer: &Value) -> Row {
        let mut row = self.row();
        row.is_lenient = Id::of(&answer["id"]).is_some_and(|id| id != self.id);
        let failed = |row: &mut Row, outcome: &str, code: Option<String>, message: Option<&str>| {
            row.outcome = outcome.to_owned();
            row.code = code;
            row.message = message.map(str::to_owned);
        };
        let is_tool = matches!(self.method.as_str(), "tools/call" | "tasks/result");
        match answer.get("result") {
            Some(_) if self.is_subscription() => failed(&mut row, "ended", None, None),
            Some(result) if is_tool && result["isError"] == true => {
                failed(&mut row, "tool_error", None, result["content"][0]["text"].as_str());
            }
            Some(result) if result["resultType"] == "input_required" => failed(&mut row, "input_required", None, None),
            Some(_) => failed(&mut row, "ok", None, None),
            None => {
                let code = answer["error"]["code"].to_string();
                let is_probe = self.method == "server/discover"
                    && ["-32601", "-32600", "-32602", "-32000"].contains(&code.as_str());
                failed(
                    &mut row,
                    if is_probe { "probe" } else { "error" },
                    Some(code),
                    answer["error"]["message"].as_str(),
                );
            }
        }
        row
    }

    /// How it ended without an answer.
    pub fn failed(&self, failure: &Failure) -> Row {
        let mut row = self.row();
        let code = failure.code.as_str();
        let is_end = ["cancelled", "client_gone", "no_response", "proxy_shutdown"].contains(&code);
        if self.is_subscription() && is_end {
            row.outcome = "ended".to_owned();
            row.cause = failure.cause.clone().or_else(|| Some(failure.code.clone()));
            return row;
        }
        let is_probe = self.method == "server/discover" && ["http_400", "http_404", "http_405"].contains(&code);
        row.outcome = match code {
            "cancelled" => "cancelled",
            "upstream_timeout" => "timeout",
            "proxy_shutdown" => "lost",
            _ if is_probe => "probe",
            _ => "error",
        }
        .to_owned();
        row.code = Some(failure.code.clone());
        row.message = Some(failure.message());
        row.cause.clone_from(&failure.cause);
        row
    }
}

/// The word of the column `status` for that outcome.
pub fn status(outcome: &str) -> &'static str {
    match outcome {
        "ok" | "tool_error" | "ended" | "input_required" => "ok",
        "timeout" => "timeout",
        _ => "error",
    }
}
