//! In which order a store forces things to the disk, judged from its system calls. Pure: calls in, violations out.
//!
//! A power cut can hardly show a sync that comes too late: most of the time, the disk has everything by chance. The calls
//! show it each time.

use crate::placed::Placed;
use crate::trace::{Call, Trace, described};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Every call that makes, changes, syncs or removes a file or a name, and those by which a trace tells files apart.
pub const CALLS: &str = "openat,mmap,munmap,prctl,write,pwrite64,ftruncate,fallocate,msync,fsync,fdatasync,?mkdir,mkdirat,\
                         ?rename,renameat,renameat2,?link,linkat,?unlink,unlinkat,?rmdir";

/// What the name of a folder begins with that is not in its place yet.
const BORN: &str = ".new-";

/// A sync that succeeded.
#[derive(Debug)]
struct Sync {
    /// The file or directory. A segment's is without its ending, and its folder's without the prefix of one that is not in
    /// its place yet: both change while it is mapped.
    path: PathBuf,
    bytes: Range<u64>,
    thread: u32,
    began: usize,
    ended: usize,
}

/// A name that was made or taken away.
#[derive(Debug)]
struct Change<'a> {
    path: PathBuf,
    call: &'a Call,
}

/// A trace, sorted by what matters here.
#[derive(Debug)]
pub struct Order<'a> {
    store: PathBuf,
    trace: &'a Trace,
    syncs: Vec<Sync>,
    /// How many events were durable by what the victim said, and the call that said it.
    acknowledged: Vec<(u64, &'a Call)>,
    made: Vec<Change<'a>>,
    removed: Vec<Change<'a>>,
}

