//! A week of requests as a proxy records them: one every 60 ms, 200 sessions at a time, five tools or as many as are
//! asked for, one failure in twenty. The same on every machine.

use mcplog::{Recorder, Request, Session, Status};
use std::fmt::Write as _;

/// When the first request arrives: Unix time in milliseconds, UTC.
pub(crate) const START_TS: i64 = 1_760_000_000_000;
/// From one request to the next, on average.
const PACE_MS: u64 = 60;
/// Sessions that are active at a time.
const ACTIVE: usize = 200;
/// After about so many requests a session ends, and another takes its place.
const REQUESTS_PER_SESSION: u64 = 100;
const TOOLS: [&str; 5] = ["search", "read_file", "write_file", "run_query", "list_products"];
const CLIENTS: [&str; 4] = ["claude-ai", "cursor", "Visual Studio Code", "openai-mcp"];

/// The requests, one after the other.
pub(crate) struct Workload {
    random: Random,
    /// The ids of the active sessions, by slot.
    sessions: Vec<String>,
    sessions_begun: u64,
    requests: u64,
    /// The names of the tools; each is called as often as any other.
    pub(crate) tools: Vec<String>,
    /// Reused, so that an event costs no allocation.
    request_id: String,
}

impl Workload {
    /// From the first request on.
    pub(crate) fn new() -> Self {
        Self {
            random: Random(0x9e37_79b9_7f4a_7c15),
            sessions: Vec::new(),
            sessions_begun: 0,
            requests: 0,
            tools: tool_names(TOOLS.len()),
            request_id: String::new(),
        }
    }

    /// Records the next request, and before it the session that begins with it.
    pub(crate) fn record_next(&mut self, recorder: &Recorder) {
        let number = self.requests;
        self.requests += 1;
        let ts = START_TS + i64::try_from(number * PACE_MS + self.random.below(PACE_MS)).expect("a time");
        let slot = usize::try_from(self.random.below(ACTIVE as u64)).expect("an index");
        if slot >= self.sessions.len() || self.random.below(REQUESTS_PER_SESSION) == 0 {
            self.begin_session(slot, ts, recorder);
        }
        self.request_id.clear();
        // Writing to a String can't fail.
        let _ = write!(self.request_id, "{:08x}-{:04x}-7cc3-98c4-{number:012x}", ts >> 16, ts & 0xffff);
        let mut request = Request::new(&self.request_id, ts, "files", "tools/call");
        request.session_id = self.sessions.get(slot).map(String::as_str);
        let tool = self.random.below(self.tools.len() as u64);
        request.tool = Some(&self.tools[usize::try_from(tool).expect("an index")]);
        request.latency_us = self.random.latency_us();
        (request.bytes_in, request.bytes_out) = (Some(180), Some(1_900));
        match self.random.below(1_000) {
            0 => (request.status, request.latency_us) = (Status::Timeout, 30_000_000),
            1..50 => {
                request.status = Status::Error;
                request.error_code = Some("-32602");
                request.error_msg = Some("Invalid params: query must not be empty");
            }
            50..60 => request.tool_error = Some(true),
            _ => {}
        }
        recorder.record(request);
    }

    fn begin_session(&mut self, slot: usize, ts: i64, recorder: &Recorder) {
        let number = u128::from(self.sessions_begun);
        let id = format!("{:032x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_0605_cedc_8341));
        let mut session = Session::new(&id, ts, "files");
        session.client_name = Some(CLIENTS[slot % CLIENTS.len()]);
        session.client_version = Some("1.0");
        recorder.record(session);
        self.sessions_begun += 1;
        match self.sessions.get_mut(slot) {
            Some(held) => *held = id,
            None => self.sessions.push(id),
        }
    }
}

/// The names of so many tools.
pub(crate) fn tool_names(tools: usize) -> Vec<String> {
    let numbered = (TOOLS.len()..tools).map(|number| format!("tool_{number}"));
    TOOLS.iter().take(tools).map(|name| (*name).to_owned()).chain(numbered).collect()
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }

    /// From half a millisecond to four seconds, most of them from 8 to 260 ms: a sum of four is close to a bell curve.
    fn latency_us(&mut self) -> i64 {
        let steps = (0..4).map(|_| self.below(16)).sum::<u64>();
        let octave = 512_u64 << (steps / 5);
        i64::try_from(octave + self.below(octave)).expect("a latency")
    }
}
