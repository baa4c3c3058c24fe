//! The rules of the house, checked: who may import whom, headers, where `unsafe` is, what README and CI say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut pending = vec![root().join(folder)];
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.ends_with("target") {
            // What a build left, of a package that is not in the workspace.
            continue;
        }
        if path.is_dir() {
            pending.extend(std::fs::read_dir(&path).expect("readable").map(|entry| entry.expect("readable").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    assert!(!files.is_empty(), "{folder} has no Rust files");
    files
}

fn all_rust_files() -> Vec<PathBuf> {
    ["src", "tools", "tests", "benches", "examples", "fuzz/fuzz_targets", "fuzz/checks"]
        .into_iter()
        .flat_map(rust_files)
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The code without its tests, comments and doc comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules of the library that a file names: `crate::x` and what `use crate::{x, ..}` lists.
fn imports(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut modules: BTreeSet<_> = code.split("crate::").skip(1).map(word).collect();
    for list in code.split("crate::{").skip(1) {
        modules.extend(list.split('}').next().unwrap_or_default().split(',').map(|item| word(item.trim())));
    }
    modules.remove("");
    modules
}

/// Which modules each file of the library may name. A file that is not listed fails the test, so that a new one gets a
/// place in the picture; so does an import that is not listed. What matters most is what is absent.
fn allowed_imports() -> BTreeMap<&'static str, &'static [&'static str]> {
    // Plain vocabulary, open to all but the pure core below.
    BTreeMap::from([
        // The pure core. Segments never see a record; fold never sees a file or a database.
        ("event.rs", &[] as &[&str]),
        ("format.rs", &[]),
        ("platform.rs", &[]),
        ("varint.rs", &[]),
        ("histogram.rs", &["varint"]),
        ("rollup.rs", &["event", "histogram", "varint"]),
        ("rollup_page.rs", &["varint"]),
        ("session_digest.rs", &[]),
        ("cut.rs", &["event"]),
        ("schema_diff.rs", &["cut", "event"]),
        ("record.rs", &["event"]),
        ("record/id.rs", &[]),
        ("record/request.rs", &[]),
        ("record/wire.rs", &["varint"]),
        ("fold.rs", &["cut", "event", "platform", "record"]),
        ("file_limit.rs", &[]),
        ("retention.rs", &["config", "rollup"]),
        ("pace.rs", &[]),
        ("portion.rs", &[]),
        ("config.rs", &["error", "format"]),
        ("error.rs", &[]),
        ("health.rs", &[]),
        ("stats.rs", &["health"]),
        // Segments: the payload is opaque.
        ("segment/mod.rs", &[]),
        ("segment/directory.rs", &["error", "format"]),
        ("segment/examined.rs", &["error", "format"]),
        ("segment/file.rs", &["error", "format"]),
        ("segment/filesystem.rs", &[]),
        ("segment/progress.rs", &["format"]),
        ("segment/reader.rs", &["error", "format", "sabotage", "segment"]),
        ("segment/quarantine.rs", &["error", "format", "lock"]),
        ("segment/recovery.rs", &["error", "format"]),
        ("segment/syncer.rs", &["error", "format", "sabotage"]),
        ("segment/verdict.rs", &["format"]),
        ("segment/writer.rs", &["error", "format", "sabotage"]),
        // The hot path: neither the log nor the database.
        ("refusal.rs", &["event"]),
        ("recorder.rs", &["event", "handover", "refusal"]),
        ("handover/mod.rs", &[]),
        ("handover/block.rs", &[]),
        ("handover/channel.rs", &["event", "gap", "refusal"]),
        ("handover/fence.rs", &[]),
        ("handover/intake.rs", &["event"]),
        ("handover/lane.rs", &["event", "refusal"]),
        ("handover/packing.rs", &["event"]),
        ("gap.rs", &["record"]),
        // The appender's side: never the database, never folding.
        ("appender.rs", &["config", "error", "format", "handover", "syncing", "tail"]),
        (
            "tail.rs",
            &[
                "config",
                "error",
                "event",
                "format",
                "gap",
                "handover",
                "health",
                "log",
                "preparing",
                "progress",
                "record",
                "sabotage",
                "segment",
                "syncing",
            ],
        ),
        ("tail/again.rs", &["error", "format", "health", "log", "sabotage", "segment", "syncing"]),
        ("preparing.rs", &["error", "format", "sabotage", "segment"]),
        ("syncing.rs", &["config", "error", "format", "health", "progress", "segment"]),
        ("progress.rs", &["error", "format", "signal"]),
        ("signal.rs", &[]),
        ("log.rs", &["format", "segment"]),
        // The compactor's side: never the channel, never recovery.
        (
            "compactor.rs",
            &[
                "chunk",
                "config",
                "error",
                "fold",
                "foldable",
                "format",
                "gap",
                "health",
                "index",
                "log",
                "pace",
                "progress",
                "record",
                "retention",
                "retirement",
                "sabotage",
                "segment",
            ],
        ),
        ("retirement.rs", &["config", "error", "format", "gap", "index", "log", "retention", "sabotage", "segment"]),
        ("foldable.rs", &["format", "log", "progress"]),
        ("chunk.rs", &["format", "segment"]),
        ("index.rs", &["config", "error", "format", "gap", "retention", "sabotage"]),
        ("index/batch.rs", &["error", "fold", "format", "gap", "record", "rollup", "segment"]),
        ("index/damage.rs", &["error", "format", "gap"]),
        ("index/digest_table.rs", &["fold", "session_digest"]),
        ("index/expiry.rs", &["error", "event", "fold", "format", "portion", "retention"]),
        ("index/log_copy.rs", &["sabotage"]),
        ("index/names.rs", &["event", "fold", "record"]),
        ("index/rebuild.rs", &["error", "fold"]),
        ("index/request_rows.rs", &["chunk", "event", "fold", "record", "rollup"]),
        ("index/rollup_table.rs", &["event", "rollup", "rollup_page"]),
        ("index/schema_history.rs", &["fold", "format", "schema_diff"]),
        ("index/session_table.rs", &["fold"]),
        // Queries know the database, and nothing of how it is written. The status that they filter by is the event's.
        ("query", &["error", "event", "rollup", "rollup_page", "session_digest"]),
        // Faults for tests; no part of any other build.
        ("sabotage.rs", &[]),
        // Looking at a whole store, as anybody may: it reads like wal-inspect and asks like a query.
        ("check.rs", &["error", "query", "writer_lock"]),
        ("check/log.rs", &["error", "format", "record", "segment"]),
        ("writer_lock.rs", &["lock"]),
        // Who puts it all together.
        ("lock.rs", &["error"]),
        ("worker.rs", &["lock"]),
        ("rebuild.rs", &["config", "error", "health", "index", "lock", "query", "segment", "store"]),
        (
            "store.rs",
            &[
                "appender",
                "compactor",
                "config",
                "error",
                "file_limit",
                "format",
                "health",
                "index",
                "lock",
                "log",
                "handover",
                "preparing",
                "progress",
                "recorder",
                "segment",
                "stats",
                "syncing",
                "worker",
            ],
        ),
        ("lib.rs", &[]),
    ])
}

#[test]
fn every_file_of_the_library_imports_only_what_the_design_allows() {
    let allowed = allowed_imports();
    for path in rust_files("src") {
        let file = name(&path).trim_start_matches("src/").to_owned();
        if file.ends_with("tests.rs") {
            continue;
        }
        let found = imports(&code(&read(&path)));
        let folder = file.split(['/', '.']).next().unwrap_or_default();
        let rule = allowed.get(file.as_str()).or_else(|| allowed.get(folder));
        let rule = rule.unwrap_or_else(|| panic!("src/{file} has no place in the import table of this test"));
        let mut permitted: BTreeSet<_> = rule.iter().map(|module| String::from(*module)).collect();
        // Files of one module may name each other.
        permitted.insert(folder.to_owned());
        let stray: Vec<_> = found.difference(&permitted).collect();
        assert!(stray.is_empty(), "src/{file} imports {stray:?}");
    }
}

#[test]
fn only_the_database_side_knows_sqlite_and_only_named_files_touch_recovery() {
    for path in rust_files("src") {
        let (file, code) = (name(&path), code(&read(&path)));
        let database = file.starts_with("src/index") || file.starts_with("src/query") || file == "src/error.rs";
        assert!(database || !code.contains("rusqlite"), "{file} knows SQLite");
        let recovery = file == "src/store.rs" || file.starts_with("src/segment/");
        assert!(recovery || !code.contains("recovery"), "{file} touches recovery");
    }
    for path in rust_files("tools/wal-inspect/src") {
        let code = code(&read(&path));
        for forbidden in ["rusqlite", "mcplog::Store", "mcplog::Query", "store::", "query::", "memmap"] {
            assert!(!code.contains(forbidden), "{} uses {forbidden}: it only reads segments", name(&path));
        }
    }
}

#[test]
fn every_file_opens_with_its_purpose() {
    for path in all_rust_files() {
        assert!(read(&path).starts_with("//! "), "{} does not open with `//!`", name(&path));
    }
}

#[test]
fn unsafe_is_in_one_file_and_each_use_has_its_proof() {
    let unsafe_block = concat!("uns", "afe {");
    for path in all_rust_files() {
        let text = read(&path);
        let uses = text.matches(unsafe_block).count();
        let any = code(&text).contains(concat!("uns", "afe ")) || code(&text).contains(concat!("uns", "afe_code"));
        // The other maps a file too: it measures what copying into one costs at least. It is no part of mcplog.
        if ["src/segment/file.rs", "benches/peers/src/competitor/memory.rs"].contains(&name(&path).as_str()) {
            assert_eq!(uses, text.matches("// SAFETY: ").count(), "each use has a proof");
            assert!(uses > 0);
        } else {
            assert!(!any || name(&path) == "tests/tidy.rs", "{} uses unsafe", name(&path));
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    for path in all_rust_files() {
        let text = read(&path);
        for word in [
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
            concat!("todo", "!("),
            concat!("unimpl", "emented!("),
            concat!("#[ign", "ore"),
        ] {
            assert!(!text.contains(word), "{} says {word}", name(&path));
        }
    }
}

/// The commands in README.md's shell blocks.
fn readme_commands() -> Vec<String> {
    let readme = read(&root().join("README.md"));
    let blocks = readme.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let commands: Vec<_> = blocks
        .flat_map(str::lines)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    assert!(commands.len() > 5, "README.md shows {} commands", commands.len());
    commands
}

#[test]
fn every_command_in_the_readme_is_run_by_ci_or_by_a_test() {
    let ci = read(&root().join(".ci/run"));
    let readme_test = read(&root().join("tools/mcplog/tests/readme.rs"));
    for command in readme_commands() {
        // `mcplog` and `wal-inspect` commands are read out of README.md and run by tools/mcplog/tests/readme.rs.
        let tested = command.starts_with("mcplog ") || command.starts_with("wal-inspect ");
        assert!(tested || ci.contains(&command) || readme_test.contains(&command), "nobody runs: {command}");
    }
}

#[test]
fn the_two_commands_of_the_readme_come_first_and_ci_runs_both() {
    let commands = readme_commands();
    assert_eq!(commands[..2], ["cargo run --release --bin mcplog -- demo", "tests/run"]);
    let ci = read(&root().join(".ci/run"));
    for command in &commands[..2] {
        assert!(ci.lines().any(|line| line.starts_with(command.as_str())), "CI does not run: {command}");
    }
}

#[test]
fn the_format_version_has_a_golden_segment_and_a_page() {
    let version = mcplog::segment::format::FORMAT_VERSION;
    for version in 1..=version {
        assert!(root().join(format!("tests/golden/v{version}/sealed.seg")).exists(), "version {version}");
    }
    assert!(read(&root().join("format.md")).starts_with(&format!("# The mcplog log format, version {version}\n")));
}

#[test]
fn files_stay_short_enough_to_read() {
    for path in rust_files("src").into_iter().chain(rust_files("tools")) {
        let text = read(&path);
        let lines = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().lines().count();
        let is_test = name(&path).contains("tests");
        assert!(is_test || lines <= 450, "{} has {lines} lines before its tests; make it two", name(&path));
    }
}
