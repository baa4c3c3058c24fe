//! What the judge knows while a script goes on, and what becomes of calls.
//!
//! Pure data and rules: what an answer or a failure makes of a row (`docs/counting.md`, with [`super::call`]), and which session
//! it names (`docs/sessions.md`, with [`super::membership`]).

use crate::call::{Call, CallNumber, Failure, Progress, Who, status};
use crate::id::Id;
use crate::judgement::Judgement;
use crate::membership::{Membership, Named};
use crate::planted::Planted;
use crate::row::Row;
use crate::step::{Answered, Asked};
use crate::streams::Stream;
use crate::wire_text::{Documents, Events};
use serde_json::Value;
use std::collections::BTreeMap;

/// How long the late answer of a call that was taken back is waited for.
const LATE_MS: u64 = 10_000;

/// An exchange that goes on.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) asked: Asked,
    pub(crate) opened_ms: u64,
    pub(crate) named: Named,
    pub(crate) request: Documents,
    pub(crate) is_whole: bool,
    /// The calls it brought.
    pub(crate) calls: Vec<CallNumber>,
    pub(crate) is_of_sessionless: bool,
    pub(crate) answered: Option<Answered>,
    pub(crate) events: Events,
    pub(crate) documents: Documents,
    /// The error that names no request, and when it came.
    pub(crate) refusal: Option<(Value, u64)>,
    /// The stream that it is, or carries on.
    pub(crate) stream: Option<usize>,
    pub(crate) retry_ms: u64,
    /// The session of 2024-11-05 that lives on it.
    pub(crate) stream_session: Option<String>,
    pub(crate) active_ms: u64,
    /// The 404 speaks of something else than the session.
    pub(crate) speaks_of_else: bool,
}

/// What the judge knows.
#[derive(Debug, Default)]
pub struct Docket {
    pub(crate) planted: Option<Planted>,
    pub(crate) now_ms: u64,
    pub(crate) calls: Vec<Call>,
    pub(crate) exchanges: BTreeMap<usize, Exchange>,
    /// The exchanges on whose streams a session listens, oldest first.
    pub(crate) listening: Vec<(String, usize)>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) cuts: usize,
    pub(crate) membership: Membership,
    pub(crate) made_up: usize,
    /// Which call became a task, by the session, the path and the task.
    pub(crate) tasks: BTreeMap<(Option<String>, String, String), u64>,
    /// What was asked, and in which session, of all exchanges.
    pub(crate) exchange_asked: BTreeMap<usize, Asked>,
    pub(crate) named: BTreeMap<usize, Option<String>>,
    /// The status of each exchange's response.
    pub(crate) heads: BTreeMap<usize, u16>,
    pub(crate) judgement: Judgement,
}

impl Docket {
    pub(crate) fn plants(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }

    /// A client takes that call back: the newest that is open. Where the transport names no session, and two are open, nobody
    /// knows which.
    pub(crate) fn taken_back(&mut self, owner: &str, id: &Id) {
        let open: Vec<_> = self
            .calls
            .iter()
            .enumerate()
            .filter(|(_, call)| call.is_open() && call.owner == owner && call.id == *id)
            .collect();
        let Some((newest, call)) = open.last().copied() else { return };
        if !call.is_named && open.len() > 1 {
            return;
        }
        let cancelled = Failure::of("cancelled");
        match self.calls[newest].progress {
            // The proxy had given up before: that is why its client does.
            Progress::Left(ref left) if left.failure.code == "upstream_timeout" => {
                let left = left.clone();
                self.fail(newest, &left.failure, left.at_ms);
            }
            // Its exchange is over, and nobody will note a late answer.
            Progress::Left(_) => self.fail(newest, &cancelled, self.now_ms),
            _ => self.calls[newest].progress = Progress::TakenBack(self.now_ms, self.now_ms + LATE_MS),
        }
    }

