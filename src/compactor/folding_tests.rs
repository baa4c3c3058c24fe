//! What a process does that folds for all: on real files and a real database, without threads.

use super::folder_task::Role;
use super::folding::Worked;
use super::scene::{FIRST_TS, Scene, ScriptedWriter};
use crate::ground::health::Part;
use crate::ground::position::{Sequence, StoreId, WriterId};
use crate::segment::folded_hint;
use crate::segment::format::LogIdentity;
use crate::segment::writer::PreparedSegment;

fn sorted(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort();
    names
}

#[test]
fn one_transaction_takes_of_all_logs_and_each_writer_learns_how_far_its_own_is_folded() {
    let scene = Scene::new();
    let mut writers = [1, 2, 3].map(|name| ScriptedWriter::begin(&scene, name));
    let mut names: Vec<_> = writers.iter_mut().flat_map(|writer| writer.record(700)).collect();
    let (mut folding, handles) = scene.folding(Role::Holder);
    handles.progress.set_writer(writers[1].id);
    handles.progress.set_appended(Sequence(701), 700);
    assert_eq!(folding.work(false).unwrap(), Worked::More);
    assert_eq!(scene.requests(), sorted(names.clone()), "all in the first");
    assert_eq!(handles.progress.folded(), Sequence(701));
    assert_eq!(handles.progress.folded_events(), 700);
    let hints: Vec<_> = writers.iter().map(|writer| folded_hint::read(&writer.folder)).collect();
    assert_eq!(hints, [Some(Sequence(701)), None, Some(Sequence(701))], "the own one needs none");
    names.extend(writers[2].record(1));
    scene.work(&mut folding);
    assert_eq!(scene.requests(), sorted(names));
    assert_eq!(folded_hint::read(&writers[2].folder), Some(Sequence(702)));
    assert_eq!(
        scene.rows("SELECT process_id, program, started_at, ended FROM writers ORDER BY process_id"),
        [1, 2, 3].map(|name| format!("{name} scripted {FIRST_TS} -"))
    );
}

#[test]
fn a_writer_learns_how_far_its_log_is_folded_although_that_was_committed_long_ago() {
    let scene = Scene::new();
    let mut writers = [1, 2].map(|name| ScriptedWriter::begin(&scene, name));
    writers.iter_mut().for_each(|writer| drop(writer.record(5)));
    let (mut folding, handles) = scene.folding(Role::Holder);
    // All is folded before the process that folds knows that one of the logs is its own.
    scene.work(&mut folding);
    handles.progress.set_writer(writers[0].id);
    handles.progress.set_appended(Sequence(6), 5);
    folding.hurry();
    folding.work(false).unwrap();
    assert_eq!(handles.progress.folded(), Sequence(6));
    drop(folding);
    // Who committed died before it said so.
    std::fs::remove_file(folded_hint::path(&writers[1].folder)).unwrap();
    let (mut folding, _) = scene.folding(Role::Holder);
    scene.work(&mut folding);
    assert_eq!(folded_hint::read(&writers[1].folder), Some(Sequence(6)));
}

#[test]
fn what_a_dead_writer_left_waits_while_those_that_live_get_all_their_rows() {
    let scene = Scene::new();
    let mut dead = ScriptedWriter::begin(&scene, 1);
    dead.record(25_000);
    dead.die();
    let mut living = [2, 3].map(|name| ScriptedWriter::begin(&scene, name));
    let names: Vec<_> = living.iter_mut().flat_map(|writer| writer.record(900)).collect();
    let (mut folding, _) = scene.folding(Role::Holder);
    assert_eq!(folding.work(false).unwrap(), Worked::More);
    let folded = scene.requests();
    assert!(names.iter().all(|name| folded.contains(name)), "in the first transaction");
    assert!(folded.len() > names.len() && folded.len() < 25_000, "{}", folded.len());
    scene.work(&mut folding);
    assert_eq!(scene.requests().len(), 25_000 + names.len());
    assert_eq!(scene.entries("wal").len(), 2, "and the dead one's folder is gone");
}

