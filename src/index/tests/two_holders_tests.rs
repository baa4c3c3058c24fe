//! Two who fold into one database, in turn, each with what it remembers, whatever the other one did meanwhile: as where the
//! lock of who folds is lost, or a stopped process goes on.

use super::expiry_tests::{expired_model, in_time, spread};
use super::*;
use crate::ground::error::IndexError;
use crate::index::checkpoint;
use crate::index::copy_schedule::CopyMode;
use crate::index::fence::Planted;
use proptest::test_runner::{TestCaseError, TestRunner};
use std::collections::HashMap;

/// A writer's log: a record for each number from 1 on; `None`: it is missing.
type Log = Vec<Option<Owned>>;

/// What one of the two does in its turn.
#[derive(Clone, Debug)]
struct Turn {
    /// Which of them.
    holder: usize,
    /// How many records of which writer's log it takes into its transaction.
    quanta: Vec<(usize, usize)>,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Commits,
    /// The transaction is dropped, as at an error.
    Drops,
    /// The process dies before the commit, and another one comes.
    Dies,
}

/// Who folds: an index, and the checkpoints that it went by last.
struct Holder {
    index: Index,
    remembered: HashMap<WriterId, Checkpoint>,
}

/// Two holders of one database.
struct Two {
    fixture: Fixture,
    holders: [Holder; 2],
    planted: Option<Planted>,
}

fn logs() -> impl Strategy<Value = Vec<Log>> {
    let record = proptest::option::weighted(0.9, event().prop_map(spread));
    proptest::collection::vec(proptest::collection::vec(record, 0..12), 1..4)
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let end = prop_oneof![4 => Just(End::Commits), 1 => Just(End::Drops), 1 => Just(End::Dies)];
    let quanta = proptest::collection::vec((0..4_usize, 1..6_usize), 1..4);
    let turn = (0..2_usize, quanta, end).prop_map(|(holder, quanta, end)| Turn { holder, quanta, end });
    proptest::collection::vec(turn, 0..16)
}

/// The writers in the order of their ids, from that one on.
pub(super) fn writer(number: usize) -> WriterId {
    WriterId([u8::try_from(number).unwrap() + 1; 16])
}

fn open(dir: &std::path::Path, planted: Option<Planted>) -> Index {
    let mut config = Config::new(dir);
    config.session_idle_ms = Some(0);
    let mut index = Index::open(&config, STORE).unwrap();
    index.connection.pragma_update(None, "synchronous", "OFF").unwrap();
    index.fence.planted = planted;
    index
}

impl Two {
    fn new(planted: Option<Planted>) -> Self {
        let mut fixture = Fixture::new();
        fixture.index().fence.planted = planted;
        let holders = [0, 1].map(|_| Holder { index: open(fixture.dir.path(), planted), remembered: HashMap::new() });
        Self { fixture, holders, planted }
    }

    /// Folds all of the logs, whose first one is that of writer `first`.
    fn fold(&mut self, first: usize, logs: &[Log], turns: &[Turn]) -> Result<(), IndexError> {
        turns.iter().try_for_each(|turn| self.take(first, logs, turn))?;
        let all: Vec<_> = (0..logs.len()).map(|log| (log, usize::MAX)).collect();
        // The first attempt of each may find that the other one came further.
        for holder in [0, 1, 0, 1] {
            self.take(first, logs, &Turn { holder, quanta: all.clone(), end: End::Commits })?;
        }
        Ok(())
    }

    /// A turn. Where the other one came further than this one remembers, that is all that this one learns.
    fn take(&mut self, first: usize, logs: &[Log], turn: &Turn) -> Result<(), IndexError> {
        let Holder { index, remembered } = &mut self.holders[turn.holder];
        let mut reached = remembered.clone();
        let mut batch = index.begin()?;
        let mut moved = false;
        for (log, quantum) in turn.quanta.iter().filter(|(log, _)| *log < logs.len()) {
            let (id, log) = (writer(first + log), &logs[*log]);
            let from = *reached.entry(id).or_insert(Checkpoint::START);
            let up_to = fold_some(&mut batch, id, log, from.sequence.0, *quantum)?;
            let to = Checkpoint { sequence: Sequence(up_to), ..from };
            match batch.reached(id, from, to) {
                Err(IndexError::Moved { .. }) => {
                    moved = true;
                    break;
                }
                other => other?,
            }
            reached.insert(id, to);
        }
        if moved {
            drop(batch);
            *remembered = checkpoints(index);
            return Ok(());
        }
        match turn.end {
            End::Commits => {
                batch.commit()?;
                *remembered = reached;
            }
            End::Drops => {}
            End::Dies => {
                drop(batch);
                *index = open(self.fixture.dir.path(), self.planted);
                *remembered = checkpoints(index);
            }
        }
        Ok(())
    }