    /// The answer is that call's.
    pub(crate) fn answer(&mut self, number: CallNumber, answer: &Value, exchange: usize, at_ms: u64) {
        let (call, head) = (self.calls[number].clone(), self.exchanges[&exchange].answered.clone());
        if let Progress::TakenBack(since_ms, _) = call.progress {
            let mut failure = Failure::of("cancelled");
            // Of a subscription, the cause says how it ended.
            if let Some(error) = answer.get("error").filter(|_| !call.is_subscription()) {
                let (code, words) = (&error["code"], error["message"].as_str().unwrap_or_default());
                failure.cause = Some(format!("late error {code}: {words}"));
            }
            return self.fail_noted(number, &failure, since_ms, !self.plants(Planted::LateUnnoted));
        }
        let mut row = call.answered(answer);
        let has_result = answer.get("result").is_some();
        let task = answer["result"]["task"]["taskId"].as_str().filter(|_| call.method == "tools/call");
        if let Some(task) = task {
            row.about = row.about.or_else(|| Some(task.to_owned()));
            self.tasks.insert(self.task_key(number, task), call.at_ms);
        }
        let begun =
            head.as_ref().filter(|head| (200..300).contains(&head.status)).and_then(|head| head.session.clone());
        let is_handshake = call.handshake.is_some();
        let succeeds = has_result || self.plants(Planted::RefusalMakesSession);
        let begun = begun.filter(|_| is_handshake && succeeds);
        let named = self.exchange_named(number);
        let agreed = answer["result"]["protocolVersion"].as_str().map(str::to_owned).filter(|_| is_handshake);
        row.http_status = head.map(|head| head.status);
        row.session = begun.clone().or_else(|| named.clone().filter(|_| call.client.is_none()));
        let mut remembered = row.session.as_ref().and_then(|session| self.membership.version(session));
        let recorded = &mut self.judgement.recorded;
        let asked = &self.exchange_asked[&call.exchange];
        match (&call.handshake, &row.session) {
            (Some(who), Some(session)) if succeeds => {
                self.membership.agree(session, who, agreed.clone(), recorded);
            }
            (Some(who), None) if has_result => {
                row.session = Some(self.membership.agree_without(who, asked, agreed.clone(), recorded));
            }
            (None, None) => {
                row.session = call.derived.clone();
                if let (Some(derived), Some(client), true) = (&call.derived, &call.client, has_result) {
                    self.membership.prove(derived, client, recorded);
                }
                row.session = row.session.filter(|derived| self.membership.is_proven(derived));
                remembered = row.session.as_ref().and_then(|session| self.membership.version(session));
            }
            _ => {}
        }
        row.version = agreed.or_else(|| self.version_of(&call)).or(remembered);
        row.latency_ms = at_ms - call.at_ms;
        self.put(number, row);
    }

    /// The call has no answer.
    pub(crate) fn fail(&mut self, number: CallNumber, failure: &Failure, at_ms: u64) {
        self.fail_noted(number, failure, at_ms, false);
    }

    fn fail_noted(&mut self, number: CallNumber, failure: &Failure, at_ms: u64, is_late: bool) {
        let call = self.calls[number].clone();
        let mut row = call.failed(failure);
        row.http_status = self.heads.get(&call.exchange).copied();
        let named = self.exchange_named(number).filter(|_| call.client.is_none());
        let derived = call.derived.clone().filter(|derived| self.membership.is_proven(derived));
        row.session = named.or(derived);
        let remembered = row.session.as_ref().and_then(|session| self.membership.version(session));
        row.version = self.version_of(&call).or(remembered);
        row.latency_ms = at_ms - call.at_ms;
        row.is_late = is_late;
        self.put(number, row);
    }

    /// When the proxy stops, a call that is left has no answer.
    pub(crate) fn stop(&mut self, number: CallNumber) {
        match self.calls[number].progress.clone() {
            Progress::Over => {}
            Progress::TakenBack(since_ms, _) => self.fail(number, &Failure::of("cancelled"), since_ms),
            Progress::Left(_) | Progress::Due(..) | Progress::Waiting => {
                self.fail(number, &Failure::of("proxy_shutdown"), self.now_ms);
            }
        }
    }

    fn put(&mut self, number: CallNumber, mut row: Row) {
        let call = &mut self.calls[number];
        call.progress = Progress::Over;
        row.status = status(&row.outcome).to_owned();
        if call.method == "tasks/result"
            && let Some(task) = call.about()
        {
            row.continues = self.tasks.get(&self.task_key(number, &task)).and_then(|ms| i64::try_from(*ms).ok());
        }
        if self.calls[number].may_be_missing {
            self.judgement.may_be_missing.insert(row.key());
        }
        self.judgement.recorded.rows.push(row);
    }

    fn version_of(&self, call: &Call) -> Option<String> {
        let meta = &call.message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
        let requested = call.message["params"]["protocolVersion"].as_str().filter(|_| call.handshake.is_some());
        let of_head = self.exchange_asked[&call.exchange].version;
        meta.as_str().or(of_head).or(requested).map(str::to_owned)
    }

    fn exchange_named(&self, number: CallNumber) -> Option<String> {
        self.named[&self.calls[number].exchange].clone()
    }

    fn task_key(&self, number: CallNumber, task: &str) -> (Option<String>, String, String) {
        let path = self.exchange_asked[&self.calls[number].exchange].path.clone();
        (self.exchange_named(number), path, task.to_owned())
    }
}

/// Who that is, as a client says it.
pub(crate) fn who(info: &Value) -> Who {
    let text = |member: &str| info[member].as_str().map(str::to_owned);
    Who { name: text("name"), version: text("version") }
}
