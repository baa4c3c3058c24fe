//! Following a log while it is written, rotated, retired, torn and recovered.

mod fixture;

use fixture::following::{Following, is_record};
use fixture::{Log, PATIENCE, Running, STORE, patch};
use mcplog::{Request, SyncPolicy};
use mcplog_fixture::Blocker;
use serde_json::Value;
use std::process::Command;

fn is_event(object: &Value) -> bool {
    is_record(object) && !matches!(object["type"].as_str(), Some("writer_began" | "writer_ended"))
}

/// The number of the record of that event, in the log of a writer that is running: the first record tells who writes.
fn record_of(event: u64) -> u64 {
    event + 1
}

/// The numbers of the records, but for those of the log itself.
fn sequences(objects: &[Value]) -> Vec<u64> {
    objects
        .iter()
        .filter(|object| is_event(object))
        .map(|object| object["sequence"].as_u64().expect("a number"))
        .collect()
}

#[test]
fn a_writer_at_full_speed_is_followed_without_a_gap_over_many_rotations() {
    let running = Running::new();
    // What is folded leaves the log, however far who follows has come.
    let _blocker = Blocker::new(&running);
    let mut following = Following::start(running.dir(), &["-n", "100000"]);
    const RECORDS: u64 = 60_000;
    running.record(1..=RECORDS);
    following.wait_for(record_of(RECORDS));
    let (objects, code) = following.interrupt();
    assert_eq!(code, 0);
    assert_eq!(sequences(&objects), (record_of(1)..=record_of(RECORDS)).collect::<Vec<_>>());
    assert!(objects.iter().all(is_record), "{:?}", objects.iter().find(|object| !is_record(object)));
    let last_segment = objects.last().unwrap()["segment"].as_u64().unwrap();
    assert!(last_segment > 10, "{last_segment} segments");
}

#[test]
fn several_threads_that_write_and_sync_at_full_speed_are_followed_without_a_step_back() {
    // Every event is synced, so that marks and seals are written all the time, too.
    let running = Running::with(|config| config.sync = SyncPolicy::Always);
    // What is folded leaves the log, however far who follows has come.
    let _blocker = Blocker::new(&running);
    let mut following = Following::start(running.dir(), &["-n", "100000"]);
    let (threads, events) = (4, 5_000_u64);
    running.record(0..1);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let recorder = running.store().recorder();
            scope.spawn(move || {
                let long = "x".repeat(3_000);
                for number in 0..events {
                    let id = format!("{thread}-{number}");
                    let mut request = Request::new(&id, fixture::TS, "files", "tools/call");
                    // Frames of more than a page: they become visible as late as their first word.
                    request.target = (number % 16 == 0).then_some(&*long);
                    recorder.record(request);
                }
            });
        }
        // A second look at the same log, from its beginning, again and again.
        for _ in 0..10 {
            let verify = Command::new(env!("CARGO_BIN_EXE_wal-inspect")).arg("verify").arg(running.dir()).output();
            let verify = verify.expect("run");
            assert_eq!(verify.status.code(), Some(0), "{}", String::from_utf8_lossy(&verify.stdout));
        }
    });
    following.wait_for(record_of(threads * events + 1));
    let (objects, code) = following.interrupt();
    assert_eq!(code, 0);
    assert_eq!(sequences(&objects), (record_of(1)..=record_of(threads * events + 1)).collect::<Vec<_>>());
    assert!(objects.iter().all(is_record), "{:?}", objects.iter().find(|object| !is_record(object)));
}

#[test]
fn segments_that_are_retired_while_they_are_followed_are_accounted_for_to_the_record() {
    let running = Running::with(|config| config.keep_segments_bytes = Some(0));
    let mut following = Following::start(running.dir(), &["-n", "100000"]);
    const RECORDS: u64 = 60_000;
    let mut recorded = 0;
    while recorded < RECORDS {
        running.record(recorded + 1..=recorded + 5_000);
        recorded += 5_000;
        // Lets the compactor catch up, so that segments do get retired.
        running.store().wait_folded(PATIENCE).unwrap();
    }
    following.wait_for(record_of(RECORDS));
    let (objects, code) = following.interrupt();
    assert_eq!(code, 0);
    let mut next = None;
    for object in &objects {
        let sequence = object["sequence"].as_u64().unwrap();
        assert!(next.is_none_or(|next| sequence == next), "{next:?} was due: {object}");
        next = Some(match object["type"].as_str().unwrap() {
            "request" | "writer_began" => sequence + 1,
            "finding" if object["kind"] == "folded_records_missing" => sequence + object["records"].as_u64().unwrap(),
            other => panic!("{other}: {object}"),
        });
    }
    assert_eq!(next, Some(record_of(RECORDS) + 1));
    assert!(!running.folder().join("000000000001.seg").exists(), "nothing was retired; the test tested nothing");
}

#[test]
fn records_that_were_retired_unread_are_counted() {
    let log = Log::of_segments().folded();
    let _writer = log.come_alive();
    let following_from = log.segments()[0].clone();
    let hidden: Vec<_> = log.segments()[1..].to_vec();
    let aside = log.root().join("aside");
    std::fs::create_dir(&aside).unwrap();
    for path in &hidden {
        std::fs::rename(path, aside.join(path.file_name().unwrap())).unwrap();
    }
    let last = u64::from(log.frames(0).1.frames);
    let mut following = Following::start(&log.root().join(STORE), &["-n", "1"]);
    following.wait_for(last);
    // The second segment is never seen; the first is deleted; the third appears.
    std::fs::remove_file(following_from).unwrap();
    let third = hidden[1].file_name().unwrap();
    std::fs::rename(aside.join(third), &hidden[1]).unwrap();
    let first_of_third = log.reader(&hidden[1]).header().base_sequence.0;
    following.wait_for(first_of_third);
    let (objects, code) = following.interrupt();
    assert_eq!(code, 0);
    let missing = &objects[1];
    assert_eq!(missing["kind"], "folded_records_missing", "{missing}");
    assert_eq!((&missing["sequence"], &missing["records"]), (&(last + 1).into(), &(first_of_third - last - 1).into()));
}

