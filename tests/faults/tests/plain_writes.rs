//! Where mapping can't be trusted: segments are written by pwrite(2) there, with every promise of a mapped one.

use mcplog::segment::{Item, SegmentReader, Stop, list};
use mcplog::{Config, Store};
use mcplog_faults::event::record_or_drop;
use mcplog_faults::{Holdings, Kind, Scale, Victim, Volume, skip};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `test` on each file system of `kinds` that can be had here.
fn on_each(name: &str, kinds: impl IntoIterator<Item = Kind>, test: impl Fn(Kind, &Volume)) {
    for kind in kinds {
        match Volume::new(kind) {
            Ok(volume) => test(kind, &volume),
            Err(why) => skip(&format!("{name} on {kind:?}"), &why),
        }
    }
}

#[test]
fn segments_are_mapped_exactly_where_their_blocks_stay_in_place() {
    on_each("mapped or written", Kind::MAPPED.into_iter().chain(Kind::WRITTEN), |kind, volume| {
        let victim = Victim::new(env!("CARGO_BIN_EXE_victim"), &volume.path().join("data"));
        let mut running = victim.with(["--tell-every=1", "--pause-us=100"]).start();
        assert!(running.listen_until(|said| said.appended > 100), "{kind:?}: it ended before");
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", running.pid())).expect("it runs");
        running.kill();
        assert_eq!(maps.contains("/wal/"), Kind::MAPPED.contains(&kind), "{kind:?}: {maps}");
    });
}

#[test]
fn everything_that_was_written_survives_kill_9_and_is_folded_once() {
    on_each("kill -9", Kind::WRITTEN, |kind, volume| {
        let store = volume.path().join("data");
        let mut first = 0;
        for round in 0..Scale::chosen().of(5, 50) {
            let mut running = Victim::new(env!("CARGO_BIN_EXE_victim"), &store)
                .with(["--sync=never", "--tell-every=16", &format!("--first={first}")])
                .start();
            assert!(running.listen_until(|said| said.appended >= round * 331 % 2000), "{kind:?}: it ended by itself");
            let said = running.kill();
            let holdings = Holdings::of(&store);
            let found = holdings.prefix(0);
            assert_eq!(found, holdings.numbers.len() as u64, "{kind:?}, round {round}: a prefix");
            assert!(found >= first + said.appended, "{kind:?}, round {round}: {said:?} after {first}, {found} rows");
            assert_eq!((holdings.quarantined, holdings.gap_events), (0, 0), "{kind:?}, round {round}");
            first = found;
        }
    });
}

#[test]
fn a_segment_that_is_being_written_is_followed_without_a_torn_frame() {
    const EVENTS: u64 = 5000;
    on_each("following", Kind::WRITTEN, |kind, volume| {
        let mut config = Config::new(volume.path().join("data"));
        config.segment_bytes = 64 * 1024;
        config.record_wait_ms = 60_000;
        // Nothing may be retired under the reader.
        config.keep_segments_bytes = 1 << 30;
        let wal = config.dir.join("wal");
        let store = Store::open(config).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let recorder = store.recorder();
                (0..EVENTS).for_each(|number| record_or_drop(&recorder, number));
            });
            let mut frames = 0;
            let mut following = 0;
            while frames < EVENTS {
                let segments = list(&wal).expect("readable");
                let Some(segment) = segments.get(following) else { continue };
                let mut reader = SegmentReader::open(&segment.path).expect("a segment");
                loop {
                    match reader.next().expect("readable") {
                        Item::Frame(_) => frames += 1,
                        Item::Stop(Stop::Open) if frames < EVENTS => std::thread::yield_now(),
                        Item::Stop(Stop::Open | Stop::Sealed) => break,
                        other => panic!("{kind:?}: {other:?} behind frame {frames}"),
                    }
                }
                following += 1;
            }
        });
        let report = store.shutdown(PATIENCE);
        assert_eq!((report.appended, report.dropped), (EVENTS, 0), "{kind:?}");
        assert!(report.health.is_ok(), "{kind:?}: {}", report.health);
    });
}

/// What shares its blocks with a copy must be written to a new place: there is none.
#[test]
fn a_write_that_finds_no_room_in_the_middle_of_a_segment_is_no_signal_and_loses_nothing_before_it() {
    on_each("a cloned segment on a full disk", [Kind::Xfs, Kind::Btrfs], |kind, volume| {
        let store = volume.path().join("data");
        let mut running = Victim::new(env!("CARGO_BIN_EXE_victim"), &store)
            // Large enough that it never needs a third segment while there is room.
            .with(["--sync=interval", "--segment-bytes=4194304", "--channel-events=1024", "--record-wait-ms=0"])
            // So seldom that it does not wait to be listened to while the disk is filled.
            .with(["--drop", "--tell-every=20", "--pause-us=200", "--events=30000", "--fold"])
            .start();
        assert!(running.listen_until(|said| said.appended >= 3000), "{kind:?}: it ended before");
        let cloned = Command::new("cp")
            .args(["--recursive", "--reflink=always"])
            .args([store.join("wal"), volume.path().join("clone")])
            .status();
        assert!(cloned.as_ref().is_ok_and(|status| status.success()), "{kind:?}: {cloned:?}");
        volume.fill();
        assert!(running.listen_until(|said| said.refused >= 200), "{kind:?}: nothing was refused");
        volume.make_room();
        let (said, status) = running.finish();
        assert_eq!((status.signal(), status.code()), (None, Some(0)), "{kind:?}");
        assert!(said.healths.iter().any(|health| health.contains("write to")), "{kind:?}: {:?}", said.healths);
        let report = said.report.expect("a report");
        assert_eq!(report["health"]["problems"], serde_json::json!({}), "{kind:?}: it is well again");
        let holdings = Holdings::of(&store);
        assert_eq!(holdings.numbers.len() as u64 + holdings.gap_events, 30_000, "{kind:?}");
        assert_eq!((holdings.gap_events, holdings.quarantined), (said.refused, 0), "{kind:?}");
    });
}

/// The whole way through the library once more, in a directory where segments are written.
#[test]
fn the_tests_of_the_pipeline_pass_over_plain_writes() {
    if Scale::chosen() == Scale::Quick {
        // It builds the library's tests, which may take minutes.
        return;
    }
    on_each("the pipeline's tests", [Kind::Btrfs], |kind, volume| {
        let tests = Command::new(env!("CARGO"))
            .args(["test", "-p", "mcplog", "--test", "pipeline"])
            .env("TMPDIR", volume.path())
            .status();
        assert!(tests.as_ref().is_ok_and(|status| status.success()), "{kind:?}: {tests:?}");
    });
}
