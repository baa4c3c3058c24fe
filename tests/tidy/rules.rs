//! The rules, as data: the floors of `src/`, and who must not know what.
//!
//! Nothing here looks at a file. A rule with an exception lists it, with the reason.

/// The rooms of `src/`, from the top floor down. A room may use what lies on lower floors, and nothing beside or above it.
pub(crate) const FLOORS: [&[&str]; 7] = [
    &["lib"],
    &["store"],
    &["compactor"],
    &["query", "index", "appender"],
    &["fold", "recorder"],
    &["record", "segment"],
    &["event", "ground"],
];

/// How many entries the root of `src/` has at most.
pub(crate) const ROOMS_MAX: usize = 14;

/// What those below a folder must not know, although the floors would allow it.
pub(crate) const NEVER: [Never; 5] = [
    Never {
        who: "src/fold",
        what: &["src/segment", "std::fs", "std::net"],
        but: &[],
        reason: "folding is pure: it gets records, and does not know where they lay",
    },
    Never {
        who: "src/query",
        what: &["src/segment", "src/recorder"],
        but: &[],
        reason: "a query knows the database, and nothing of the log that it was folded from",
    },
    Never {
        who: "src/recorder",
        what: &["src/segment", "std::fs", "std::net"],
        but: &[],
        reason: "the hot path knows neither the log nor a disk",
    },
    Never {
        who: "tools/wal-inspect/src",
        what: &["src/store", "src/compactor", "src/query", "src/index", "src/appender", "rusqlite", "memmap2"],
        // One says whether a process is writing, by its locks; the other what each segment is to the log, and asks the
        // database how far that is folded. Neither opens a store.
        but: &["src/store/writer_lock", "src/store/examined_log"],
        reason: "wal-inspect only reads segments",
    },
    Never {
        who: "tools/observe/src",
        what: &[
            "src/store",
            "src/query",
            "src/index",
            "src/segment",
            "tokio",
            "hyper",
            "hyper_util",
            "http_body",
            "axum",
            "reqwest",
            "rmcp",
            "std::net",
            "std::fs",
            "std::os::unix::net",
        ],
        but: &[],
        reason: "observing is bytes in and events out: no socket, no runtime, no file",
    },
];

/// What only some of `src/` may know.
pub(crate) const ONLY: [Only; 3] = [
    Only {
        what: "rusqlite",
        // The errors name SQLite's own.
        who: &["src/index", "src/query", "src/ground/error"],
        reason: "only the database's side knows SQLite",
    },
    Only {
        what: "src/segment/writer",
        who: &["src/segment", "src/appender"],
        reason: "a log is written by its own appender, and by nobody else, whatever it was left like",
    },
    Only { what: "memmap2", who: &["src/segment/file"], reason: "maps are made where unsafe code is allowed" },
];

/// Files that may hold `unsafe`, each use with its proof.
pub(crate) const MAY_BE_UNSAFE: [&str; 2] = [
    "src/segment/file.rs",
    // Maps a file too: it measures what copying into one costs at least. It is no part of mcplog.
    "benches/peers/src/competitor/memory.rs",
];

/// Files that make up the faults that tests order; every other one has a line for each, `sabotage::at(Spot::…)`.
pub(crate) const FAULT_FILES: [&str; 4] =
    ["src/ground/mod.rs", "src/ground/sabotage.rs", "src/ground/sabotage/orders.rs", "src/index/fault.rs"];

/// What prints and panics where that fails: a reader that went away or a full device would end the process.
pub(crate) const PANICKING_PRINTERS: [&str; 5] = ["println!", "print!", "eprintln!", "eprint!", "dbg!"];

/// Lines that a file may have before its tests. The wish is 400.
pub(crate) const LINES_MAX: usize = 450;

/// See [`NEVER`].
pub(crate) struct Never {
    /// A folder or a file without its extension.
    pub(crate) who: &'static str,
    /// Folders, files, or paths of other crates.
    pub(crate) what: &'static [&'static str],
    /// What of that is allowed all the same.
    pub(crate) but: &'static [&'static str],
    pub(crate) reason: &'static str,
}

/// See [`ONLY`].
pub(crate) struct Only {
    /// A folder, a file, or a path of another crate.
    pub(crate) what: &'static str,
    /// Folders, or files without their extension.
    pub(crate) who: &'static [&'static str],
    pub(crate) reason: &'static str,
}
