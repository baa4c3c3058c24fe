//! Bringing a database up to date, with versions that are made up: what is the same however the tables came to be, and
//! what is left when it goes wrong.

use super::{Fixture, Owned};
use crate::ground::config::Config;
use crate::ground::database_version::{DATABASE_VERSION, DatabaseVersion, KnownVersions};
use crate::ground::error::{IndexError, OpenError};
use crate::index::database::{DATABASE_NAME, Index};
use crate::index::migration::{Change, Migration, Schema, copy_path, is_chain};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// What the made-up next version adds to a table, and a table of its own.
const ADDED: &str = "ALTER TABLE retention ADD COLUMN reason TEXT;
    CREATE TABLE made_up (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
    INSERT INTO made_up SELECT id, request_id FROM request_rows";

const ADDING: Migration = Migration {
    from: DATABASE_VERSION,
    name: "adding a table",
    change: Change::Sql(ADDED),
    breaks_readers: false,
    rewrites_rows: false,
};

/// The step behind it.
const fn then(change: Change) -> Migration {
    Migration { from: DATABASE_VERSION + 1, name: "the second step", change, ..ADDING }
}

/// The tables of this build with what [`ADDED`] adds, written down as `schema.sql` would have it.
fn next_sql() -> &'static str {
    let (before, after) =
        ("late_requests INTEGER NOT NULL\n", "late_requests INTEGER NOT NULL,\n    reason TEXT -- why\n");
    let this = Schema::THIS_BUILD.sql;
    assert_eq!(this.matches(before).count(), 1);
    let table = "CREATE TABLE made_up (\n    id   INTEGER PRIMARY KEY,\n    name TEXT NOT NULL\n) STRICT;\n";
    (this.replace(before, after) + table).leak()
}

/// This build's tables, and those behind these migrations.
fn schema(migrations: impl Into<Vec<Migration>>) -> Schema {
    let migrations: Vec<_> = migrations.into();
    let versions = KnownVersions { oldest: DATABASE_VERSION, newest: DATABASE_VERSION + migrations.len() as i64 };
    assert!(is_chain(&migrations, versions));
    Schema { versions, sql: next_sql(), migrations: migrations.leak(), ..Schema::THIS_BUILD }
}

/// A store's directory with a database of this version, in which something is folded.
fn folded() -> Fixture {
    let mut fixture = Fixture::new();
    let request = |number: usize| Owned::Request {
        id: format!("r{number}"),
        ts: number as i64,
        proxy: "p".into(),
        session: Some("s".into()),
        status: number % 3,
        tool_error: None,
        told: None,
    };
    fixture.fold(&(0..200).map(request).collect::<Vec<_>>(), &[]);
    fixture.index = None;
    fixture
}

fn open(dir: &Path, schema: &Schema) -> Result<Index, OpenError> {
    Index::open_at(&Config::new(dir), None, false, schema, Some(&|| Ok(Vec::new())))
}

