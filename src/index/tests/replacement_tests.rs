//! A new database takes the place of an old one, whatever is left of that, and whoever has it open sees the new rows.

use crate::ground::sabotage::{self, Spot};
use crate::ground::work::WorkError;
use crate::index::connection::PAGE_BYTES;
use crate::index::replacement::{copy_aside, replace};
use rusqlite::Connection;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A database in which table `t` has so many rows, as large as a page together with three others.
fn database(path: &Path, rows: u32) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "page_size", PAGE_BYTES).unwrap();
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)").unwrap();
    for id in 0..rows {
        connection.execute("INSERT INTO t VALUES (?1, ?2)", (id, "x".repeat(2000))).unwrap();
    }
    connection
}

fn count(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("SELECT count(*) FROM t WHERE length(text) = 2000", [], |row| row.get(0))
}

fn damage(path: &Path, page: u64) {
    let bytes = vec![0x5a; PAGE_BYTES as usize];
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .write_all_at(&bytes, page * bytes.len() as u64)
        .unwrap();
}

struct Place {
    _dir: tempfile::TempDir,
    living: PathBuf,
    new: PathBuf,
}

/// A living database of 40 rows, and a new one of 100.
fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let (living, new) = (dir.path().join("store.db"), dir.path().join("new.db"));
    drop(database(&living, 40));
    drop(database(&new, 100));
    Place { _dir: dir, living, new }
}

#[test]
fn whoever_has_the_old_one_open_sees_the_new_rows_whatever_was_damaged() {
    type Damage = fn(&Path);
    let damages: [(&str, bool, Damage); 6] = [
        ("nothing", false, |_| {}),
        ("a page", true, |path| damage(path, 3)),
        ("the first page", true, |path| damage(path, 0)),
        ("all of it", true, |path| (0..12).for_each(|page| damage(path, page))),
        ("its end", true, |path| std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(5000).unwrap()),
        ("cut to nothing", true, |path| std::fs::write(path, "").unwrap()),
    ];
    for (name, is_damaged, damage) in damages {
        // Whoever has a file open that was cut to nothing is waited for.
        for has_reader in [false, true].into_iter().filter(|has_reader| name != "cut to nothing" || !has_reader) {
            let Place { living, new, _dir } = place();
            let reader = has_reader.then(|| {
                let reader = Connection::open(&living).unwrap();
                assert_eq!(count(&reader).unwrap(), 40);
                reader
            });
            damage(&living);
            replace(&living, &new, is_damaged, &mut |_| ControlFlow::Continue(()))
                .unwrap_or_else(|error| panic!("{name}, {has_reader}: {error}"));
            if let Some(reader) = reader {
                assert_eq!(count(&reader).unwrap(), 100, "{name}");
                reader.execute("INSERT INTO t VALUES (1000, ?1)", ["x".repeat(2000)]).unwrap();
                reader.execute("DELETE FROM t WHERE id = 1000", []).unwrap();
            }
            let after = Connection::open(&living).unwrap();
            assert_eq!(count(&after).unwrap(), 100, "{name}");
            let sound: String = after.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(sound, "ok", "{name}, {has_reader}");
        }
    }
}

#[test]
fn a_replacement_that_does_not_come_to_its_end_changes_nothing() {
    for is_damaged in [false, true] {
        for steps in 0_u32.. {
            let Place { living, new, _dir } = place();
            if is_damaged {
                damage(&living, 0);
            }
            let before = std::fs::read(&living).unwrap();
            let (mut told, fails) = (0, steps.is_multiple_of(2));
            if fails {
                sabotage::order(&living, Spot::CopyDatabase, steps / 2, 1, sabotage::fail);
            }
            let replaced = replace(&living, &new, is_damaged, &mut |_| {
                told += 1;
                if !fails && told > steps / 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            sabotage::cancel(&living, Spot::CopyDatabase);
            if replaced.is_ok() {
                assert!(steps > 10, "{steps}");
                break;
            }
            assert_eq!(matches!(replaced, Err(WorkError::Interrupted)), !fails);
            assert!(std::fs::read(&living).unwrap() == before, "{steps}");
            if !is_damaged {
                assert_eq!(count(&Connection::open(&living).unwrap()).unwrap(), 40);
            }
        }
    }
}

#[test]
fn a_copy_aside_has_what_lies_in_the_wal_and_what_is_damaged() {
    let Place { living, _dir, .. } = place();
    let open = Connection::open(&living).unwrap();
    open.execute("INSERT INTO t VALUES (1000, ?1)", ["x".repeat(2000)]).unwrap();
    let to = living.with_extension("copy");
    copy_aside(&living, &to, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(count(&Connection::open(&to).unwrap()).unwrap(), 41);
    drop(open);
    damage(&living, 3);
    assert!(copy_aside(&living, &to, &mut |_| ControlFlow::Continue(())).is_err(), "it is there");
    std::fs::remove_file(&to).unwrap();
    copy_aside(&living, &to, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(count(&Connection::open(&to).unwrap()).is_err());
}