#[test]
fn a_dead_writers_folder_goes_with_its_last_segment_and_says_how_it_ended() {
    let scene = Scene::new();
    let mut names = Vec::new();
    for (name, ends) in [(1, true), (2, false)] {
        let mut writer = ScriptedWriter::begin(&scene, name);
        names.extend(writer.record(3));
        writer.seal();
        names.extend(writer.record(2));
        std::fs::write(writer.folder.join("000000000003.new"), "being prepared").unwrap();
        if ends { writer.end() } else { writer.die() }
    }
    // One that recorded nothing leaves nothing, not even a row.
    let nothing =
        crate::segment::folder_birth::NewFolder::create(&scene.config.wal_dir(), Scene::store(), WriterId([9; 16]));
    drop(nothing.unwrap().into_place().unwrap());
    scene.fold_all();
    assert_eq!(scene.requests(), sorted(names));
    assert_eq!(scene.entries("wal"), [""; 0]);
    let ended = scene.rows("SELECT process_id, ended, ended_at IS NOT NULL FROM writers ORDER BY 1");
    assert_eq!(ended, ["1 closed 1", "2 died 1"]);
}

#[test]
fn more_dead_writers_than_are_worked_on_at_once_all_go() {
    let scene = Scene::new();
    let mut names = Vec::new();
    for name in 0..100 {
        let mut writer = ScriptedWriter::begin(&scene, name);
        names.extend(writer.record(1));
        writer.die();
    }
    scene.fold_all();
    assert_eq!((scene.requests(), scene.entries("wal").len()), (sorted(names), 0));
    assert_eq!(scene.rows("SELECT count(*) FROM writers"), ["100"]);
}

#[test]
fn segments_of_a_writer_that_lives_go_once_they_ended_and_are_folded() {
    let scene = Scene::new();
    let mut writer = ScriptedWriter::begin(&scene, 1);
    for _ in 0..3 {
        writer.record(5);
        writer.seal();
    }
    writer.record(5);
    let (mut folding, _) = scene.folding(Role::Holder);
    scene.work(&mut folding);
    assert_eq!(writer.segments(), [4], "the one that it writes to stays");
    writer.seal();
    drop(folding);
    scene.fold_all();
    assert_eq!(writer.segments(), [0; 0], "sealed, folded, and without a successor");
    let names = writer.record(2);
    scene.fold_all();
    let folded = scene.requests();
    assert!(folded.len() == 22 && names.iter().all(|name| folded.contains(name)), "it goes on");
    assert_eq!(scene.rows("SELECT count(*) FROM gaps"), ["0"]);
}

#[test]
fn who_stands_in_folds_and_lets_nothing_go() {
    let scene = Scene::new();
    let (mut living, mut dead) = (ScriptedWriter::begin(&scene, 1), ScriptedWriter::begin(&scene, 2));
    let mut names = [living.record(5), dead.record(5)].concat();
    living.seal();
    names.extend(living.record(1));
    dead.die();
    let (mut folding, _) = scene.folding(Role::StandIn);
    scene.work(&mut folding);
    assert_eq!(scene.requests(), sorted(names));
    assert_eq!((living.segments(), scene.entries("wal").len()), (vec![1, 2], 2));
    assert_eq!(scene.rows("SELECT DISTINCT ended FROM writers"), ["-"]);
}

#[test]
fn records_that_are_nowhere_are_a_gap_with_a_count_whoever_comes_after() {
    let scene = Scene::new();
    let mut writer = ScriptedWriter::begin(&scene, 1);
    writer.record(4);
    writer.skip(10);
    scene.fold_all();
    assert_eq!(scene.rows("SELECT count(*) FROM gaps"), ["0"], "nothing shows it yet");
    writer.record(1);
    writer.skip(7);
    writer.record(1);
    let handles = scene.fold_all();
    let gaps = scene.rows("SELECT sequence, events, missing FROM gaps ORDER BY sequence");
    assert_eq!(gaps, ["6 10 1", "17 7 1"]);
    let problems = handles.health.get().problems;
    assert!(problems[&Part::Damage].contains("10 records of writer"), "{problems:?}");
    writer.die();
    scene.fold_all();
    assert_eq!(scene.rows("SELECT sequence, events, missing FROM gaps ORDER BY sequence"), gaps);
    assert_eq!(scene.rows("SELECT sequence FROM checkpoint"), ["24"]);
}

