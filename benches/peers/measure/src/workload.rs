//! The one event that everybody records: a `tools/call` as a recording proxy would have it, in borrowed strings.

use serde::Serialize;

/// The tools that are called.
pub const TOOLS: [&str; 5] = ["search", "read_file", "write_file", "run_query", "list_products"];
/// How many sessions call them.
pub const SESSIONS: usize = 200;
/// The proxy's name.
pub const PROXY: &str = "files";
/// When the first event happened, in Unix milliseconds.
pub const FIRST_TS: i64 = 1_760_000_000_000;
/// How many events happen in one millisecond of the workload's own time.
const EVENTS_PER_MS: u64 = 10;

/// A completed request, borrowed from what the proxy holds. The logs that take bytes get its postcard encoding.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Event<'a> {
    /// A UUIDv7 as text.
    pub request_id: &'a str,
    /// Unix milliseconds.
    pub ts: i64,
    /// Always [`PROXY`].
    pub proxy: &'a str,
    /// 32 hexadecimal digits.
    pub session_id: &'a str,
    /// Always `tools/call`.
    pub method: &'a str,
    /// One of [`TOOLS`].
    pub tool: &'a str,
    /// How long the upstream took, in microseconds.
    pub latency_us: i64,
    /// What went wrong, for one event in twenty.
    pub failure: Option<Failure<'a>>,
    /// Size of the request's body.
    pub bytes_in: i64,
    /// Size of the answer's body.
    pub bytes_out: i64,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Failure<'a> {
    /// The JSON-RPC error code.
    pub code: &'a str,
    /// Its message.
    pub message: &'a str,
}

impl Event<'_> {
    /// The event's postcard encoding, in place of what `buffer` held. The buffer keeps its capacity, as a careful user
    /// of a log that takes bytes would have it.
    #[inline]
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        postcard::to_io(self, &mut *buffer).expect("a vector takes every byte");
    }
}

/// Room for the texts that a proxy has just made or read from the request.
#[derive(Debug)]
pub struct Texts {
    request_id: [u8; 36],
    session_id: [u8; 32],
}

impl Texts {
    /// Empty.
    #[inline]
    pub const fn new() -> Self {
        Self { request_id: [0; 36], session_id: [0; 32] }
    }
}

impl Default for Texts {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes events, numbered from 0.
#[derive(Clone, Debug)]
pub struct Workload {
    sessions: Vec<String>,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            sessions: (0..SESSIONS as u64).map(|number| format!("{:016x}{:016x}", mix(number), mix(!number))).collect(),
        }
    }
}

impl Workload {
    /// The ids of all sessions.
    pub fn sessions(&self) -> impl Iterator<Item = &str> {
        self.sessions.iter().map(String::as_str)
    }

    /// The event of that number. Its ids are written into `texts`, on the caller's stack: a proxy has just made the one and
    /// read the other. Borrowed from the list of sessions, of which each has its turn every 200 events, the session's id is
    /// not in the cache at a calm pace: at 1,000 per second, reading its first byte alone took 200 to 320 ns (p50).
    #[inline]
    pub fn event<'a>(&self, number: u64, texts: &'a mut Texts) -> Event<'a> {
        let ts = FIRST_TS + (number / EVENTS_PER_MS) as i64;
        write_uuid_v7(ts as u64, mix(number), &mut texts.request_id);
        let spread = mix(number ^ 0x5bd1_e995);
        texts.session_id.copy_from_slice(self.sessions[spread as usize % SESSIONS].as_bytes());
        Event {
            request_id: std::str::from_utf8(&texts.request_id).expect("hexadecimal digits"),
            ts,
            proxy: PROXY,
            session_id: std::str::from_utf8(&texts.session_id).expect("hexadecimal digits"),
            method: "tools/call",
            tool: TOOLS[(spread >> 16) as usize % TOOLS.len()],
            latency_us: 800 + (spread >> 32) as i64 % 30_000,
            failure: number
                .is_multiple_of(20)
                .then_some(Failure { code: "-32602", message: "Invalid params: query must not be empty" }),
            bytes_in: 180,
            bytes_out: 1_900,
        }
    }
}

/// splitmix64: one number into another that looks random, each its own.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn write_uuid_v7(ts_ms: u64, random: u64, text: &mut [u8; 36]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // 48 bits of time; the version and 12 random bits; the variant and 62 random bits.
    let high = ts_ms << 16 | 0x7000 | random >> 52;
    let low = 0b10 << 62 | random << 12 >> 2 | random.rotate_left(7) & 0x3ff;
    let bits = u128::from(high) << 64 | u128::from(low);
    let mut shift = 128;
    for (index, place) in text.iter_mut().enumerate() {
        if matches!(index, 8 | 13 | 18 | 23) {
            *place = b'-';
        } else {
            shift -= 4;
            *place = DIGITS[(bits >> shift) as usize & 15];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_7_uuids_and_none_comes_twice() {
        let workload = Workload::default();
        let mut seen = std::collections::HashSet::new();
        for number in 0..100_000 {
            let mut texts = Texts::new();
            let event = workload.event(number, &mut texts);
            assert_eq!(&event.request_id[14..15], "7", "{}", event.request_id);
            assert!(matches!(&event.request_id[19..20], "8" | "9" | "a" | "b"), "{}", event.request_id);
            assert!(seen.insert(event.request_id.to_owned()), "{} came twice", event.request_id);
        }
    }

    #[test]
    fn every_session_and_tool_is_used_and_one_in_twenty_fails() {
        let workload = Workload::default();
        let (mut sessions, mut tools, mut failures) = (Vec::new(), Vec::new(), 0);
        for number in 0..20_000 {
            let mut texts = Texts::new();
            let event = workload.event(number, &mut texts);
            sessions.push(event.session_id.to_owned());
            tools.push(event.tool.to_owned());
            failures += u32::from(event.failure.is_some());
        }
        sessions.sort_unstable();
        sessions.dedup();
        tools.sort_unstable();
        tools.dedup();
        assert_eq!((sessions.len(), tools.len(), failures), (SESSIONS, TOOLS.len(), 1_000));
        assert!(sessions.iter().all(|session| session.len() == 32));
    }
}
