//! Records that wait for a newer build against the model: whichever waited, and whatever crashed meanwhile, the tables
//! are those of a build that knew all of them from the start.

use super::*;
use crate::ground::position::Offset;
use crate::segment::reader::FrameAt;

/// What some of the events are written as, none of which this build knows.
const KINDS: [(u8, u8); 2] = [(200, 1), (1, 2)];

/// Each event, and as which of [`KINDS`] it is written; `None`: as this build writes it.
fn some_newer() -> impl Strategy<Value = Vec<(Owned, Option<usize>)>> {
    proptest::collection::vec((event(), proptest::option::of(0..KINDS.len())), 0..30)
}

impl Fixture {
    /// Folds events as a build does that does not know some of them: from the checkpoint on, a batch at a time.
    fn fold_known(&mut self, events: &[(Owned, Option<usize>)], steps: &[Step]) {
        let mut steps = steps.iter().copied();
        loop {
            let done = self.folded();
            if done == events.len() {
                return;
            }
            let step = steps.next().unwrap_or(Step { events: events.len(), dies: false, restarts: false });
            let upto = events.len().min(done + step.events);
            let mut batch = self.index().begin().unwrap();
            for (at, (event, newer)) in events.iter().enumerate().take(upto).skip(done) {
                let (sequence, payload) = (Sequence(at as u64 + 1), encoded(event));
                let frame = FrameAt { offset: Offset(4096), sequence, payload: &payload };
                match newer {
                    Some(kind) => batch.keep_newer(WRITER, SegmentId(1), &frame, KINDS[*kind]).unwrap(),
                    None => batch.apply(WRITER, vec![(sequence, fold(Record::decode(&payload).unwrap()))]).unwrap(),
                }
            }
            if step.dies {
                drop(batch);
            } else {
                commit(batch, upto as u64);
            }
            if step.restarts {
                self.reopen();
            }
        }
    }

    /// Folds what waits of one kind, as the build does that knows it: a few at a time.
    fn fold_waiting(&mut self, kind: (u8, u8), steps: &[Step]) {
        let mut steps = steps.iter().copied();
        while self.index().newer_kinds().unwrap().iter().any(|waiting| (waiting.kind, waiting.version) == kind) {
            let step = steps.next().unwrap_or(Step { events: 100, dies: false, restarts: false });
            let mut batch = self.index().begin().unwrap();
            let records = batch.take_newer(kind, step.events, 200).unwrap();
            let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
            assert!((1..=step.events).contains(&records.len()) && (bytes <= 200 || records.len() == 1));
            let mutations = records.iter().map(|record| (record, fold(Record::decode(&record.payload).unwrap())));
            batch.apply_kept(mutations.collect()).unwrap();
            if step.dies {
                drop(batch);
            } else {
                batch.commit().unwrap();
            }
            if step.restarts {
                self.reopen();
            }
        }
    }

    fn folded(&mut self) -> usize {
        let checkpoint = self.index().checkpoint_of(WRITER).unwrap();
        checkpoint.map_or(0, |checkpoint| usize::try_from(checkpoint.sequence.0).unwrap())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_waited_gives_the_tables_that_it_gives_at_once(
        before in some_newer(), after in some_newer(), old in steps(), new in steps(), newer_first in any::<bool>(),
    ) {
        let mut fixture = Fixture::new();
        fixture.fold_known(&before, &old);
        // A build that knows one of the kinds, and then the older one again.
        fixture.fold_waiting(KINDS[usize::from(newer_first)], &new);
        let all = [before, after].concat();
        fixture.fold_known(&all, &old);
        let waiting = fixture.index().newer_kinds().unwrap().iter().map(|kind| kind.records).sum::<u64>();
        prop_assert!(waiting <= all.iter().filter(|(_, newer)| newer.is_some()).count() as u64);
        for kind in KINDS {
            fixture.fold_waiting(kind, &new);
        }
        let events: Vec<_> = all.into_iter().map(|(event, _)| event).collect();
        for (found, expected) in fixture.tables().iter().zip(model(&events)) {
            prop_assert_eq!(found, &expected);
        }
        prop_assert_eq!(fixture.rows("SELECT count(*) FROM newer_records"), [[Value::Integer(0)]]);
        let kept = fixture.derived();
        fixture.index().rebuild(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        prop_assert_eq!(kept, fixture.derived());
    }
}
