//! Tables `writers` and `fold_runs`: what they say, how they grow, and when their rows go.

use super::two_holders_tests::writer;
use super::*;
use crate::index::expiry_turn::Look;
use crate::index::row_retention::{RetentionTime, RowRetention};
use crate::record::record::{WriterBeganRecord, WriterEndedRecord};

const MINUTE: i64 = 60_000;

impl Fixture {
    /// Folds records of a writer behind what is folded of it, in a transaction of their own.
    fn fold_of(&mut self, writer: WriterId, records: &[Record<'_>]) {
        let mut batch = self.index().begin().unwrap();
        add(&mut batch, writer, records);
        batch.commit().unwrap();
    }

    /// Writer, first number, count, of each run.
    fn runs(&mut self) -> Vec<(i64, i64, i64, i64)> {
        let rows = self.rows("SELECT first_id, writer, first_sequence, count FROM fold_runs ORDER BY first_id");
        rows.iter().map(|row| (number(&row[0]), number(&row[1]), number(&row[2]), number(&row[3]))).collect()
    }

    fn writers(&mut self) -> Vec<Vec<Value>> {
        self.rows(
            "SELECT writer, process_id, host, program, program_version, started_at, last_seen_at, ended_at, ended
             FROM writers ORDER BY id",
        )
    }

    /// Everything from before that time goes, where of those writers files may be there.
    fn expire_with(&mut self, kept_since: i64, present: &[WriterId]) {
        self.index().begin_expiring(kept_since).unwrap();
        let (unlimited, time) = (RowRetention::UNLIMITED, RetentionTime::of_clock(0));
        let present = present.iter().copied().collect();
        while self.index().expire(Look::Seldom, &unlimited, time, &present).unwrap() {}
    }
}

fn add(batch: &mut Batch<'_>, writer: WriterId, records: &[Record<'_>]) {
    let from = batch.checkpoint(writer).unwrap();
    let payloads: Vec<_> = records
        .iter()
        .map(|record| {
            let mut payload = Vec::new();
            record.encode(&mut payload);
            payload
        })
        .collect();
    let mutations = (from.sequence.0 + 1..)
        .map(Sequence)
        .zip(payloads.iter().map(|payload| fold(Record::decode(payload).unwrap())));
    batch.apply(writer, mutations.collect()).unwrap();
    let to = Checkpoint { sequence: Sequence(from.sequence.0 + records.len() as u64), ..from };
    batch.reached(writer, from, to).unwrap();
}

fn request(ts: i64) -> Record<'static> {
    let id: &'static str = Box::leak(format!("r{ts}").into_boxed_str());
    Record::from(Event::from(Request::new(id, ts, "p", "ping")))
}

fn began(started_at: i64) -> Record<'static> {
    let (host, program, program_version) = ("here", "mcplog proxy", "0.1.0");
    Record::WriterBegan(WriterBeganRecord { process_id: 7, host, program, program_version, started_at })
}

fn text(text: impl ToString) -> Value {
    Value::Text(text.to_string())
}

#[test]
fn a_writers_row_says_what_its_log_says_and_how_it_ended() {
    let mut fixture = Fixture::new();
    let (closed, died, unknown) = (writer(0), writer(1), writer(2));
    fixture.fold_of(closed, &[began(5), request(20), request(10)]);
    fixture.fold_of(closed, &[Record::WriterEnded(WriterEndedRecord { ended_at: 30 })]);
    fixture.fold_of(died, &[began(6)]);
    fixture.fold_of(unknown, &[request(8)]);
    let mut batch = fixture.index().begin().unwrap();
    for writer in [closed, died] {
        batch.end_writer(writer, 99).unwrap();
        batch.end_writer(writer, 100).unwrap();
    }
    batch.commit().unwrap();
    let said = |id: WriterId, started_at: i64, seen_at: Value, ended_at: i64, ended: &str| {
        let who = [text(id), Value::Integer(7), text("here"), text("mcplog proxy"), text("0.1.0")];
        [&who[..], &[Value::Integer(started_at), seen_at, Value::Integer(ended_at), text(ended)]].concat()
    };
    let null = Value::Null;
    assert_eq!(
        fixture.writers(),
        [
            said(closed, 5, Value::Integer(20), 30, "closed"),
            said(died, 6, null.clone(), 99, "died"),
            [&[text(unknown)][..], &vec![null.clone(); 5], &[Value::Integer(8), null.clone(), null]].concat(),
        ]
    );
}

