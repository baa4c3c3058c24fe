//! What becomes of an event that is handed over, also while the channel is full or closes.

use super::channel::Channel;
use super::intake::Intake;
use super::recorder::Recorder;
use super::refusal::{Refusal, Refused};
use crate::event::{Event, Request};
use std::sync::Arc;
use std::time::Duration;

fn recorder(events: usize, wait: Duration) -> Recorder {
    Recorder::new(Arc::new(Channel::new(events, 4000)), wait)
}

fn request() -> Request<'static> {
    Request::new("id", 1, "proxy", "ping")
}

/// What the appender takes in one go.
fn take(intake: &mut Intake) -> u64 {
    intake.take(|event| assert_eq!(event, request().into()))
}

#[test]
fn a_full_channel_drops_the_newest_and_counts_it() {
    let recorder = recorder(2, Duration::ZERO);
    for _ in 0..1000 {
        recorder.record(request());
    }
    let (queued, dropped) = (recorder.channel.len(), recorder.channel.gap.total());
    assert!(queued >= 2 && dropped > 0 && queued + dropped == 1000, "{queued} queued, {dropped} dropped");
    assert_eq!(take(&mut Intake::new(Arc::clone(&recorder.channel))), queued);
    assert_eq!(recorder.channel.len(), 0);
}

#[test]
fn a_burst_gets_all_of_the_channel_though_no_appender_looks_and_the_next_one_gets_it_too() {
    // More blocks than the appender keeps ready.
    let recorder = recorder(262_144, Duration::ZERO);
    let mut intake = Intake::new(Arc::clone(&recorder.channel));
    let first = fill(&recorder, request());
    assert!(first >= 200_000, "{first}");
    assert_eq!(take(&mut intake), first);
    // But for the block that this thread was writing.
    let second = fill(&recorder, request());
    assert!((first - 1000..=first).contains(&second), "{first} and {second}");
    assert_eq!((take(&mut intake), recorder.channel.len()), (second, 0));
}

#[test]
fn try_record_hands_the_event_back_uncounted() {
    let recorder = recorder(1, Duration::ZERO);
    let refused = (0..1000).find_map(|_| recorder.try_record(request()).err()).unwrap();
    assert_eq!(refused, Refused { event: request().into(), reason: Refusal::Full });
    assert_eq!(recorder.channel.gap.total(), 0);
}

#[test]
fn waiting_takes_the_room_that_appears() {
    let recorder = recorder(64, Duration::from_secs(60));
    let mut intake = Intake::new(Arc::clone(&recorder.channel));
    while recorder.try_record(request()).is_ok() {}
    let full = recorder.channel.len();
    // This thread's blocks come back to it alone; so the one that waits is this one.
    std::thread::scope(|scope| {
        let taker = scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            take(&mut intake)
        });
        recorder.record(request());
        assert_eq!(taker.join().unwrap(), full);
    });
    assert_eq!((recorder.channel.len(), recorder.channel.gap.total()), (1, 0));
}

#[test]
fn an_event_too_large_for_a_segment_is_refused_and_counted() {
    // With blocks that have no room for it, and with blocks that have.
    for events in [1, 65_536] {
        let recorder = recorder(events, Duration::from_secs(60));
        let long = "x".repeat(5000);
        let mut request = request();
        request.target = Some(&long);
        let refused = recorder.try_record(request).unwrap_err();
        assert!(matches!(refused.reason, Refusal::TooLarge { bytes_max: 4000, .. }), "{refused:?}");
        recorder.record(request);
        assert_eq!(recorder.channel.gap.total(), 1);
    }
}

#[test]
fn an_event_too_large_to_share_a_block_is_taken_like_any_other() {
    let recorder = recorder(1, Duration::ZERO);
    let long = "x".repeat(3000);
    let mut large = request();
    large.target = Some(&long);
    recorder.try_record(request()).unwrap();
    recorder.try_record(large).unwrap();
    let mut intake = Intake::new(Arc::clone(&recorder.channel));
    let mut targets = Vec::new();
    let taken = intake.take(|event| {
        let Event::Request(request) = event else { panic!("{event:?}") };
        targets.push(request.target.map(str::len));
    });
    targets.sort();
    assert_eq!((taken, targets), (2, vec![None, Some(3000)]));
    // What it took of the channel's memory is free again.
    for _ in 0..100 {
        recorder.try_record(large).unwrap();
        intake.take(|_| ());
    }
    assert_eq!(recorder.channel.len(), 0);
}

#[test]
fn the_room_of_large_events_comes_back_whatever_their_size() {
    let recorder = recorder(1, Duration::ZERO);
    let mut intake = Intake::new(Arc::clone(&recorder.channel));
    // Around the size of a block, which here is 1,024 bytes, and far beyond what may wait at a time.
    for length in 800..1100 {
        let long = "x".repeat(length);
        let mut large = request();
        large.target = Some(&long);
        for _ in 0..5 {
            recorder.try_record(large).unwrap();
            assert_eq!(intake.take(|_| ()), 1, "{length} bytes");
        }
    }
}

/// Hands over as many events as are taken without a look of the appender; returns how many.
fn fill(recorder: &Recorder, event: Request<'_>) -> u64 {
    (0..).take_while(|_| recorder.try_record(event).is_ok()).count() as u64
}

/// What a thread returns that lives for this alone. Its blocks are free again once the appender has looked.
fn in_thread<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(act).join().unwrap())
}