impl<'a> Order<'a> {
    /// What a victim did with the store in the directory `store`, from its first call on.
    pub fn of(trace: &'a Trace, store: &Path) -> Self {
        let mut order = Self {
            store: store.to_owned(),
            trace,
            syncs: syncs(trace),
            acknowledged: Vec::new(),
            made: Vec::new(),
            removed: Vec::new(),
        };
        for call in &trace.calls {
            let names = quoted(&call.arguments);
            match call.name.as_str() {
                "write" => {
                    let said = names.first().and_then(|text| text.strip_prefix("acknowledged "));
                    let said = said.filter(|_| call.arguments.starts_with("1<"));
                    order
                        .acknowledged
                        .extend(said.and_then(|more| Some((more.strip_suffix("\\n")?.parse().ok()?, call))));
                }
                _ if call.result.is_err() => {}
                "mkdir" | "mkdirat" | "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
                    order.made.extend(names.last().map(|path| Change { path: in_place(Path::new(path)), call }));
                }
                "openat" if call.arguments.contains("O_CREAT") => {
                    order.made.extend(names.last().map(|path| Change { path: path.into(), call }));
                }
                "unlink" | "unlinkat" | "rmdir" => {
                    order.removed.extend(names.last().map(|path| Change { path: path.into(), call }));
                }
                _ => {}
            }
        }
        order
    }

    /// How often it said that events are durable, and how many segments it removed: what there was to judge.
    pub fn occasions(&self) -> (usize, usize) {
        (self.acknowledged.len(), self.retired().count())
    }

    /// Everything that should have been on the disk and was not, when somebody was told that it is or when nothing else
    /// held it any more. `placed` are the events that were recorded, at all places where each one lies; between two
    /// acknowledgements the victim records those that the second one counts and the first does not.
    pub fn violations(&self, placed: &[Placed]) -> Vec<String> {
        let mut violations = self.frames_acknowledged_too_early(placed);
        violations.extend(self.names_acknowledged_too_early());
        violations.extend(self.named_before_synced());
        violations.extend(self.retired_too_early());
        violations
    }

    /// Every page of every frame: synced after the event was recorded, before it was acknowledged.
    fn frames_acknowledged_too_early(&self, placed: &[Placed]) -> Vec<String> {
        let mut violations = Vec::new();
        let (mut before, mut recorded_after) = (0, 0);
        for (count, said) in &self.acknowledged {
            let is_synced = |placed: &Placed| {
                let path = stem(&placed.segment);
                let covers = |sync: &Sync| sync.bytes.start <= placed.bytes.start && placed.bytes.end <= sync.bytes.end;
                self.syncs.iter().any(|sync| {
                    sync.path == path && covers(sync) && recorded_after <= sync.began && sync.ended < said.began
                })
            };
            for number in before..*count {
                let places: Vec<_> = placed.iter().filter(|placed| placed.number == number).collect();
                let synced: Vec<_> = places.iter().filter(|placed| is_synced(placed)).collect();
                let named = synced.iter().any(|placed| self.is_reached(&placed.segment, said.began));
                let line = said.began;
                // One of a batch says it all.
                if places.is_empty() || named {
                    continue;
                }
                violations.push(match synced.first() {
                    None => format!("event {number} was acknowledged on line {line} before its frame was synced"),
                    Some(placed) => {
                        let segment = placed.segment.display();
                        format!(
                            "event {number} was acknowledged on line {line} before the name of {segment} was synced"
                        )
                    }
                });
                break;
            }
            (before, recorded_after) = (*count, said.ended);
        }
        violations
    }

    /// The directories that the store made on its way to the log.
    fn names_acknowledged_too_early(&self) -> Vec<String> {
        let Some((_, first)) = self.acknowledged.first() else { return Vec::new() };
        let made = [self.store.clone(), self.wal()];
        let made = made.iter().filter(|dir| self.made.iter().any(|made| made.path == **dir));
        let unnamed = made.filter(|dir| !self.is_named(dir, first.began));
        unnamed
            .map(|dir| format!("{} was acknowledged to hold events before its name was synced", dir.display()))
            .collect()
    }

    /// The file before its folder, and that before `wal/`: a thread that syncs segments syncs a directory only right after
    /// what lies in it, for whose name it does. (Other threads sync them for other reasons: when they remove something.)
    fn named_before_synced(&self) -> Vec<String> {
        let wal = self.wal();
        let depth = |sync: &Sync| sync.path.strip_prefix(&wal).ok().map(|below| below.components().count());
        let threads: BTreeSet<u32> =
            self.syncs.iter().filter(|sync| depth(sync) == Some(2)).map(|sync| sync.thread).collect();
        let mut violations = Vec::new();
        for thread in threads {
            let mut before = None;
            for sync in self.syncs.iter().filter(|sync| sync.thread == thread) {
                let depth = depth(sync);
                match (depth, before) {
                    (Some(1), Some(1 | 2)) | (Some(0), Some(0 | 1)) | (Some(2) | None, _) => {}
                    (Some(1), _) => {
                        let line = sync.began;
                        violations.push(format!("names of segments were synced before their frames, on line {line}"));
                    }
                    _ => violations
                        .push(format!("names of folders were synced before what is in them, on line {}", sync.began)),
                }
                before = depth;
            }
        }
        violations
    }

    /// A segment's records must be safe in the database before the segment goes, and its name must not come back.
    fn retired_too_early(&self) -> Vec<String> {
        let mut violations = Vec::new();
        let databases = ["store.db", "store.db-wal"].map(|name| self.store.join(name));
        for Change { path, call } in self.retired() {
            let (segment, line) = (path.display(), call.began);
            for database in &databases {
                let written = self.last_written(database, line);
                if written.is_some_and(|after| !self.is_synced(database, after, line)) {
                    let database = database.display();
                    violations.push(format!("{segment} was removed on line {line} before {database} was synced"));
                }
                if self.made.iter().any(|made| made.path == *database) && !self.is_named(database, line) {
                    let database = database.display();
                    violations
                        .push(format!("{segment} was removed on line {line} before {database}'s name was synced"));
                }
            }
            if databases.iter().all(|database| self.last_written(database, line).is_none()) {
                violations.push(format!("{segment} was removed on line {line}, and nothing was ever folded"));
            }
            if !self.is_gone_for_good(path, call.ended) {
                violations.push(format!("{segment} was removed on line {line}, and the directory never synced since"));
            }
        }
        violations
    }

    /// Whether the folder of what was removed was synced since, or removed as well, and `wal/` synced then.
    fn is_gone_for_good(&self, path: &Path, after: usize) -> bool {
        let Some(folder) = path.parent() else { return false };
        let removed = self.removed.iter().find(|removed| removed.path == folder && removed.call.began > after);
        let with_folder = removed.is_some_and(|removed| self.is_synced(&self.wal(), removed.call.ended, usize::MAX));
        with_folder || self.is_synced(folder, after, usize::MAX)
    }

    /// Segments that were removed from a folder of the log.
    fn retired(&self) -> impl Iterator<Item = &Change<'a>> {
        let wal = self.wal();
        self.removed.iter().filter(move |change| {
            change.path.parent().and_then(Path::parent) == Some(&wal)
                && change.path.extension().is_some_and(|extension| extension == "seg")
        })
    }

    fn wal(&self) -> PathBuf {
        self.store.join("wal")
    }

    /// Where the file was last changed before `line`.
    fn last_written(&self, path: &Path, line: usize) -> Option<usize> {
        let written = self.trace.calls.iter().filter(|call| {
            ["write", "pwrite64", "ftruncate"].contains(&call.name.as_str())
                && call.began < line
                && call.path().is_some_and(|found| Path::new(found) == path)
        });
        written.map(|call| call.ended).max()
    }

    /// Whether the name was there, and its directory synced since, before `line`.
    fn is_named(&self, path: &Path, line: usize) -> bool {
        let made = self.made.iter().find(|made| made.path == path);
        made.zip(path.parent()).is_some_and(|(made, parent)| self.is_synced(parent, made.call.ended, line))
    }

    /// Whether a segment's name, and its folder's, were there, and what each stands in synced since, before `line`.
    fn is_reached(&self, segment: &Path, line: usize) -> bool {
        self.is_named(segment, line) && segment.parent().is_some_and(|folder| self.is_named(folder, line))
    }

    fn is_synced(&self, path: &Path, after: usize, before: usize) -> bool {
        self.syncs.iter().any(|sync| sync.path == path && after <= sync.began && sync.ended < before)
    }
}