/// All that a database holds, versions included, but for the time at which it was made.
fn contents(dir: &Path) -> BTreeMap<String, Vec<String>> {
    let connection = Connection::open(dir.join(DATABASE_NAME)).unwrap();
    let tables = column(&connection, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    let rows = |table: &String| {
        let columns = column(&connection, &format!("SELECT name FROM pragma_table_xinfo('{table}')"));
        let quoted: Vec<_> = columns.iter().map(|name| format!("quote({name})")).collect();
        let sql = format!("SELECT {} FROM {table}", quoted.join(" || ',' || "));
        let mut rows = column(&connection, &sql);
        let by_chance = ["created_at", "caller_salt", "last_folder", "store_id"];
        rows.retain(|row| !by_chance.iter().any(|key| row.contains(key)));
        rows.sort();
        rows
    };
    let mut contents: BTreeMap<_, _> = tables.iter().map(|table| (table.clone(), rows(table))).collect();
    contents.insert("tables".into(), described(&connection));
    contents
        .insert("version".into(), column(&connection, "SELECT CAST(user_version AS TEXT) FROM pragma_user_version"));
    contents
}

/// Every table, index and view, in words that do not depend on how the SQL was laid out.
fn described(connection: &Connection) -> Vec<String> {
    let sql = "SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY type, name";
    column(connection, sql).iter().map(|sql| plain(sql)).collect()
}

/// The SQL without comments, and with spaces only where two words meet.
fn plain(sql: &str) -> String {
    let uncommented = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    let words: Vec<_> = uncommented.flat_map(str::split_whitespace).collect();
    ["(", ")", ","]
        .iter()
        .fold(words.join(" "), |sql, sign| sql.replace(&format!(" {sign}"), sign).replace(&format!("{sign} "), sign))
}

fn column(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn meta(contents: &BTreeMap<String, Vec<String>>, key: &str) -> String {
    let start = format!("'{key}','");
    let row = contents["meta"].iter().find_map(|row| row.strip_prefix(&start)).unwrap_or_else(|| panic!("no {key}"));
    row.trim_end_matches('\'').to_owned()
}

#[test]
fn creating_a_version_and_migrating_to_it_give_the_same_tables() {
    let created = tempfile::tempdir().unwrap();
    let next = schema([ADDING]);
    let index = open(created.path(), &next).unwrap();
    // As the fixture tells its store.
    index.connection.execute("UPDATE meta SET value = '0' WHERE key = 'session_idle_ms'", []).unwrap();
    drop(index);
    let fixture = folded();
    let before = contents(fixture.dir.path());
    drop(open(fixture.dir.path(), &next).unwrap());
    let (created, migrated) = (contents(created.path()), contents(fixture.dir.path()));
    assert_eq!(created["tables"], migrated["tables"]);
    assert_eq!(created["meta"], migrated["meta"]);
    assert_ne!(before["tables"], migrated["tables"]);
    assert_eq!(before["request_rows"], migrated["request_rows"]);
    assert_eq!(migrated["made_up"].len(), before["request_rows"].len());
    assert_eq!(migrated["version"], [(DATABASE_VERSION + 1).to_string()]);
    assert_eq!((meta(&migrated, "schema_version"), meta(&before, "schema_version")), ("4".into(), "4".into()));

    // A migration that makes less than `schema.sql` says is found out.
    let forgetful = Migration { change: Change::Sql("CREATE TABLE made_up (id INTEGER PRIMARY KEY) STRICT"), ..ADDING };
    let fixture = folded();
    drop(open(fixture.dir.path(), &schema([forgetful])).unwrap());
    assert_ne!(created["tables"], contents(fixture.dir.path())["tables"]);
}

#[test]
fn every_version_since_the_oldest_leads_to_the_tables_of_this_build() {
    // What each of them was created by is kept beside `schema.sql` once it is released.
    let known = KnownVersions::THIS_BUILD;
    let created = tempfile::tempdir().unwrap();
    drop(open(created.path(), &Schema::THIS_BUILD).unwrap());
    for version in known.oldest..known.newest {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/index/schema/version-{version}.sql"));
        let sql = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let fixture = tempfile::tempdir().unwrap();
        let versions = KnownVersions { newest: version, ..known };
        let old = Schema { versions, sql: sql.leak(), migrations: &[], ..Schema::THIS_BUILD };
        drop(open(fixture.path(), &old).unwrap());
        drop(open(fixture.path(), &Schema::THIS_BUILD).unwrap());
        assert_eq!(contents(created.path()), contents(fixture.path()), "from version {version}");
    }
    let created = contents(created.path());
    assert_eq!(created["version"], [DATABASE_VERSION.to_string()]);
    assert_eq!(
        (meta(&created, "schema_version"), meta(&created, "oldest_reader")),
        ("4".into(), known.oldest.to_string())
    );
}

#[test]
fn whatever_goes_wrong_in_a_migration_leaves_the_old_version_as_it_was() {
    fn stops(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction.execute("DELETE FROM request_rows", [])?;
        Err(rusqlite::Error::InvalidQuery)
    }
    fn fills_the_disk(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let pages: i64 = transaction.pragma_query_value(None, "page_count", |row| row.get(0))?;
        transaction.pragma_update_and_check(None, "max_page_count", pages + 3, |_| Ok(()))?;
        transaction.execute_batch("CREATE TABLE large (bytes BLOB); INSERT INTO large VALUES (zeroblob(1000000))")
    }
    for (change, why) in [
        (Change::Sql("DROP TABLE gaps; INSERT INTO nowhere VALUES (1)"), "no such table"),
        (Change::Function(stops), "the second step"),
        (Change::Function(fills_the_disk), "full"),
    ] {
        let fixture = folded();
        let before = contents(fixture.dir.path());
        let error = open(fixture.dir.path(), &schema([ADDING, then(change)])).unwrap_err();
        let text = error.to_string();
        let (from, to) = (DATABASE_VERSION, DATABASE_VERSION + 2);
        assert!(text.contains(&format!("version {from} could not be brought to {to}")), "{text}");
        assert!(text.contains(why) && text.contains("try again"), "{text}");
        assert_eq!(contents(fixture.dir.path()), before);
        // The build that wrote it goes on, and so does the next attempt.
        drop(open(fixture.dir.path(), &Schema::THIS_BUILD).unwrap());
        drop(open(fixture.dir.path(), &schema([ADDING, then(Change::Sql("DROP TABLE gaps"))])).unwrap());
        assert_eq!(contents(fixture.dir.path())["version"], [to.to_string()]);
    }
}

#[test]
fn a_process_that_is_killed_in_a_migration_leaves_the_old_version_as_it_was() {
    /// Keeps the files as they are in the middle, with pages of the transaction among them: what a kill leaves.
    fn dies(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction.pragma_update(None, "cache_size", 2)?;
        transaction.execute_batch("UPDATE request_rows SET latency_us = 7; CREATE TABLE large (bytes BLOB)")?;
        for _ in 0..200 {
            transaction.execute("INSERT INTO large VALUES (zeroblob(8000))", [])?;
        }
        let path = Path::new(transaction.path().unwrap()).to_owned();
        let killed = path.parent().unwrap().join("killed");
        std::fs::create_dir(&killed).unwrap();
        for name in ["store.db", "store.db-wal", "store.db-shm"] {
            std::fs::copy(path.with_file_name(name), killed.join(name)).unwrap();
        }
        Ok(())
    }
    let fixture = folded();
    let before = contents(fixture.dir.path());
    drop(open(fixture.dir.path(), &schema([ADDING, then(Change::Function(dies))])).unwrap());
    let killed = fixture.dir.path().join("killed");
    assert!(std::fs::metadata(killed.join("store.db-wal")).unwrap().len() > 1_000_000, "its pages are in SQLite's WAL");
    assert_eq!(contents(&killed), before);
    drop(open(&killed, &Schema::THIS_BUILD).unwrap());
    assert_eq!(contents(&killed), before);
}

#[test]
fn a_migration_waits_for_who_writes_to_the_database() {
    let fixture = folded();
    let (dir, next) = (fixture.dir.path().to_owned(), schema([ADDING]));
    let mut other = Connection::open(dir.join(DATABASE_NAME)).unwrap();
    let writing = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    writing.execute("UPDATE meta SET value = '5' WHERE key = 'session_idle_ms'", []).unwrap();
    std::thread::scope(|scope| {
        let migrating = scope.spawn(|| drop(open(&dir, &next).unwrap()));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!migrating.is_finished(), "somebody else writes");
        writing.commit().unwrap();
    });
    let migrated = contents(&dir);
    assert_eq!(migrated["version"], [(DATABASE_VERSION + 1).to_string()]);
    assert_eq!(meta(&migrated, "session_idle_ms"), "5");
}

#[test]
fn before_rows_are_rewritten_the_database_is_copied_and_the_old_build_can_go_on_with_the_copy() {
    let fixture = folded();
    let dir = fixture.dir.path();
    let copy = copy_path(&dir.join(DATABASE_NAME), DATABASE_VERSION);
    let rewriting = Migration { rewrites_rows: true, ..then(Change::Sql("UPDATE request_rows SET latency_us = 0")) };
    // What an attempt left that was killed while it copied, and what another one copied long ago.
    std::fs::write(copy.with_extension(format!("version-{DATABASE_VERSION}.new")), "half a copy").unwrap();
    std::fs::write(&copy, "an old copy").unwrap();
    let before = contents(dir);
    drop(open(dir, &schema([ADDING, rewriting])).unwrap());
    assert_eq!(contents(dir)["version"], [(DATABASE_VERSION + 2).to_string()]);
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let back = tempfile::tempdir().unwrap();
    std::fs::copy(&copy, back.path().join(DATABASE_NAME)).unwrap();
    drop(open(back.path(), &Schema::THIS_BUILD).unwrap());
    assert_eq!(contents(back.path()), before);
    let names =
        |dir: &Path| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert!(names(dir).iter().all(|name| !name.to_string_lossy().ends_with(".new")), "{:?}", names(dir));

    // What is only added needs none.
    let fixture = folded();
    drop(open(fixture.dir.path(), &schema([ADDING])).unwrap());
    assert!(!copy_path(&fixture.dir.path().join(DATABASE_NAME), DATABASE_VERSION).exists());
    // And where it can't be made, nothing is changed.
    let fixture = folded();
    let before = contents(fixture.dir.path());
    let copy = copy_path(&fixture.dir.path().join(DATABASE_NAME), DATABASE_VERSION);
    std::fs::create_dir_all(copy.join("in the way")).unwrap();
    let error = open(fixture.dir.path(), &schema([ADDING, rewriting])).unwrap_err();
    assert!(matches!(error, OpenError::Index(IndexError::Io(_))), "{error}");
    assert_eq!(contents(fixture.dir.path()), before);
}

#[test]
fn a_database_says_down_to_which_version_readers_may_read_it() {
    let (this, known) = (DATABASE_VERSION, KnownVersions::THIS_BUILD);
    for (first, second, expected) in
        [(false, false, this), (true, false, this + 1), (false, true, this + 2), (true, true, this + 2)]
    {
        let fixture = folded();
        let first = Migration { breaks_readers: first, ..ADDING };
        let second = Migration { breaks_readers: second, ..then(Change::Sql("")) };
        drop(open(fixture.dir.path(), &schema([first, second])).unwrap());
        let found: i64 = meta(&contents(fixture.dir.path()), "oldest_reader").parse().unwrap();
        assert_eq!(found, expected);
        let version = DatabaseVersion { number: this + 2, oldest_reader: Some(found) };
        assert_eq!(version.check_read(known, Path::new("store.db")).is_ok(), expected == this);
        assert!(version.check_write(known, Path::new("store.db")).is_err());
    }
}

#[test]
fn migrations_are_one_version_each_without_a_hole() {
    let versions = |newest| KnownVersions { oldest: DATABASE_VERSION, newest };
    let second = then(Change::Sql(""));
    assert!(is_chain(&[], versions(DATABASE_VERSION)));
    assert!(is_chain(&[ADDING, second], versions(DATABASE_VERSION + 2)));
    assert!(!is_chain(&[ADDING, second], versions(DATABASE_VERSION + 1)), "one too many");
    assert!(!is_chain(&[ADDING], versions(DATABASE_VERSION + 2)), "one too few");
    assert!(!is_chain(&[second], versions(DATABASE_VERSION + 2)), "the first is missing");
    assert!(!is_chain(&[second, ADDING], versions(DATABASE_VERSION + 2)), "in the wrong order");
    assert!(!is_chain(&[ADDING, ADDING], versions(DATABASE_VERSION + 2)), "one of them twice");
}