#[test]
fn no_number_of_large_events_costs_the_channel_a_block() {
    // The bytes of the largest event are a bound that lets thousands of smaller ones wait.
    let recorder = Recorder::new(Arc::new(Channel::new(1024, 4 << 20)), Duration::ZERO);
    let mut intake = Intake::new(Arc::clone(&recorder.channel));
    let room = in_thread(|| fill(&recorder, request()));
    assert_eq!(intake.take(|_| ()), room);
    let long = "x".repeat(2100);
    let mut large = request();
    large.target = Some(&long);
    for _ in 0..3 {
        let waiting = in_thread(|| {
            // A block of its own, full when nothing more fits; then it wants its next one, and others their first.
            recorder.try_record(request()).unwrap();
            let large = fill(&recorder, large);
            assert!(large > 1000, "{large} large events wait");
            let others: u64 = (0..8).map(|_| in_thread(|| fill(&recorder, request()))).sum();
            1 + large + others + fill(&recorder, request())
        });
        assert_eq!(intake.take(|_| ()), waiting);
        assert_eq!(recorder.channel.len(), 0);
        assert_eq!(in_thread(|| fill(&recorder, request())), room, "the room of a channel that is empty again");
        assert_eq!(intake.take(|_| ()), room);
    }
}

#[test]
fn more_threads_than_blocks_record_all_the_same() {
    const THREADS: usize = 100;
    let recorder = Recorder::new(Arc::new(Channel::new(1024, 4 << 20)), Duration::ZERO);
    let mut intake = Intake::new(Arc::clone(&recorder.channel));
    let all_recorded = std::sync::Barrier::new(THREADS + 1);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let is_taken = recorder.record(request());
                all_recorded.wait();
                assert!(is_taken);
            });
        }
        // No thread ends before each has recorded.
        all_recorded.wait();
    });
    assert_eq!(take(&mut intake), THREADS as u64);
}

#[test]
fn a_thread_that_ends_gives_its_blocks_back() {
    let recorder = recorder(64, Duration::ZERO);
    let mut intake = Intake::new(Arc::clone(&recorder.channel));
    for _ in 0..200 {
        // Dropping the event would show: there are far fewer blocks than threads.
        std::thread::scope(|scope| scope.spawn(|| recorder.try_record(request()).unwrap()).join().unwrap());
        assert_eq!(take(&mut intake), 1);
    }
    assert_eq!(recorder.channel.len(), 0);
}

#[test]
fn events_of_many_threads_arrive_once_each_and_in_each_ones_order() {
    const EVENTS: i64 = 20_000;
    let recorder = recorder(4096, Duration::from_secs(60));
    let mut intake = Intake::new(Arc::clone(&recorder.channel));
    let threads = ["a", "b", "c"];
    let (mut next, mut out_of_order) = ([0; 3], 0);
    std::thread::scope(|scope| {
        for id in threads {
            let recorder = &recorder;
            scope.spawn(move || assert!((0..EVENTS).all(|number| recorder.record(Request::new(id, number, "p", "m")))));
        }
        while next != [EVENTS; 3] {
            intake.take(|event| {
                let Event::Request(request) = event else { panic!("{event:?}") };
                let thread = threads.iter().position(|id| *id == request.request_id).unwrap();
                // Not asserted here: the threads would wait for room that nobody makes any more.
                out_of_order += u32::from(request.ts != next[thread]);
                next[thread] += 1;
            });
        }
    });
    assert_eq!(out_of_order, 0);
    assert_eq!((recorder.channel.len(), recorder.channel.gap.total()), (0, 0));
}

#[test]
fn a_closed_store_refuses_and_takes_what_was_accepted_before() {
    let recorder = recorder(10, Duration::from_secs(60));
    recorder.record(request());
    recorder.channel.begin_closing();
    recorder.record(request());
    assert_eq!((recorder.channel.len(), recorder.channel.gap.total()), (1, 1));
    let mut taken = 0;
    Intake::new(Arc::clone(&recorder.channel)).close(|_| taken += 1);
    assert_eq!((taken, recorder.channel.len()), (1, 0));
    assert_eq!(recorder.try_record(request()).unwrap_err().reason, Refusal::Closed);
}

#[test]
fn closing_amid_recording_loses_no_event_and_takes_none_that_was_refused() {
    for _ in 0..50 {
        let recorder = recorder(100_000, Duration::ZERO);
        let mut intake = Intake::new(Arc::clone(&recorder.channel));
        let mut taken = 0;
        let accepted: u64 = std::thread::scope(|scope| {
            let producers: Vec<_> = (0..3)
                .map(|_| {
                    let recorder = &recorder;
                    scope.spawn(move || {
                        let mut accepted = 0;
                        loop {
                            match recorder.try_record(request()).map_err(|refused| refused.reason) {
                                Ok(()) => accepted += 1,
                                Err(Refusal::Closed) => return accepted,
                                Err(_) => std::thread::yield_now(),
                            }
                        }
                    })
                })
                .collect();
            taken += intake.take(|_| ());
            std::thread::sleep(Duration::from_micros(300));
            taken += intake.take(|_| ());
            // Without `begin_closing`, so that every producer is in the middle of it.
            taken += intake.close(|_| ());
            producers.into_iter().map(|producer| producer.join().unwrap()).sum()
        });
        assert_eq!(accepted, taken);
    }
}

#[test]
fn an_appender_that_died_leaves_its_events_counted() {
    let recorder = recorder(100, Duration::ZERO);
    assert!((0..10).all(|_| recorder.record(request())), "the channel has room");
    let mut intake = Intake::new(Arc::clone(&recorder.channel));
    recorder.channel.abandon();
    assert_eq!(intake.take(|_| ()), 0);
    assert_eq!(recorder.channel.dropped(), 10);
}