    /// An error if not each record has one id, and each id one record; where some are expired, some records have none.
    fn pairs(&mut self, logs: &[Log], are_some_expired: bool) -> Result<(), TestCaseError> {
        let sql =
            "SELECT r.first_id, w.writer, r.first_sequence, r.count FROM fold_runs r JOIN writers w ON w.id = r.writer
                   ORDER BY r.first_id";
        let (mut next_id, mut found) = (1, Vec::new());
        for run in self.fixture.rows(sql) {
            let Value::Text(writer) = &run[1] else { panic!("{run:?}") };
            let (first_id, first_sequence, count) = (number(&run[0]), number(&run[2]), number(&run[3]));
            prop_assert!(
                first_id == next_id || (are_some_expired && first_id > next_id),
                "{first_id} comes where {next_id} is due"
            );
            next_id = first_id + count;
            found.extend((0..count).map(|at| (writer.clone(), first_sequence + at)));
        }
        let mut expected = Vec::new();
        for (at, log) in logs.iter().enumerate() {
            let is_first = |number: usize| log[number].is_some() || number == 0 || log[number - 1].is_some();
            let numbers = (0..log.len()).filter(|number| is_first(*number));
            expected.extend(numbers.map(|number| (writer(at).to_string(), number as i64 + 1)));
        }
        for pairs in [&mut found, &mut expected] {
            pairs.sort();
        }
        if are_some_expired {
            prop_assert!(found.windows(2).all(|pairs| pairs[0] != pairs[1]));
            prop_assert!(found.iter().all(|pair| expected.binary_search(pair).is_ok()));
            // All ids were given out: the last one is told, whatever is expired.
            prop_assert_eq!(next_id, expected.len() as i64 + 1);
        } else {
            prop_assert_eq!(found, expected);
        }
        let missing: i64 = logs.iter().flatten().filter(|record| record.is_none()).count() as i64;
        let told = self.fixture.rows("SELECT coalesce(sum(events), 0) FROM gaps WHERE missing = 1");
        prop_assert_eq!(number(&told[0][0]), missing);
        Ok(())
    }
}

/// The checkpoints of all writers, as the tables have them.
fn checkpoints(index: &Index) -> HashMap<WriterId, Checkpoint> {
    checkpoint::read_all(&index.connection).unwrap().into_iter().collect()
}

/// Folds so many records of a log behind number `folded`; returns up to which number.
fn fold_some(
    batch: &mut Batch<'_>,
    writer: WriterId,
    log: &Log,
    folded: u64,
    quantum: usize,
) -> Result<u64, IndexError> {
    let (mut next, mut left) = (usize::try_from(folded).unwrap(), quantum);
    while next < log.len() && left > 0 {
        match &log[next] {
            Some(event) => {
                let payload = encoded(event);
                batch.apply(writer, vec![(Sequence(next as u64 + 1), fold(Record::decode(&payload).unwrap()))])?;
                (next, left) = (next + 1, left - 1);
            }
            None => {
                let behind = log[next..].iter().position(Option::is_some).map_or(log.len(), |at| next + at);
                batch.note_missing(writer, (next as u64 + 1, behind as u64), None, Some(i64::MAX))?;
                // What is behind the hole comes into the transaction, too.
                (next, left) = (behind, left.max(1));
            }
        }
    }
    Ok(next as u64)
}

/// What both together make of the logs, with an expiry by each of them between, is what the model makes.
fn check(case: &Case, planted: Option<Planted>) -> Result<(), TestCaseError> {
    let Case { before, after, late, turns, kept_since: [first, second] } = case;
    let with_late = [&after[..], &[late.iter().cloned().map(Some).collect()]].concat();
    let (first, second) = (*first, *second);
    let failed = |error: IndexError| TestCaseError::fail(error.to_string());
    let mut two = Two::new(planted);
    two.fold(0, before, &turns[0]).map_err(failed)?;
    two.pairs(before, false)?;
    for expires in [first, second] {
        // The one who expires knows that; the other one has folded last.
        let expiring = usize::from(expires == second);
        two.holders[expiring].index.begin_expiring(expires).map_err(failed)?;
        two.holders[expiring].index.begin_expiring(expires).map_err(failed)?;
        two.holders[expiring].index.finish_expiring().map_err(failed)?;
        if expires == first {
            two.fold(before.len(), &with_late, &turns[1]).map_err(failed)?;
        }
    }
    let events = |logs: &[Log]| logs.iter().flatten().flatten().cloned().collect::<Vec<_>>();
    two.fixture.reopen();
    two.pairs(&[&before[..], &with_late[..]].concat(), true)?;
    for (found, expected) in
        two.fixture.tables().iter().zip(expired_model(&events(before), first, &events(after), second))
    {
        prop_assert_eq!(found, &expected);
    }
    let counted = two.fixture.rows("SELECT late_requests FROM retention");
    prop_assert_eq!(number(&counted[0][0]), late.len() as i64);
    let kept = two.fixture.derived();
    two.fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    prop_assert_eq!(kept, two.fixture.derived());
    Ok(())
}

/// Logs before and behind an expiry, of which nothing came too late, the turns at each, and since when rows are kept from
/// then on, and at the end.
#[derive(Clone, Debug)]
struct Case {
    before: Vec<Log>,
    after: Vec<Log>,
    /// Requests that come too late, behind the first expiry: they are counted, and nothing else.
    late: Vec<Owned>,
    turns: [Vec<Turn>; 2],
    kept_since: [i64; 2],
}

