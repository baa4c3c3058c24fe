//! The judge: sees the wire, and says what rows there must be.
//!
//! Follows `docs/matching.md` (which answer is whose, how long a call waits), `docs/sessions.md` (by [`super::membership`])
//! and `docs/counting.md` (by [`super::call`]). How an exchange ends is in [`super::court`]. Where the pages leave more than one
//! row right, the judge says so: a request that was cut before its last byte may have a row or none, since that depends on
//! how much of it says what it is.

use crate::call::{Call, CallNumber, Failure, Progress, Who, status};
use crate::id::Id;
use crate::membership::{Membership, Named, is_sessionless};
use crate::observed::TICK_MS;
use crate::row::{Key, Recorded, Row};
use crate::step::{Answered, Asked, Step};
use crate::streams::Stream;
use crate::wire_text::{Documents, Events};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How long the late answer of a call that was taken back is waited for.
const LATE_MS: u64 = 10_000;

/// A rule that the judge breaks on purpose, to show that breaking it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// An answer is given to another open call with its id, although its own request brought that id.
    AnswerOfAnother,
    /// An error without an id is given to calls that are answered later in the same response, too.
    ErrorForAll,
    /// A 404 whose JSON-RPC error is an answer closes the session.
    AnswerClosesSession,
    /// A handshake that failed makes a session.
    RefusalMakesSession,
    /// Closing the response of a call of 2026-07-28 is no cancellation.
    ClosedIsGone,
    /// A resumed stream stands for nothing: whoever has the id is answered.
    ReplayForAnybody,
    /// An answer of a call that was taken back is not noted.
    LateUnnoted,
    /// A POST of 2024-11-05 belongs to a session only if the address names one.
    AddressByName,
}

/// What the judge says.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// What must be on record.
    pub recorded: Recorded,
    /// The rows of these that may be missing, and why.
    pub may_be_missing: BTreeSet<Key>,
    /// When requests came that were cut: such a row may also know less of its request.
    pub cut: BTreeSet<i64>,
}

impl Judgement {
    /// The same for what is recorded over sockets, where nobody knows when anything came.
    #[must_use]
    pub fn timeless(&self) -> Self {
        let may_be_missing =
            self.may_be_missing.iter().map(|(_, id, method, about)| (0, id.clone(), method.clone(), about.clone()));
        Self {
            recorded: self.recorded.timeless(),
            may_be_missing: may_be_missing.collect(),
            cut: self.cut.iter().map(|_| 0).collect(),
        }
    }
}

/// An exchange that goes on.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) asked: Asked,
    pub(crate) opened_ms: u64,
    pub(crate) named: Named,
    request: Documents,
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

/// The judge.
#[derive(Debug, Default)]
pub struct Judge {
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
    tasks: BTreeMap<(Option<String>, String, String), u64>,
    /// What was asked, and in which session, of all exchanges.
    exchange_asked: BTreeMap<usize, Asked>,
    named: BTreeMap<usize, Option<String>>,
    /// The status of each exchange's response.
    pub(crate) heads: BTreeMap<usize, u16>,
    pub(crate) judgement: Judgement,
}

/// What must be recorded of that script.
pub fn judge(steps: &[Step], planted: Option<Planted>) -> Judgement {
    let mut judge = Judge { planted, ..Judge::default() };
    steps.iter().for_each(|step| judge.see(step));
    for call in 0..judge.calls.len() {
        judge.stop(call);
    }
    judge.judgement
}

impl Judge {
    pub(crate) fn plants(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }

    fn see(&mut self, step: &Step) {
        match step {
            Step::Open(at, asked) => self.open(*at, asked),
            Step::Send(at, bytes) => {
                let Some(exchange) = self.exchanges.get_mut(at) else { return };
                exchange.active_ms = self.now_ms;
                for message in exchange.request.read(bytes) {
                    self.asked(*at, &message, false);
                }
            }
            Step::Sent(at, true) => {
                if let Some(exchange) = self.exchanges.get_mut(at) {
                    exchange.is_whole = true;
                }
            }
            Step::Sent(at, false) => self.broken_off(*at),
            Step::Answer(at, answered) => self.answer_begins(*at, answered),
            Step::Reply(at, bytes) => self.reply(*at, bytes),
            Step::End(at, ending) => self.end(*at, *ending),
            Step::Pass(ms) => {
                for _ in 0..ms / TICK_MS {
                    self.now_ms += TICK_MS;
                    self.expire();
                }
                self.now_ms += ms % TICK_MS;
            }
        }
    }

