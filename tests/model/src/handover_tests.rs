//! What must hold of the hand-over in every interleaving.

use crate::event::{Event, SessionClosed};
use crate::recorder::channel::Channel;
use crate::recorder::intake::Intake;
use crate::recorder::lane;
use crate::recorder::refusal::Refusal;
use loom::model::Builder;
use std::sync::Arc;

/// The session of an event that has a block of its own.
const LARGE: &str = "a session with so long a name that its events share no block";

/// How often a thread may lose the processor where it did not ask for it. Most errors of this sort show with two.
fn model(preemption_bound: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemption_bound);
    builder.max_branches = 100_000;
    builder.check(check);
}

/// Room for two blocks of two events each.
fn channel() -> Arc<Channel> {
    Arc::new(Channel::new(2, 4_000))
}

/// Hands these events over; the numbers of those that were accepted. Ends where the store is closed.
fn offer(channel: &Arc<Channel>, numbers: std::ops::Range<i64>) -> Vec<i64> {
    offer_of(channel, "s", numbers)
}

/// The same, of a session of that name. A long one makes an event too large to share a block.
fn offer_of(channel: &Arc<Channel>, session: &str, numbers: std::ops::Range<i64>) -> Vec<i64> {
    let mut accepted = Vec::new();
    for number in numbers {
        match lane::offer(channel, &Event::SessionClosed(SessionClosed::new(session, number))) {
            Ok(()) => accepted.push(number),
            Err(Refusal::Closed) => break,
            Err(Refusal::Full) => {}
            Err(refusal) => panic!("{refusal}"),
        }
    }
    accepted
}

fn number(event: Event<'_>) -> i64 {
    match event {
        Event::SessionClosed(closed) => {
            assert!(["s", LARGE].contains(&closed.session_id), "a text arrives whole");
            closed.ended_at
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_is_accepted_exactly_if_it_is_taken_before_the_close() {
    model(3, || {
        let channel = channel();
        let mut intake = Intake::new(Arc::clone(&channel));
        let recording = loom::thread::spawn({
            let channel = Arc::clone(&channel);
            move || offer(&channel, 0..2)
        });
        let mut taken = Vec::new();
        intake.take(|event| taken.push(number(event)));
        intake.close(|event| taken.push(number(event)));
        assert_eq!(recording.join().unwrap(), taken);
        assert_eq!(channel.len(), 0);
    });
}

#[test]
fn two_threads_and_a_close_lose_nothing_and_invent_nothing() {
    model(1, || {
        let channel = channel();
        let intake = Intake::new(Arc::clone(&channel));
        let recording = [0, 10].map(|first| {
            let channel = Arc::clone(&channel);
            loom::thread::spawn(move || offer(&channel, first..first + 1))
        });
        let mut taken = Vec::new();
        intake.close(|event| taken.push(number(event)));
        let mut accepted: Vec<_> = recording.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        taken.sort_unstable();
        accepted.sort_unstable();
        assert_eq!(accepted, taken);
    });
}

#[test]
fn blocks_that_go_round_lose_no_event_and_keep_their_order() {
    model(2, || {
        let channel = channel();
        let mut intake = Intake::new(Arc::clone(&channel));
        let recording = loom::thread::spawn({
            let channel = Arc::clone(&channel);
            // Beyond one block, so that blocks are finished, drained and written again.
            move || offer(&channel, 0..5)
        });
        let mut taken = Vec::new();
        intake.take(|event| taken.push(number(event)));
        let accepted = recording.join().unwrap();
        intake.take(|event| taken.push(number(event)));
        intake.close(|event| taken.push(number(event)));
        assert_eq!(accepted, taken);
        assert_eq!(channel.len(), 0);
    });
}

#[test]
fn what_an_abandoned_appender_did_not_take_is_counted_as_dropped() {
    model(1, || {
        let channel = channel();
        let mut intake = Intake::new(Arc::clone(&channel));
        let recording = [0, 10].map(|first| {
            let channel = Arc::clone(&channel);
            loom::thread::spawn(move || offer(&channel, first..first + 1).len())
        });
        let mut taken = 0;
        intake.take(|_| taken += 1);
        // By whoever shuts the store down, when the appender hangs.
        channel.abandon();
        intake.take(|_| taken += 1);
        let accepted: usize = recording.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(accepted as u64, taken + channel.dropped());
    });
}

#[test]
fn large_events_that_fill_the_queue_cost_nobody_a_block() {
    model(3, || {
        // Four blocks, and room in the queue for one large event more.
        let channel = Arc::new(Channel::new(1, 4_000));
        let mut intake = Intake::new(Arc::clone(&channel));
        let large = loom::thread::spawn({
            let channel = Arc::clone(&channel);
            move || offer_of(&channel, LARGE, 10..15)
        });
        let small = loom::thread::spawn({
            let channel = Arc::clone(&channel);
            // Beyond one block, so that the lane wants its next one.
            move || offer(&channel, 0..3)
        });
        let mut taken = Vec::new();
        intake.take(|event| taken.push(number(event)));
        let (large, small) = (large.join().unwrap(), small.join().unwrap());
        assert_eq!(small, [0, 1, 2], "large events don't take the place of blocks");
        let mut accepted = [large, small].concat();
        // In loom a thread can be joined before its lane is gone. A lane that goes takes the lock that asking for the
        // length takes: so this thread knows what the lane did before.
        while Arc::weak_count(&channel) > 0 {
            loom::thread::yield_now();
        }
        let _ = channel.len();
        intake.take(|event| taken.push(number(event)));
        accepted.sort_unstable();
        taken.sort_unstable();
        assert_eq!(accepted, taken);
        assert_eq!(channel.len(), 0);
        // Both lanes have left what a lane can have: all blocks.
        assert_eq!(offer(&channel, 20..40).len(), 8);
    });
}