/// All syncs that succeeded, of files by their descriptors and of what is mapped by its address. After one that failed,
/// none of the same file counts: Linux tells of a failed write once, and then calls the pages clean. Directories (whose
/// names have no ending) may be synced again: their changes are in the file system's journal, or it has stopped.
fn syncs(trace: &Trace) -> Vec<Sync> {
    let mut mapped: BTreeMap<u64, (u64, PathBuf)> = BTreeMap::new();
    let mut poisoned: BTreeSet<PathBuf> = BTreeSet::new();
    let mut syncs = Vec::new();
    // By their ends: a mapping is there when the call returns. Nobody syncs what is being unmapped.
    let mut calls: Vec<_> = trace.calls.iter().collect();
    calls.sort_by_key(|call| call.ended);
    for call in calls {
        let mut synced = |path: &Path, bytes| {
            let is_file = path.extension().is_some();
            let path = stem(path);
            if call.result.is_err() {
                poisoned.extend(is_file.then_some(path));
            } else if !poisoned.contains(&path) {
                syncs.push(Sync { path, bytes, thread: call.thread, began: call.began, ended: call.ended });
            }
        };
        let arguments: Vec<_> = call.arguments.split(", ").collect();
        let address = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        match (call.name.as_str(), arguments.as_slice()) {
            ("mmap", [_, length, _, flags, file, _]) if flags.contains("MAP_SHARED") => {
                let at = call.result.as_deref().ok().and_then(address);
                let found = at.zip(length.parse().ok()).zip(described(file));
                mapped.extend(found.map(|((at, length), path)| (at, (length, path.into()))));
            }
            ("munmap", [at, _]) => {
                address(at).map(|at| mapped.remove(&at));
            }
            ("msync", [at, length, flags]) if flags.contains("MS_SYNC") => {
                let Some((at, length)) = address(at).zip(length.parse::<u64>().ok()) else { continue };
                let Some((start, (whole, path))) = mapped.range(..=at).next_back() else { continue };
                let from = at - start;
                synced(path, from..(from + length).min(*whole));
            }
            // What it gets from now on is new.
            ("ftruncate", [_, "0"]) if call.result.is_ok() => {
                call.path().map(|path| poisoned.remove(&stem(Path::new(path))));
            }
            ("fsync" | "fdatasync", _) => {
                let Some(path) = call.path() else { continue };
                synced(Path::new(path), 0..u64::MAX);
            }
            _ => {}
        }
    }
    syncs
}

