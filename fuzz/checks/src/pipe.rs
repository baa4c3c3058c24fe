//! What must hold of a pipe, whatever its two sides say, in whatever pieces, and however it ends.

use crate::input::Input;
use mcplog::Event;
use mcplog::event::{Code, Direction, Outcome};
use mcplog_observe::{
    BUDGET_BYTES, Budget, Counts, Observer, Pipe, PipeReader, SchemaQueue, SchemaResult, Side, Sink, Surroundings,
    SystemClock,
};
use std::sync::{Arc, Mutex};

/// What happens.
enum Step<'a> {
    Bytes(Side, &'a [u8]),
    End(Side),
    ServerGone,
    ClientGone,
    GiveUp,
    Stop,
}

/// Nothing panics; every call becomes exactly one event; the same rows and the same noise wherever the bytes are cut; and the
/// budget is whole again.
pub fn check(input: &[u8]) {
    let steps = read(input);
    let whole = play(&steps, usize::MAX, BUDGET_BYTES);
    for piece_bytes in [1, 2, 7] {
        assert_eq!(play(&steps, piece_bytes, BUDGET_BYTES), whole, "pieces of {piece_bytes}");
    }
    // Where there is no room, less is read.
    play(&steps, 16, 0);
}

fn read(input: &[u8]) -> Vec<Step<'_>> {
    let (mut input, mut steps) = (Input::new(input), Vec::new());
    while !input.is_empty() {
        steps.push(match input.u8() {
            0..=99 => Step::Bytes(Side::Client, input.bytes()),
            100..=229 => Step::Bytes(Side::Server, input.bytes()),
            230..=233 => Step::End(Side::Client),
            234..=237 => Step::End(Side::Server),
            238..=242 => Step::ServerGone,
            243..=247 => Step::ClientGone,
            248..=252 => Step::GiveUp,
            253..=255 => Step::Stop,
        });
    }
    steps
}

/// What was recorded of calls, in some order that is always the same, and how much noise there was.
#[derive(Debug, PartialEq, Eq)]
struct Recorded {
    rows: Vec<String>,
    noise: (u64, u64),
}

#[derive(Default)]
struct Rows(Mutex<Vec<String>>);

impl Sink for Rows {
    fn record(&self, event: Event<'_>) -> bool {
        let Event::Request(request) = event else { return true };
        assert!(request.session_id.is_some() && request.http_status.is_none() && request.endpoint.is_none());
        assert!(request.outcome.is_some() && request.direction.is_some() && request.latency_us >= 0);
        assert!(request.direction == Some(Direction::Client) || request.tool.is_none(), "clients have no tools");
        let said = (request.method, request.tool, request.target, request.rpc_id, request.protocol_version);
        let ended = (request.outcome, request.error_code, request.error_msg, request.cause, request.notes);
        let row = format!("{:?} {said:?} {ended:?} {:?} {:?}", request.direction, request.bytes_in, request.bytes_out);
        self.0.lock().expect("not poisoned").push(row);
        true
    }
}

impl SchemaQueue for Rows {
    fn offer(&self, _result: SchemaResult) {}
}

fn play(steps: &[Step<'_>], piece_bytes: usize, budget_bytes: usize) -> Recorded {
    let (rows, counts, budget) = (Arc::new(Rows::default()), Arc::new(Counts::default()), Budget::new(budget_bytes));
    let surroundings = Surroundings {
        proxy: "fuzzed".into(),
        sink: rows.clone(),
        schema: rows.clone(),
        counts: counts.clone(),
        clock: Arc::new(SystemClock),
        session_idle_ms: 0,
    };
    let observer = Observer::within(budget.clone(), surroundings);
    let pipe = Pipe::begin(&observer);
    let mut readers = [Side::Client, Side::Server].map(|side| Some(pipe.reader(side)));
    for step in steps {
        match *step {
            Step::Bytes(side, bytes) => {
                let reader = &mut readers[side as usize];
                reader.iter_mut().for_each(|reader| bytes.chunks(piece_bytes).for_each(|piece| reader.push(piece)));
            }
            Step::End(side) => readers[side as usize].take().into_iter().for_each(PipeReader::finish),
            Step::ServerGone => pipe.on_server_gone("exit code 1"),
            Step::ClientGone => pipe.on_client_gone(),
            Step::GiveUp => observer.give_up_overdue(),
            Step::Stop => observer.stop(),
        }
    }
    drop(readers);
    let noise = pipe.noise();
    drop(pipe);
    assert_eq!(budget.taken(), 0, "the budget is whole again");
    drop(observer);
    assert_eq!((counts.in_flight.get(), counts.asked_in_flight.get()), (0, 0), "every call has ended");
    let mut rows = std::mem::take(&mut *rows.0.lock().expect("not poisoned"));
    let of_both = |outcome: &Outcome| counts.with_outcome(*outcome) + counts.asked_with_outcome(*outcome);
    let recorded: u64 = Outcome::ALL.iter().map(of_both).sum();
    assert_eq!(recorded, rows.len() as u64, "and each is one row");
    rows.sort_unstable();
    Recorded { rows, noise: (noise.lines, noise.bytes) }
}
