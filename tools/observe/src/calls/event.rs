//! The events that a call becomes when it ends: its request, the session that begins with it, the schema that it shows.
//!
//! Runs where the call ends, inside the tasks that pass bytes on. It must not wait: the sink only hands events over. A new
//! field of a request is filled in [`Ended::request`], from where it is known: the [`Origin`], the [`Facts`], or the
//! [`Verdict`].

use super::breakdown::{Breakdown, bounded};
use super::facts::Facts;
use super::happening::Answer;
use super::origin::Origin;
use super::outcome;
use super::response::Response;
use crate::read::{Message, RpcId, Slot};
use crate::recording::Recording;
use crate::schema::{Asked, Caller, SchemaResult, Scope};
use crate::session::{Announcement, ClientIdentity};
use crate::tasks::{can_become_task, created_task, is_about_task};
use mcplog::Request;
use mcplog::event::{Direction, Note, Notes, Outcome, Transport};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// How a call ended.
pub(super) enum How<'a> {
    Answered(Answer<'a>),
    Failed {
        breakdown: Breakdown,
        /// The answer that came after its client had taken it back.
        late: Option<Answer<'a>>,
    },
}

impl How<'_> {
    /// Without any answer.
    pub(super) fn failed(breakdown: Breakdown) -> Self {
        Self::Failed { breakdown, late: None }
    }
}

/// A call that has ended, with all that is known of it.
pub(super) struct Ended<'a> {
    pub(super) recording: &'a Recording,
    pub(super) origin: &'a Origin,
    pub(super) id: Option<&'a RpcId>,
    pub(super) facts: &'a Facts,
    pub(super) how: How<'a>,
    /// That of the response which brought the answer, on whichever stream; without an answer, that of the response to the
    /// request, if its head came.
    pub(super) http_status: Option<u16>,
    /// When.
    pub(super) at: Instant,
}

/// What that means for the row. The status is the outcome's.
struct Verdict<'a> {
    outcome: Outcome,
    error_code: Option<Cow<'a, str>>,
    error_msg: Option<Cow<'a, str>>,
    cause: Option<Cow<'a, str>>,
    bytes_out: Option<i64>,
    tool_error: Option<bool>,
    /// The revision that a handshake agreed on.
    agreed_version: Option<Cow<'a, str>>,
    /// The task that the call became.
    task: Option<Cow<'a, str>>,
}

impl<'a> Ended<'a> {
    /// Records it.
    pub(super) fn record(&self) {
        let verdict = self.verdict();
        let session = self.session(&verdict);
        self.offer_schema(session.as_ref());
        let remembered = session.as_deref().and_then(|id| self.recording.sessions.protocol_version(id));
        self.begin_session(&verdict);
        let mut id_text = Uuid::encode_buffer();
        let request_id = self.facts.request_id.hyphenated().encode_lower(&mut id_text);
        let mut request = self.request(request_id, session.as_deref(), remembered.as_deref(), &verdict);
        let made_by = self.made_by(&verdict).map(|call| call.hyphenated().to_string());
        request.retry_of = made_by.as_deref();
        self.recording.counts.count(self.facts.direction, request.counts_as());
        let is_taken = self.recording.sink.record(request.into());
        if is_taken && let Some(session) = &session {
            // Not before: where this was refused, so would that be, and count as lost too.
            self.recording.announce_postponed(session);
        }
    }

    /// The call that made the task which this one asks about. If this one became a task, that is remembered.
    fn made_by(&self, verdict: &Verdict<'_>) -> Option<Uuid> {
        let (tasks, facts) = (&self.recording.tasks, self.facts);
        if let Some(task) = &verdict.task {
            tasks.remember(self.origin, facts.direction, task, facts.request_id);
        }
        is_about_task(&facts.method).then(|| tasks.made_by(self.origin, facts.direction, facts.target.as_deref()?))?
    }