#[test]
fn two_that_fold_in_turn_one_with_old_memory_fold_each_record_once() {
    let scene = Scene::new();
    let mut writers = [1, 2].map(|name| ScriptedWriter::begin(&scene, name));
    let (mut first, _) = scene.folding(Role::Holder);
    let (mut second, _) = scene.folding(Role::StandIn);
    let mut names = Vec::new();
    for turn in 0..12 {
        names.extend(writers.iter_mut().flat_map(|writer| writer.record(3)));
        if turn % 3 == 0 {
            writers[turn % 2].seal();
        }
        scene.work(if turn % 2 == 0 { &mut first } else { &mut second });
        assert_eq!(scene.requests(), sorted(names.clone()), "turn {turn}");
    }
    writers.into_iter().for_each(ScriptedWriter::die);
    scene.work(&mut first);
    assert_eq!(scene.entries("wal"), [""; 0]);
    scene.work(&mut second);
    assert_eq!(scene.requests(), sorted(names));
    assert_eq!(scene.rows("SELECT count(*) FROM gaps"), ["0"]);
}

#[test]
fn a_log_of_another_store_and_one_of_a_newer_level_are_left_alone_and_named() {
    let scene = Scene::new();
    let mut writer = ScriptedWriter::begin(&scene, 1);
    let names = writer.record(3);
    let sample = LogIdentity::sample(WriterId([2; 16]));
    let foreign = LogIdentity { store: StoreId([77; 16]), ..sample };
    let newer = LogIdentity { needs: 900, writer: WriterId([3; 16]), ..sample };
    for identity in [foreign, newer] {
        let folder = scene.config.wal_dir().join(identity.writer.to_string());
        std::fs::create_dir(&folder).unwrap();
        let prepared = PreparedSegment::create(&folder, crate::ground::position::SegmentId(1), 65_536).unwrap();
        let (mut segment, _syncer) = prepared.activate(identity, Sequence(1), FIRST_TS).unwrap();
        segment.append(b"what it says is not for this one").unwrap();
    }
    writer.die();
    let handles = scene.fold_all();
    assert_eq!(scene.requests(), names);
    assert_eq!(scene.entries("wal"), [foreign.writer.to_string(), newer.writer.to_string()]);
    let note = handles.health.get().notes.remove(&Part::Fold).unwrap();
    assert!(note.contains("of another store") && note.contains("of level 900"), "{note}");
    assert_eq!(scene.rows("SELECT count(*) FROM writers"), ["1"]);
}

#[test]
fn a_file_of_another_store_stays_also_where_its_log_is_folded_past_it() {
    let scene = Scene::new();
    let mut writer = ScriptedWriter::begin(&scene, 1);
    writer.record(2);
    writer.seal();
    writer.record(2);
    scene.fold_all();
    let foreign = LogIdentity { store: StoreId([77; 16]), ..LogIdentity::sample(writer.id) };
    let prepared = PreparedSegment::create(&writer.folder, crate::ground::position::SegmentId(1), 65_536).unwrap();
    let (mut segment, _syncer) = prepared.activate(foreign, Sequence(1), FIRST_TS).unwrap();
    segment.append(b"another store's").unwrap();
    let folder = writer.id.to_string();
    writer.die();
    scene.fold_all();
    assert_eq!(scene.entries(format!("wal/{folder}")), ["000000000001.seg"]);
    assert_eq!(scene.requests().len(), 4);
}