fn cases() -> impl Strategy<Value = Case> {
    let times = (1..7_i64, 1..3_i64).prop_map(|(first, more)| [first * 420_000, (first + more) * 420_000]);
    let late = proptest::collection::vec(event().prop_map(spread), 0..12);
    (logs(), logs(), late, turns(), turns(), times).prop_map(|(before, after, mut late, one, other, kept_since)| {
        late.retain(|event| matches!(event, Owned::Request { ts, .. } if *ts < kept_since[0]));
        let events: Vec<_> = before.iter().flatten().flatten().cloned().collect();
        let came_in_time = |record: Option<Owned>| {
            let event = record?;
            in_time(&events, kept_since[0], vec![event]).pop()
        };
        let after = after.into_iter().map(|log| log.into_iter().map(came_in_time).collect()).collect();
        Case { before, after, late, turns: [one, other], kept_since }
    })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn two_who_fold_in_turn_with_old_memory_give_the_tables_that_one_gives(case in cases()) {
        check(&case, None)?;
    }
}

#[test]
fn without_the_fence_or_with_old_checkpoints_two_who_fold_in_turn_are_found_out() {
    for planted in [Planted::OldMemory, Planted::OldCheckpoint] {
        let unshrunk = ProptestConfig { max_shrink_iters: 0, ..config(300) };
        let found = TestRunner::new(unshrunk).run(&cases(), |case| check(&case, Some(planted)));
        assert!(found.is_err(), "a test that can't find {planted:?}");
    }
}

/// Something that nobody else would remember.
fn mark(index: &mut Index) {
    index.held.limits_advice = Some("remembered".into());
}

fn is_marked(index: &Index) -> bool {
    index.held.limits_advice.is_some()
}

fn fold_one(index: &mut Index, sequence: u64) {
    let request = Owned::Request {
        id: format!("r{sequence}"),
        ts: i64::try_from(sequence).unwrap() * 60_000,
        proxy: "p".into(),
        session: None,
        status: 0,
        tool_error: None,
        told: None,
    };
    let payload = encoded(&request);
    let mut batch = index.begin().unwrap();
    batch.apply(WRITER, vec![(Sequence(sequence), fold(Record::decode(&payload).unwrap()))]).unwrap();
    commit(batch, sequence);
}

#[test]
fn what_is_remembered_outlives_all_that_we_do_ourselves_and_nothing_that_others_do() {
    let mut fixture = Fixture::new();
    let mut index = fixture.index.take().unwrap().with_copying_thread();
    fold_one(&mut index, 1);
    mark(&mut index);
    for sequence in 2..40 {
        fold_one(&mut index, sequence);
        drop(index.begin().unwrap());
        if sequence % 5 == 0 {
            // The thread's connection commits, so that SQLite's WAL begins anew.
            index.copier.empty(&index.connection).unwrap();
        }
        if sequence % 7 == 0 {
            index.copier.start(CopyMode::Copy);
        }
        if sequence % 3 == 0 {
            index.copier.wait();
        }
        if sequence % 11 == 0 {
            index.make_durable().unwrap();
        }
    }
    index.begin_expiring(20 * 60_000).unwrap();
    index.finish_expiring().unwrap();
    index.copier.wait();
    index.wal_in_doubt.store(false, Ordering::Relaxed);
    fold_one(&mut index, 40);
    assert!(is_marked(&index), "what we did ourselves");
    assert!(!index.wal_in_doubt.load(Ordering::Relaxed));
    let mut other = open(fixture.dir.path(), None);
    mark(&mut other);
    let mut dropped = other.begin().unwrap();
    dropped.end_writer(writer(8), 1).unwrap();
    drop(dropped);
    fold_one(&mut index, 41);
    assert!(is_marked(&index), "nothing that the other one did was committed");
    fold_one(&mut other, 42);
    fold_one(&mut index, 43);
    assert!(!is_marked(&index) && !is_marked(&other), "each finds the other's commit");
    assert!(index.wal_in_doubt.load(Ordering::Relaxed), "nobody knows what the other one's syncs came to");
    mark(&mut index);
    // Somebody's sqlite3 shell, without our word.
    let shell = Connection::open(fixture.dir.path().join("store.db")).unwrap();
    shell.execute("INSERT INTO meta VALUES ('somebody', 'was here')", []).unwrap();
    fold_one(&mut index, 44);
    assert!(!is_marked(&index));
}

#[test]
fn making_durable_is_not_fooled_by_what_another_one_committed() {
    let mut fixture = Fixture::new();
    let mut index = fixture.index.take().unwrap();
    fold_one(&mut index, 1);
    let mut other = open(fixture.dir.path(), None);
    fold_one(&mut other, 2);
    index.wal_in_doubt.store(false, Ordering::Relaxed);
    index.make_durable().unwrap();
    assert!(!index.wal_in_doubt.load(Ordering::Relaxed));
    let wal = std::fs::metadata(fixture.dir.path().join("store.db-wal")).unwrap().len();
    // Emptied, but for the commit that syncs.
    assert!(wal < 3 * 8192, "{wal}");
}