    /// Hands the result over that says what the server offers, if it does. Its pages belong to that session, be it one that
    /// was made up: a client may have a connection for each of them.
    fn offer_schema(&self, session: Option<&Arc<str>>) {
        // A late list says what the server offers, too.
        let (How::Answered(answer) | How::Failed { late: Some(answer), .. }) = &self.how else { return };
        let Answer { message, payload, .. } = answer;
        let Some(method) = self.facts.schema.filter(|_| message.has_result) else { return };
        let scope = match session {
            Some(session) => Scope::Session(session.clone()),
            None => Scope::Connection(self.facts.arrival.connection),
        };
        let (cursor, caller, asked_at) =
            (self.facts.cursor.clone(), self.caller(session.map(|session| &**session)), self.facts.arrival.at);
        let Recording { budget, clock, schema, .. } = self.recording;
        let asked = Asked { scope, endpoint: self.origin.endpoint.clone(), method, cursor, caller, asked_at };
        let at = (clock.unix_ms(), self.at);
        schema.offer(SchemaResult::new(budget, asked, at, message.bytes(), *payload));
    }

    fn caller(&self, session: Option<&str>) -> Caller {
        let Facts { handshake, sessionless, introduced, .. } = self.facts;
        let identity = handshake.as_ref().or(sessionless.as_ref()).or(introduced.as_ref());
        let of_session = || self.recording.sessions.client_name(session?);
        let client = identity.map_or_else(of_session, |identity| identity.name.clone());
        Caller { credential: self.origin.credential, client }
    }