    fn open(&mut self, at: usize, asked: &Asked) {
        let named = self.membership.named(asked);
        let is_by_name = asked.query.as_ref().is_some_and(|query| query.contains("ession"));
        let named = match self.plants(Planted::AddressByName) && named.is_first_transport && !is_by_name {
            true => Named { session: None, is_agreed: false, is_first_transport: false },
            false => named,
        };
        let exchange = Exchange {
            asked: asked.clone(),
            opened_ms: self.now_ms,
            named,
            request: Documents::default(),
            is_whole: false,
            calls: Vec::new(),
            is_of_sessionless: false,
            answered: None,
            events: Events::default(),
            documents: Documents::default(),
            refusal: None,
            stream: None,
            retry_ms: 0,
            stream_session: None,
            active_ms: self.now_ms,
            speaks_of_else: false,
        };
        self.exchange_asked.insert(at, asked.clone());
        self.named.insert(at, exchange.named.session.clone());
        self.exchanges.insert(at, exchange);
    }

    // What clients say.

    /// A message of the client's. `is_cut` says that its last bytes are missing.
    fn asked(&mut self, at: usize, message: &Value, is_cut: bool) {
        let Some(exchange) = self.exchanges.get_mut(&at) else { return };
        let meta = &message["params"]["_meta"];
        let info = &meta["io.modelcontextprotocol/clientInfo"];
        let version = meta["io.modelcontextprotocol/protocolVersion"].as_str();
        let says_who = version.is_some() || info.is_object();
        let client = (says_who && !exchange.named.is_agreed).then(|| who(info));
        exchange.is_of_sessionless |= client.is_some();
        let Some(method) = message["method"].as_str() else { return };
        let id = Id::of(&message["id"]);
        let is_handshake = id.is_some() && method == "initialize";
        let derived = match &client {
            _ if is_handshake => None,
            Some(client) => Some(Membership::derived_of(client, &exchange.asked)),
            None if exchange.named.session.is_some() => None,
            None => self.membership.nameless(&exchange.asked),
        };
        let asked = &exchange.asked;
        let strangers = format!("<{} at {} for {}>", asked.agent, asked.address, asked.path);
        let owner = derived.clone().or_else(|| exchange.named.session.clone()).unwrap_or(strangers);
        let Some(id) = id else {
            if method == "notifications/cancelled"
                && let Some(id) = Id::of(&message["params"]["requestId"])
            {
                self.taken_back(&owner, &id);
            }
            return;
        };
        let number = self.calls.len();
        exchange.calls.push(number);
        self.calls.push(Call {
            exchange: at,
            at_ms: self.exchanges[&at].opened_ms,
            id,
            message: message.clone(),
            method: method.to_owned(),
            owner,
            is_named: self.exchanges[&at].named.session.is_some(),
            derived,
            is_sessionless: client.is_some()
                || version.or(self.exchanges[&at].asked.version).is_some_and(is_sessionless),
            handshake: is_handshake.then(|| who(&message["params"]["clientInfo"])),
            client,
            progress: Progress::Waiting,
            is_due_to_session: false,
            may_be_missing: is_cut,
        });
    }

    /// A request is broken off. What is known of its last message counts, if anybody can know that it is a request.
    fn broken_off(&mut self, at: usize) {
        let Some(exchange) = self.exchanges.get(&at) else { return };
        self.judgement.cut.insert(i64::try_from(exchange.opened_ms).unwrap_or(i64::MAX));
        let Some(text) = exchange.request.unfinished() else { return };
        let whole_members = text
            .match_indices(',')
            .rev()
            .find_map(|(end, _)| serde_json::from_str::<Value>(&format!("{}}}", &text[..end])).ok());
        if let Some(message) =
            whole_members.filter(|message| message.get("id").is_some() && message["method"].is_string())
        {
            self.asked(at, &message, true);
        }
    }

    /// A client takes that call back: the newest that is open. Where the transport names no session, and two are open, nobody
    /// knows which.
    fn taken_back(&mut self, owner: &str, id: &Id) {
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
            // Its exchange is over, and nobody will note a late answer.
            Progress::Left(_) => self.fail(newest, &cancelled, self.now_ms),
            _ => self.calls[newest].progress = Progress::TakenBack(self.now_ms, self.now_ms + LATE_MS),
        }
    }

    // What becomes of calls.

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
    fn stop(&mut self, number: CallNumber) {
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

fn who(info: &Value) -> Who {
    let text = |member: &str| info[member].as_str().map(str::to_owned);
    Who { name: text("name"), version: text("version") }
}