#[test]
fn a_damaged_segment_goes_to_its_writers_quarantine_and_the_others_of_its_log_do_not() {
    let scene = Scene::new();
    let mut writer = ScriptedWriter::begin(&scene, 7);
    let before = writer.record(3);
    writer.seal();
    writer.record(3);
    writer.seal();
    let behind = writer.record(3);
    let path = writer.folder.join("000000000002.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..96].fill(0xee);
    std::fs::write(&path, bytes).unwrap();
    let folder = writer.id.to_string();
    writer.die();
    scene.fold_all();
    assert_eq!(scene.requests(), [before, behind].concat());
    assert_eq!(scene.entries("wal"), [""; 0]);
    let quarantined = scene.entries(format!("quarantine/{folder}"));
    assert_eq!(quarantined, ["000000000002.seg", "000000000002.seg.json"]);
    assert_eq!(scene.rows("SELECT sequence, events FROM gaps"), ["5 3"]);
    assert_eq!(scene.rows("SELECT segment, offset FROM quarantine"), ["2 0"]);
}

#[test]
fn what_is_kept_lies_beside_the_logs_and_the_oldest_goes_first_whoever_wrote_it() {
    let mut scene = Scene::new();
    scene.config.keep_segments_bytes = Some(u64::MAX);
    for name in 1..=4 {
        let mut writer = ScriptedWriter::begin(&scene, name);
        // Times go with the numbers.
        writer.record(u64::from(name) * 10);
        writer.seal();
        writer.record(1);
        writer.end();
    }
    scene.fold_all();
    assert_eq!((scene.entries("wal").len(), scene.entries("kept").len()), (0, 4));
    let folders = scene.entries("kept");
    assert!(folders.iter().all(|folder| scene.entries(format!("kept/{folder}")).len() == 2));
    // Room for five of eight: the first segments of all are as old, and the lower writer's goes first.
    let files = folders.iter().flat_map(|folder| {
        let folder = scene.config.kept_dir().join(folder);
        scene.entries(&folder).into_iter().map(move |name| folder.join(name))
    });
    let bytes: Vec<_> = files.map(|file| std::fs::metadata(file).unwrap().len()).collect();
    scene.config.keep_segments_bytes = Some(bytes.iter().sum::<u64>() - bytes[0] - bytes[2] - bytes[4]);
    scene.fold_all();
    let left: Vec<_> = folders.iter().map(|folder| scene.entries(format!("kept/{folder}")).len()).collect();
    assert_eq!(left, [1, 1, 1, 2]);
    scene.config.keep_segments_bytes = Some(0);
    scene.fold_all();
    assert_eq!(scene.entries("kept"), [""; 0]);
}

#[test]
fn a_folder_that_comes_back_with_more_in_it_is_folded_by_its_numbers() {
    let scene = Scene::new();
    let mut writer = ScriptedWriter::begin(&scene, 7);
    let mut names = writer.record(3);
    let (path, folder) = (writer.folder.join("000000000001.seg"), writer.folder.clone());
    let shorter = std::fs::read(&path).unwrap();
    names.extend(writer.record(4));
    let whole = std::fs::read(&path).unwrap();
    writer.die();
    std::fs::write(&path, shorter).unwrap();
    scene.fold_all();
    assert_eq!(scene.requests(), names[..3]);
    assert_eq!(scene.entries("wal"), [""; 0]);
    // A backup is put back.
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&path, whole).unwrap();
    scene.fold_all();
    assert_eq!(scene.requests(), names);
    assert_eq!(scene.entries("wal"), [""; 0]);
}

#[test]
fn the_file_of_a_record_that_can_not_be_decoded_goes_to_quarantine() {
    let scene = Scene::new();
    let mut writer = ScriptedWriter::begin(&scene, 7);
    writer.record(3);
    writer.append_bytes(&[0, 1, 2]);
    let folder = writer.id.to_string();
    writer.die();
    scene.fold_all();
    assert_eq!(scene.rows("SELECT count(*) FROM quarantine WHERE sequence IS NOT NULL"), ["1"]);
    assert_eq!(scene.entries(format!("quarantine/{folder}")), ["000000000001.seg", "000000000001.seg.json"]);
}

#[test]
fn something_else_in_a_dead_writers_folder_stays_and_is_named() {
    let scene = Scene::new();
    let mut writer = ScriptedWriter::begin(&scene, 1);
    let names = writer.record(3);
    std::fs::write(writer.folder.join("notes.txt"), "somebody's").unwrap();
    let folder = writer.id.to_string();
    writer.die();
    let handles = scene.fold_all();
    assert_eq!(scene.requests(), names);
    assert_eq!(scene.entries(format!("wal/{folder}")), ["notes.txt"]);
    assert!(handles.health.get().notes[&Part::Fold].contains("something else"), "{:?}", handles.health.get());
}