    fn verdict(&self) -> Verdict<'_> {
        let mut verdict = match &self.how {
            How::Answered(Answer { message, .. }) if message.has_result => Verdict::of_result(message, self.facts),
            How::Answered(Answer { message, response, .. }) => Verdict::of_error(message, response),
            How::Failed { breakdown, late } => {
                let mut verdict = Verdict::of_failure(breakdown, self.facts, self.http_status);
                let late = late.as_ref().filter(|late| late.message.has_error);
                verdict.cause =
                    verdict.cause.or_else(|| Some(late_error(late?.message, self.recording.keeps_error_text())));
                return verdict;
            }
        };
        if !self.recording.keeps_error_text() {
            verdict.error_msg = None;
        }
        verdict
    }

    /// The session that the row names: the client's, the one its handshake began, or one that is made up.
    fn session(&self, verdict: &Verdict<'_>) -> Option<Arc<str>> {
        let of_transport = || self.session_of_transport().filter(|_| self.facts.derived.is_none()).cloned();
        of_transport().or_else(|| self.derived_session(verdict))
    }

    /// The session that is made up, if the server answered as one without sessions does, now or before.
    fn derived_session(&self, verdict: &Verdict<'_>) -> Option<Arc<str>> {
        // What a client answers says nothing of its server's era.
        let proves = self.has_result() && self.facts.direction == Direction::Client;
        let derived = &self.recording.sessions.derived;
        let (client, session, version) = match (&self.facts.handshake, &self.facts.sessionless) {
            (Some(client), _) => {
                let begun = || derived.seek(client, &self.origin.asker, self.facts.arrival.ts);
                (Some(client), proves.then(begun)?, verdict.agreed_version.as_deref())
            }
            (None, client) => (client.as_ref(), self.facts.derived.clone()?, self.facts.protocol_version.as_deref()),
        };
        let is_new = derived.settle(&session, proves && client.is_some())?;
        if self.facts.handshake.is_some() {
            derived.shake_hands(&session, &self.origin.asker, version);
        }
        if let Some(client) = client.filter(|_| is_new) {
            self.announce(&session, client, version, true);
        }
        Some(session)
    }

    /// The session that its answer began, or that the request came in.
    fn session_of_transport(&self) -> Option<&'a Arc<str>> {
        self.begun_session().or(self.origin.session.as_ref())
    }

    /// The session that the response announces, if this was a handshake that succeeded. An id on any other answer begins
    /// nothing: servers without sessions set one on whatever they answer, and a refused handshake agreed on none. It counts
    /// before the session that the request came in, which was a dead one then.
    fn begun_session(&self) -> Option<&'a Arc<str>> {
        let How::Answered(answer) = &self.how else { return None };
        let begins = answer.message.has_result && self.facts.handshake.is_some();
        answer.response.new_session.as_ref().filter(|_| begins)
    }

    /// Records the session that begins, if this was the handshake of one, or if a client that shakes no hands was answered in
    /// a session of a client that nobody knows yet.
    fn begin_session(&self, verdict: &Verdict<'_>) {
        if self.has_result()
            && let Some(session) = self.session_of_transport()
            && let Some(client) = self.facts.handshake.as_ref().or_else(|| self.introduced_to(session))
        {
            let agreed_version = verdict.agreed_version.as_deref();
            let agreed_version =
                agreed_version.or(self.facts.introduced.as_ref().and(self.facts.protocol_version.as_deref()));
            self.recording.sessions.agree(session, client, self.origin.endpoint.as_ref(), agreed_version);
            if self.origin.transport == Transport::Stdio {
                // A process is a session before its handshake. Who reads its pipe announces it.
                return;
            }
            let is_derived = self.recording.sessions.announced.is_made_up(session);
            self.announce(session, client, agreed_version, is_derived);
        }
    }

    /// Who the client says it is, if it says so and nobody knew it in this session.
    fn introduced_to(&self, session: &str) -> Option<&'a ClientIdentity> {
        let introduced = self.facts.introduced.as_ref().filter(|client| client.name.is_some());
        introduced.filter(|_| self.recording.sessions.client_name(session).is_none())
    }

    fn announce(
        &self,
        session_id: &Arc<str>,
        client: &ClientIdentity,
        protocol_version: Option<&str>,
        is_derived: bool,
    ) {
        self.recording.counts.sessions.add(1);
        let announcement = Announcement {
            started_at: self.facts.arrival.ts,
            client: client.clone(),
            protocol_version: protocol_version.map(Box::from),
            is_derived,
            noise_lines: None,
        };
        self.recording.announce(session_id, announcement);
    }

    /// The row. `remembered` is the revision that its session had agreed on before.
    fn request<'r>(
        &'r self,
        request_id: &'r str,
        session: Option<&'r str>,
        remembered: Option<&'r str>,
        verdict: &'r Verdict<'_>,
    ) -> Request<'r> {
        let (facts, arrival) = (self.facts, &self.facts.arrival);
        let latency = self.at.saturating_duration_since(arrival.at);
        let agreed = verdict.agreed_version.as_deref();
        let mut request = Request::new(request_id, arrival.ts, &self.recording.proxy, &facts.method);
        request.session_id = session;
        request.tool = facts.tool.as_deref();
        request.target = verdict.task.as_deref().or(facts.target.as_deref());
        request.rpc_id = self.id.map(|id| &*id.text);
        request.protocol_version = agreed.or(facts.protocol_version.as_deref()).or(remembered);
        request.latency_us = i64::try_from(latency.as_micros()).unwrap_or(i64::MAX);
        request.bytes_in = facts.bytes_in;
        request.bytes_out = verdict.bytes_out;
        request.status = verdict.outcome.status();
        request.error_code = verdict.error_code.as_deref();
        request.error_msg = verdict.error_msg.as_deref();
        request.tool_error = verdict.tool_error;
        request.http_status = self.http_status;
        request.transport = Some(self.origin.transport);
        request.direction = Some(facts.direction);
        request.endpoint = self.origin.endpoint.as_deref();
        request.outcome = Some(verdict.outcome);
        request.cause = verdict.cause.as_deref();
        request.notes = self.notes();
        request.outcome = Some(request.counts_as());
        request
    }

    /// What is odd about the request and its answer.
    fn notes(&self) -> Notes {
        let (is_lenient, is_late, is_answer_unread) = match &self.how {
            How::Answered(answer) => (self.id.is_some_and(|own| own.differs(answer.message, Slot::Id)), false, false),
            How::Failed { breakdown, late } => (false, late.is_some(), breakdown.is_unread),
        };
        let noted = [
            (Note::LenientId, is_lenient),
            (Note::LateAnswer, is_late),
            (Note::Unread, self.facts.is_unread || is_answer_unread),
        ];
        noted.into_iter().filter(|(_, is_so)| *is_so).fold(Notes::NONE, |notes, (note, _)| notes.with(note))
    }

    fn has_result(&self) -> bool {
        matches!(&self.how, How::Answered(answer) if answer.message.has_result)
    }
}