/// The path of a segment without its ending, and of what lies in a folder that is being born as it will be; any other as it
/// is.
fn stem(path: &Path) -> PathBuf {
    let path = match path.file_name().and_then(|name| name.to_str()) {
        Some(name) if name.starts_with(BORN) => path.with_file_name(&name[BORN.len()..]),
        _ => in_place(path),
    };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("new" | "seg") => path.with_extension(""),
        _ => path,
    }
}

/// The path of what lies in a folder that is being born as it will be when that is in its place.
fn in_place(path: &Path) -> PathBuf {
    let folder = path.parent().zip(path.parent().and_then(Path::file_name).and_then(|name| name.to_str()));
    match (folder, path.file_name()) {
        (Some((folder, name)), Some(file)) if name.starts_with(BORN) => {
            folder.with_file_name(&name[BORN.len()..]).join(file)
        }
        _ => path.to_owned(),
    }
}

/// What stands between quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run as it should be: two events, acknowledged one by one; a segment that is folded and goes.
    const GOOD: &str = "\
1 mkdir(\"/s\", 0700) = 0
1 fsync(3</>) = 0
1 mkdir(\"/s/wal\", 0700) = 0
1 fsync(4</s>) = 0
1 openat(AT_FDCWD</>, \"/s/store.db\", O_RDWR|O_CREAT, 0600) = 4</s/store.db>
1 openat(AT_FDCWD</>, \"/s/store.db-wal\", O_RDWR|O_CREAT, 0600) = 5</s/store.db-wal>
1 fsync(6</s>) = 0
1 write(1</dev/null>, \"opened \\n\", 8) = 8
4 mkdir(\"/s/wal/.new-a\", 0700) = 0
4 fallocate(8</s/wal/.new-a/1.new>, 0, 0, 65536) = 0
4 mmap(NULL, 65536, PROT_READ|PROT_WRITE, MAP_SHARED, 8</s/wal/.new-a/1.new>, 0) = 0x7000
4 rename(\"/s/wal/.new-a/1.new\", \"/s/wal/.new-a/1.seg\") = 0
4 rename(\"/s/wal/.new-a\", \"/s/wal/a\") = 0
2 msync(0x7000, 4200, MS_SYNC <unfinished ...>
3 pwrite64(5</s/store.db-wal>, \"...\", 24, 32) = 24
2 <... msync resumed>) = 0
2 fsync(9</s/wal/a>) = 0
2 fsync(10</s/wal>) = 0
1 write(1</dev/null>, \"acknowledged 1\\n\", 15) = 15
2 msync(0x7000, 4300, MS_SYNC) = 0
1 write(1</dev/null>, \"acknowledged 2\\n\", 15) = 15
2 munmap(0x7000, 65536) = 0
3 pwrite64(5</s/store.db-wal>, \"...\", 24, 64) = 24
3 fsync(5</s/store.db-wal>) = 0
3 unlink(\"/s/wal/a/1.seg\") = 0
3 rmdir(\"/s/wal/a\") = 0
3 fsync(7</s/wal>) = 0
";

    fn placed() -> Vec<Placed> {
        let segment = PathBuf::from("/s/wal/a/1.seg");
        [(0, 4096..4200), (1, 4200..4300)]
            .map(|(number, bytes)| Placed { number, segment: segment.clone(), bytes })
            .to_vec()
    }

    fn violations(log: &str) -> Vec<String> {
        Order::of(&Trace::parse(log), Path::new("/s")).violations(&placed())
    }

    #[test]
    fn a_run_as_it_should_be_violates_nothing() {
        assert_eq!(violations(GOOD), [""; 0]);
        let trace = Trace::parse(GOOD);
        assert_eq!(Order::of(&trace, Path::new("/s")).occasions(), (2, 1));
    }

    #[test]
    fn each_planted_violation_is_found() {
        let moved = |line: &str, behind: &str| {
            let without = GOOD.replacen(&format!("{line}\n"), "", 1);
            without.replacen(&format!("{behind}\n"), &format!("{behind}\n{line}\n"), 1)
        };
        let failed = |line: &str| GOOD.replacen(line, &line.replace("= 0", "= -1 EIO (Input/output error)"), 1);
        let acknowledged = "1 write(1</dev/null>, \"acknowledged 2\\n\", 15) = 15";
        let second = "2 msync(0x7000, 4300, MS_SYNC) = 0";
        let names = "2 fsync(9</s/wal/a>) = 0";
        let folders = "2 fsync(10</s/wal>) = 0";
        let unlinked = "3 unlink(\"/s/wal/a/1.seg\") = 0";
        let folded = "3 fsync(5</s/store.db-wal>) = 0";
        let failed_second = "2 msync(0x7000, 4300, MS_SYNC) = -1 EIO (Input/output error)";
        let failed_fold = "3 fsync(5</s/store.db-wal>) = -1 EIO (Input/output error)";
        let frame = "event 1 was acknowledged on line";
        let cases = [
            ("acknowledged before the sync", moved(second, acknowledged), frame),
            ("no sync at all", GOOD.replacen(second, "2 getpid() = 1", 1), frame),
            ("a sync that failed", failed(second), frame),
            ("a sync that was not made", GOOD.replacen(second, &format!("{second} (INJECTED)"), 1), frame),
            ("a sync after one that failed", GOOD.replacen(second, &format!("{failed_second}\n{second}"), 1), frame),
            ("a sync of too little", GOOD.replacen("4300", "4299", 1), frame),
            ("a sync of another file", GOOD.replacen("0x7000, 4300", "0x6000, 4300", 1), frame),
            ("a sync that waits for nothing", GOOD.replacen("4300, MS_SYNC", "4300, MS_ASYNC", 1), frame),
            (
                "a sync that began before the event was recorded",
                moved("1 write(1</dev/null>, \"acknowledged 1\\n\", 15) = 15", second),
                frame,
            ),
            ("the segment's name not synced", failed(names), "before the name of /s/wal/a/1.seg was synced"),
            ("the folder's name not synced", failed(folders), "before the name of /s/wal/a/1.seg was synced"),
            (
                "the folder's name synced before the segment's",
                moved(names, folders),
                "names of folders were synced before what is in them",
            ),
            (
                "the segment's name synced before its frames",
                moved(names, "1 write(1</dev/null>, \"opened \\n\", 8) = 8"),
                "names of segments were synced before their frames",
            ),
            (
                "the segment's name synced before it had it",
                moved("4 rename(\"/s/wal/.new-a/1.new\", \"/s/wal/.new-a/1.seg\") = 0", names),
                "before the name of /s/wal/a/1.seg was synced",
            ),
            (
                "the folder's name synced before it had it",
                moved("4 rename(\"/s/wal/.new-a\", \"/s/wal/a\") = 0", folders),
                "before the name of /s/wal/a/1.seg was synced",
            ),
            ("the store's name not synced", failed("1 fsync(3</>) = 0"), "/s was acknowledged to hold events"),
            (
                "the log's name not synced",
                moved("1 mkdir(\"/s/wal\", 0700) = 0", "1 fsync(6</s>) = 0"),
                "/s/wal was acknowledged to hold",
            ),
            (
                "retired after the second sync of a database that could not be synced",
                GOOD.replacen(folded, &format!("{failed_fold}\n{folded}"), 1),
                "before /s/store.db-wal was synced",
            ),
            ("retired before the database is synced", moved(folded, unlinked), "before /s/store.db-wal was synced"),
            ("a database that can't be synced", failed(folded), "before /s/store.db-wal was synced"),
            (
                "a commit after the sync",
                moved("3 pwrite64(5</s/store.db-wal>, \"...\", 24, 64) = 24", folded),
                "before /s/store.db-wal was synced",
            ),
            (
                "the database's name not synced",
                failed("1 fsync(6</s>) = 0"),
                "before /s/store.db-wal's name was synced",
            ),
            ("removed, the directory not synced", failed("3 fsync(7</s/wal>) = 0"), "the directory never synced since"),
            (
                "removed, the folder neither synced nor removed",
                GOOD.replacen("3 rmdir(\"/s/wal/a\") = 0", "3 getpid() = 1", 1),
                "the directory never synced since",
            ),
            (
                "retired without folding",
                GOOD.replace("5</s/store.db-wal>, \"", "5</s/x>, \""),
                "nothing was ever folded",
            ),
        ];
        for (planted, log, expected) in cases {
            assert_ne!(log, GOOD, "{planted}: nothing was planted");
            let found = violations(&log);
            assert!(found.iter().any(|violation| violation.contains(expected)), "{planted}: {found:?}");
        }
    }
}
