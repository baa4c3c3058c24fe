//! Where mapping can't be trusted: segments are written by pwrite(2) there, with every promise of a mapped one.

use mcplog::segment::{Item, SegmentReader, Stop, WriterFolder, list};
use mcplog::{Config, Store};
use mcplog_faults::event::record_or_drop;
use mcplog_faults::placed::folders;
use mcplog_faults::{Holdings, Kind, Said, Scale, Victim, Volume};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `test` on each file system of `kinds` that can be had here.
fn on_each(name: &str, kinds: impl IntoIterator<Item = Kind>, test: impl Fn(Kind, &Volume)) {
    for kind in kinds {
        if let Some(volume) = Volume::or_skip(name, kind) {
            test(kind, &volume);
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
        config.min_free_bytes = Some(0);
        config.segment_bytes = 64 * 1024;
        config.record_wait_ms = 60_000;
        let (database, wal) = (config.dir.join("store.db"), config.dir.join("wal"));
        let store = Store::open(config).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        // Nothing may be retired under the reader: so nothing is folded.
        mcplog_fixture::wait_for_tables(store.dir(), PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        let holder = rusqlite::Connection::open(database).expect("it is there");
        holder.execute_batch("BEGIN IMMEDIATE").expect("nobody writes yet");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let recorder = store.recorder();
                (0..EVENTS).for_each(|number| record_or_drop(&recorder, number));
            });
            let mut frames = 0;
            let mut following = 0;
            // The first one is no event: it says who writes.
            while frames < EVENTS + 1 {
                // Not one that is being born: it is about to have another name.
                let folder = folders(&wal).into_iter().find(|folder| WriterFolder::at(folder).is_some());
                let segments = folder.and_then(|folder| list(&folder).ok()).unwrap_or_default();
                let Some(segment) = segments.get(following) else { continue };
                let mut reader = SegmentReader::open(&segment.path).expect("a segment");
                loop {
                    match reader.next().expect("readable") {
                        Item::Frame(_) => frames += 1,
                        Item::Stop(Stop::Open) if frames < EVENTS + 1 => std::thread::yield_now(),
                        Item::Stop(Stop::Open | Stop::Sealed) => break,
                        other => panic!("{kind:?}: {other:?} behind frame {frames}"),
                    }
                }
                following += 1;
            }
        });
        drop(holder);
        let report = store.shutdown(PATIENCE);
        assert_eq!((report.appended, report.dropped), (EVENTS, 0), "{kind:?}");
        assert!(report.health.is_ok(), "{kind:?}: {}", report.health);
    });
}

/// What shares its blocks with a copy must be written to a new place, and there is none. After a clone
/// on XFS that is the block that the last frame lies in, after a snapshot of btrfs all that the segment was given.
#[test]
fn a_segment_that_shares_its_blocks_brings_no_signal_on_a_full_disk_and_loses_nothing_silently() {
    // Not on btrfs: a snapshot there shares the blocks of SQLite's mapped store.db-shm as well, which has ended the process.
    on_each("a segment that shares its blocks", [Kind::Xfs], |kind, volume| {
        let store = volume.path().join("data");
        let mut running = Victim::new(env!("CARGO_BIN_EXE_victim"), &store)
            // One segment has room for what is recorded until it is told to stop, and is kept.
            .with(["--sync=interval", "--segment-bytes=4194304", "--keep-segments-bytes=1073741824", "--fold"])
            .with(["--channel-events=1024", "--record-wait-ms=0", "--drop"])
            .with(["--tell-every=1", "--pause-us=50", "--until-told"])
            .start();
        assert!(running.listen_until(|said| said.appended >= 3000), "{kind:?}: it ended before");
        let (wal, copy) = (store.join("wal"), volume.path().join("copy"));
        let mut share = Command::new("cp");
        share.args(["--recursive", "--reflink=always"]).args([&wal, &copy]);
        let shared = share.status();
        assert!(shared.as_ref().is_ok_and(|status| status.success()), "{share:?}: {shared:?}");
        volume.fill();
        let no_room = |health: &String| health.contains("events wait");
        let enough = |said: &Said| said.appended >= 20_000 || said.healths.iter().any(no_room);
        assert!(running.listen_until(enough), "{kind:?}: it ended before");
        let before = running.said().appended;
        volume.make_room();
        assert!(running.listen_until(|said| said.appended >= before + 1000), "{kind:?}: logging did not resume");
        running.release();
        let (said, status) = running.finish();
        assert_eq!((status.signal(), status.code()), (None, Some(0)), "{kind:?}");
        let Some(report) = &said.report else { panic!("{kind:?}: no report") };
        assert_eq!(report["health"]["problems"], serde_json::json!({}), "{kind:?}: it is well again");
        let holdings = Holdings::of(&store);
        assert_eq!(holdings.numbers.len() as u64, said.recorded - said.refused, "{kind:?}");
        assert_eq!((holdings.gap_events, holdings.quarantined), (said.refused, 0), "{kind:?}");
    });
}

/// The whole way through the library once more, in a directory where segments are written.
#[test]
fn the_tests_of_the_pipeline_pass_over_plain_writes() {
    if Scale::chosen() != Scale::Long {
        // It builds the library's tests, which may take minutes.
        let test = "the_tests_of_the_pipeline_pass_over_plain_writes";
        return mcplog_skipped::skip(test, "only the long set does it", "tests/faults/run --test plain_writes");
    }
    let program = build_pipeline_tests();
    on_each("the pipeline's tests", [Kind::Btrfs], |kind, volume| {
        let tests = Command::new(&program).env("TMPDIR", volume.path()).status();
        assert!(tests.as_ref().is_ok_and(|status| status.success()), "{kind:?}: {tests:?}");
    });
}

/// Where cargo put the library's test of that name. It has other uses for `TMPDIR`.
fn build_pipeline_tests() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "-p", "mcplog", "--test", "pipeline", "--no-run", "--message-format=json"]);
    let output = cargo.stderr(Stdio::inherit()).output().expect("start cargo");
    assert!(output.status.success(), "{cargo:?}: {}", output.status);
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let mut programs = messages.filter_map(|line| {
        let message: serde_json::Value = serde_json::from_slice(line).ok()?;
        let is_it = message["target"]["name"] == "pipeline";
        is_it.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    });
    programs.next().expect("cargo names the program that it built")
}