impl<'a> Verdict<'a> {
    fn of_result(message: &'a Message, facts: &Facts) -> Self {
        let task = created_task(message).filter(|_| can_become_task(facts.direction, &facts.method));
        let failure_of_task = message.text(Slot::TaskErrorMessage);
        let tool_error = match &*facts.method {
            // A client has no tools.
            _ if facts.direction == Direction::Server => None,
            // The tool has not said anything yet.
            "tools/call" if task.is_some() => None,
            // The specification's default: a result without the member is no failure of the tool.
            "tools/call" => Some(message.is_error()),
            // The result of the call that the task stands for. Of which kind that was, only a failure tells.
            "tasks/result" => message.is_error().then_some(true),
            // The same in the state of a task (2026-07-28), or the error that the call would have had.
            "tasks/get" => (message.is_task_error() || failure_of_task.is_some()).then_some(true),
            _ => None,
        };
        let said = message.error_text().map(Cow::Borrowed).or(failure_of_task);
        Self {
            outcome: outcome::of_result(message, facts, tool_error),
            error_code: None,
            error_msg: said.filter(|_| tool_error == Some(true)),
            cause: None,
            bytes_out: Some(message.bytes()),
            tool_error,
            agreed_version: message.text(Slot::AgreedVersion).filter(|_| facts.handshake.is_some()),
            task,
        }
    }

    fn of_error(message: &'a Message, response: &'a Response) -> Self {
        Self {
            outcome: Outcome::Error,
            error_code: message.raw(Slot::ErrorCode).map(String::from_utf8_lossy),
            error_msg: message.text(Slot::ErrorMessage),
            cause: response.cause.as_deref().map(Cow::Borrowed),
            bytes_out: Some(message.bytes()),
            tool_error: None,
            agreed_version: None,
            task: None,
        }
    }

    fn of_failure(breakdown: &'a Breakdown, facts: &Facts, http_status: Option<u16>) -> Self {
        let failure = breakdown.failure;
        let outcome = outcome::of_failure(failure, facts.is_subscription(), http_status);
        // Nothing went wrong with a subscription that ended. Who ended it is worth knowing, but no error.
        let has_ended = outcome == Outcome::Ended;
        let (code, cause) = (failure.code(), breakdown.cause.as_deref().map(Cow::Borrowed));
        Self {
            outcome,
            error_code: (!has_ended).then(|| code.clone()),
            error_msg: (!has_ended).then(|| failure.message_of(facts.direction)),
            cause: cause.or(has_ended.then_some(code)),
            bytes_out: None,
            tool_error: None,
            agreed_version: None,
            task: None,
        }
    }
}

/// What a row says of the error that came after its client had taken the request back.
fn late_error<'a>(message: &Message, keeps_text: bool) -> Cow<'a, str> {
    let code = message.raw(Slot::ErrorCode).map(String::from_utf8_lossy).unwrap_or_default();
    let words = match message.text(Slot::ErrorMessage).filter(|_| keeps_text) {
        Some(text) => format!("late error {code}: {text}"),
        None => format!("late error {code}"),
    };
    Cow::Owned(bounded(&words).as_ref().to_owned())
}
