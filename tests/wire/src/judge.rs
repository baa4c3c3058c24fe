//! The judge: sees the wire, and says what rows there must be.
//!
//! Follows `docs/matching.md` (which answer is whose, how long a call waits), `docs/sessions.md` (by [`super::membership`])
//! and `docs/counting.md` (by [`super::call`]). How an exchange ends is in `court`. Where the pages leave more than one
//! row right, the judge says so: a request that was cut before its last byte may have a row or none, since that depends on
//! how much of it says what it is.

use crate::call::{Call, Progress};
use crate::docket::{Docket, Exchange, who};
use crate::id::Id;
use crate::judgement::Judgement;
use crate::membership::{Membership, Named, is_sessionless};
use crate::observed::TICK_MS;
use crate::planted::Planted;
use crate::step::{Asked, Step};
use crate::wire_text::{Documents, Events};
use serde_json::Value;

/// What must be recorded of that script.
pub fn judge(steps: &[Step], planted: Option<Planted>) -> Judgement {
    let mut judge = Docket { planted, ..Docket::default() };
    steps.iter().for_each(|step| judge.see(step));
    for call in 0..judge.calls.len() {
        judge.stop(call);
    }
    judge.judgement
}

impl Docket {
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
}