#[test]
fn what_is_written_again_after_a_failed_sync_is_told_once() {
    let log = Log::of_segments();
    let _writer = log.come_alive();
    log.change_header(2, |header| header.base_sequence.0 -= 10);
    let aside = log.root().join("aside");
    let again = log.segment(2);
    std::fs::remove_file(log.segment(3)).unwrap();
    std::fs::rename(&again, &aside).unwrap();
    let first = log.reader(&log.segment(1)).header().base_sequence.0;
    let last = first + u64::from(log.frames(1).1.frames) - 1;
    let mut following = Following::start(&log.root().join(STORE), &["-n", "1"]);
    following.wait_for(last);
    std::fs::rename(&aside, &again).unwrap();
    following.wait_for(last + 100);
    let (objects, code) = following.interrupt();
    assert_eq!(code, 0);
    let expected: Vec<_> = (last..).take(sequences(&objects).len()).collect();
    assert_eq!(sequences(&objects), expected);
}

#[test]
fn a_torn_tail_is_not_yet_and_is_read_when_it_is_whole() {
    let log = Log::killed_before_a_sync();
    let _writer = log.come_alive();
    let (offsets, extent) = log.frames(0);
    let path = log.segment(0);
    let whole = std::fs::read(&path).unwrap();
    let (half, end) = (offsets[5] as usize + 30, extent.end.0 as usize);
    patch(&path, offsets[5] + 30, &vec![0; end - half]);
    let mut following = Following::start(&log.root().join(STORE), &[]);
    following.wait_for(5);
    following.expect_silence();
    patch(&path, offsets[5] + 30, &whole[half..end]);
    following.wait_for(6);
    let (objects, code) = following.interrupt();
    assert_eq!((sequences(&objects), objects.len(), code), ((1..=6).collect(), 6, 0));
}

#[test]
fn a_tail_that_stays_torn_behind_a_newer_segment_is_reported() {
    let log = Log::of_segments().folded();
    let _writer = log.come_alive();
    let last = log.segments().len() - 1;
    let aside = log.root().join("aside");
    let newest = log.segment(last);
    std::fs::rename(&newest, &aside).unwrap();
    let (offsets, extent) = log.frames(last - 1);
    let path = log.segment(last - 1);
    // No mark vouches for its last frame any more.
    patch(&path, 512, &[0; 32]);
    patch(&path, 1024, &[0; 32]);
    log.flip(last - 1, offsets[offsets.len() - 1] + 20);
    let first = log.reader(&path).header().base_sequence.0;
    let torn = first + u64::from(extent.frames) - 1;
    let mut following = Following::start(&log.root().join(STORE), &["-n", "1"]);
    following.wait_for(torn - 1);
    following.expect_silence();
    std::fs::rename(&aside, &newest).unwrap();
    following.wait_for(Log::RECORDS);
    let (objects, code) = following.interrupt();
    assert_eq!(code, 2);
    assert_eq!((&objects[1]["kind"], &objects[1]["sequence"]), (&"torn_tail".into(), &torn.into()));
    assert_eq!((&objects[2]["kind"], &objects[2]["records"]), (&"folded_records_missing".into(), &1.into()));
}

#[test]
fn a_store_that_is_restarted_is_followed_on() {
    let mut running = Running::with(|config| config.sync = SyncPolicy::Never);
    let mut following = Following::start(running.dir(), &["--kind", "request"]);
    running.record(1..=10);
    following.wait_for(record_of(10));
    running.reopen();
    // A log of its own, which begins anew.
    running.record(11..=21);
    following.wait_for(record_of(11));
    let (objects, code) = following.interrupt();
    let expected: Vec<_> = (1..=10).chain(1..=11).map(record_of).collect();
    assert_eq!((sequences(&objects), objects.len(), code), (expected, 21, 0));
}

#[test]
fn following_may_begin_before_the_first_segment_and_with_no_old_records() {
    let mut running = Running::closed();
    std::fs::create_dir_all(running.wal()).unwrap();
    let mut waiting = Following::start(running.dir(), &[]);
    waiting.expect_silence();
    running.open();
    running.record(1..=3);
    waiting.wait_for(record_of(3));
    let mut fresh = Following::start(running.dir(), &["-n", "0"]);
    fresh.expect_silence();
    running.record(4..=5);
    waiting.wait_for(record_of(5));
    fresh.wait_for(record_of(5));
    assert_eq!(sequences(&waiting.interrupt().0), [2, 3, 4, 5, 6]);
    let (objects, code) = fresh.interrupt();
    assert_eq!((sequences(&objects), code), (vec![5, 6], 0));
}

#[test]
fn filters_hold_while_following() {
    let running = Running::new();
    let mut following = Following::start(running.dir(), &["--kind", "session,closed", "--session", "0123"]);
    running.record_samples();
    following.wait_for(record_of(6));
    let (objects, code) = following.interrupt();
    assert_eq!((sequences(&objects), code), (vec![record_of(1), record_of(6)], 0));
}

#[test]
fn a_follower_whose_reader_is_gone_ends_by_itself() {
    let running = Running::new();
    running.record(1..=3);
    let mut following = Following::start(running.dir(), &[]);
    following.wait_for(record_of(3));
    let Following { mut child, lines, .. } = following;
    // `| head -3`: the reading thread ends with the next line, and the pipe with it.
    drop(lines);
    running.record(4..=5);
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}