#[test]
fn a_transaction_adds_one_run_for_each_writer_and_none_where_the_last_one_goes_on() {
    let mut fixture = Fixture::new();
    let (one, other) = (writer(0), writer(1));
    for ts in 0..4 {
        fixture.fold_of(one, &[request(10 * ts), request(10 * ts + 1)]);
    }
    assert_eq!(fixture.runs(), [(1, 1, 1, 8)]);
    let mut batch = fixture.index().begin().unwrap();
    for (ts, writer) in [(100, one), (101, one), (102, other), (103, other)] {
        add(&mut batch, writer, &[request(ts)]);
    }
    batch.commit().unwrap();
    fixture.fold_of(other, &[request(200)]);
    assert_eq!(fixture.runs(), [(1, 1, 1, 10), (11, 2, 1, 3)]);
    // One that is ignored has an id all the same.
    fixture.fold_of(one, &[request(200), request(201)]);
    assert_eq!(fixture.runs(), [(1, 1, 1, 10), (11, 2, 1, 3), (14, 1, 11, 2)]);
    assert_eq!(fixture.rows("SELECT id FROM requests WHERE request_id = 'r201'"), [[Value::Integer(15)]]);
}

#[test]
fn runs_and_writers_go_with_the_last_of_their_rows_but_for_those_of_whom_files_may_be_there() {
    let mut fixture = Fixture::new();
    let [gone, present, damaged, young] = [0, 1, 2, 3].map(writer);
    for (ts, writer) in [(1, gone), (2, present), (3, damaged), (4, gone)] {
        fixture.fold_of(writer, &[began(ts), request(ts)]);
    }
    let mut batch = fixture.index().begin().unwrap();
    batch.note_as_of(3);
    batch.quarantine_bytes(damaged, SegmentId(1), crate::ground::position::Offset(4096), 7, "damaged").unwrap();
    batch.end_writer(gone, 5).unwrap();
    batch.commit().unwrap();
    fixture.fold_of(young, &[request(2 * MINUTE)]);
    let runs = fixture.runs().len();
    fixture.expire_with(0, &[]);
    assert_eq!((fixture.runs().len(), fixture.writers().len()), (runs, 4), "nothing is expired");
    fixture.expire_with(MINUTE, &[present, damaged, young]);
    let named = |fixture: &mut Fixture| fixture.writers().into_iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(named(&mut fixture), [present, damaged, young].map(text));
    assert_eq!(fixture.runs(), [(9, 4, 1, 1)]);
    assert_eq!(fixture.index().checkpoint_of(gone).unwrap(), None);
    assert_eq!(fixture.index().checkpoint_of(present).unwrap().unwrap().sequence, Sequence(2));
    fixture.expire_with(MINUTE, &[]);
    assert_eq!(named(&mut fixture), [young].map(text));
    // Also where no row is left, no id comes again.
    fixture.expire_with(3 * MINUTE, &[]);
    assert_eq!(fixture.rows("SELECT count(*) FROM requests"), [[Value::Integer(0)]]);
    fixture.fold_of(present, &[request(5 * MINUTE)]);
    assert_eq!(fixture.runs().last().unwrap().0, 10);
    assert_eq!(named(&mut fixture), [young, present].map(text));
}

#[test]
fn a_run_stays_as_long_as_any_row_is_of_it() {
    let mut fixture = Fixture::new();
    for ts in 0..10 {
        fixture.fold_of(writer(usize::from(ts % 2 == 1)), &[request(ts * MINUTE)]);
    }
    fixture.fold_of(writer(2), &[request(0)]);
    fixture.expire_with(4 * MINUTE, &[]);
    assert_eq!(fixture.runs().iter().map(|run| run.0).collect::<Vec<_>>(), (5..=11).collect::<Vec<_>>());
    let orphans = "SELECT count(*) FROM request_rows AS r WHERE NOT EXISTS (
                       SELECT 1 FROM fold_runs WHERE r.id >= first_id AND r.id < first_id + count)";
    assert_eq!(fixture.rows(orphans), [[Value::Integer(0)]]);
}
