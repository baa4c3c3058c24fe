//! A store that goes through one power cut after another, and what it owes after each.

use crate::watchdog::SIGKILL;
use crate::{Disk, Holdings, Kind, Running, Said, Victim};
use std::fmt::{self, Display};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

/// What a store may say of what a power cut left: that records are missing, and that a segment has no first page.
const EXPLAINED: [&str; 3] = ["missing in its log", "this segment was never started", "its first page is lost"];

/// The number of the signal for memory that has no file behind it.
const SIGBUS: i32 = 7;

/// What a power cut must not do to a store, and did.
#[derive(Debug)]
pub enum Broken {
    /// Events are missing that were durable.
    Lost(String),
    /// Anything else.
    Otherwise(String),
}

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(what) | Self::Otherwise(what) => f.write_str(what),
        }
    }
}

/// Those who record into one store at the same time, each with numbers of its own.
const LANES: u64 = 3;
/// So far apart lie their first numbers: more than any of them records.
const LANE_EVENTS: u64 = 1 << 24;

/// A store on a disk of its own, into which several victims record at once.
#[derive(Debug)]
pub struct Ordeal {
    program: PathBuf,
    disk: Disk,
    lanes: Vec<Lane>,
    /// How many records it said to be missing, when it was last looked at.
    missing: u64,
}

/// What a power cut left of the last victims' events.
#[derive(Clone, Debug)]
pub struct Survived {
    /// How many are there of each.
    pub events: Vec<u64>,
    /// How many records are counted as missing.
    pub missing: u64,
}

/// One of them, and those that took its place before.
#[derive(Debug)]
struct Lane {
    /// The events that were there when it was last looked at, by their numbers.
    kept: Vec<u64>,
    /// The number of the next victim's first event: nobody has recorded it.
    next: u64,
}

impl Ordeal {
    /// `program` is the victim, as [`Victim::new`] wants it.
    ///
    /// `None`, said aloud, where there can't be such a disk.
    ///
    /// # Panics
    /// As [`Disk::or_skip`].
    pub fn or_skip(test: &str, program: impl Into<PathBuf>, kind: Kind) -> Option<Self> {
        let lanes = (0..LANES).map(|lane| Lane { kept: Vec::new(), next: lane * LANE_EVENTS }).collect();
        Some(Self { program: program.into(), disk: Disk::or_skip(test, kind)?, lanes, missing: 0 })
    }

    /// The store's directory.
    pub fn store(&self) -> PathBuf {
        self.disk.path().join("data")
    }

    /// The disk.
    pub fn disk(&mut self) -> &mut Disk {
        &mut self.disk
    }

    /// Has the store made, and makes it durable, before any victim records.
    ///
    /// # Panics
    /// It can't be made.
    pub fn begin(&self) {
        let (said, status) = Victim::new(&self.program, &self.store()).with(["--settle"]).run();
        assert!(status.success() && said.folded, "{status}: {said:?}");
        let synced = std::fs::File::open(self.store()).and_then(|dir| Ok(rustix::fs::syncfs(dir)?));
        synced.unwrap_or_else(|error| panic!("sync the file system of the store: {error}"));
    }

    /// Victims that record into the store at the same time, each from the first number on that nobody has recorded.
    pub fn victims(&self) -> Vec<Victim> {
        let victim = |lane: &Lane| Victim::new(&self.program, &self.store()).with(["--first", &lane.next.to_string()]);
        self.lanes.iter().map(|lane| victim(lane).quiet()).collect()
    }

    /// The first of them.
    pub fn victim(&self) -> Victim {
        self.victims().swap_remove(0)
    }

    /// Cuts the power under victims, and puts them out of their misery. What each had said by then: what it says when the
    /// power is gone, or what nobody had read, nobody can rely on.
    ///
    /// # Panics
    /// One ended in a way that no power cut explains.
    pub fn cut(&mut self, victims: Vec<Running>) -> Vec<Said> {
        let said = victims.iter().map(|victim| victim.said().clone()).collect();
        self.disk.cut();
        for victim in victims {
            let (last, status) = victim.put_down();
            // A page that can't be had from the disk any more is SIGBUS, and a store that can't be opened is refused.
            let explained = matches!((status.signal(), status.code()), (Some(SIGKILL | SIGBUS), _) | (_, Some(1)));
            assert!(explained, "a victim ended by itself, {status}, after {last:?}");
        }
        self.disk.power_up();
        said
    }

    /// How many events of the last victims are in the database as the power cut left it.
    ///
    /// # Panics
    /// It can't be copied.
    pub fn folded(&self) -> u64 {
        // Of a copy: looking would mend it.
        let copy = tempfile::tempdir().unwrap_or_else(|error| panic!("temporary directory: {error}"));
        for name in ["store.db", "store.db-wal"] {
            match std::fs::copy(self.store().join(name), copy.path().join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("copy {name}: {error}"),
                _ => {}
            }
        }
        let kept: u64 = self.lanes.iter().map(|lane| lane.kept.len() as u64).sum();
        // Without its tables it has none.
        Holdings::try_read(copy.path()).map_or(0, |holdings| (holdings.numbers.len() as u64).saturating_sub(kept))
    }

    /// What the store holds when what the power cut left is folded. By another process: one that has looked at a database
    /// keeps it open until it ends, and a disk that has an open file can't be unmounted.
    fn settle(&self) -> Result<Holdings, String> {
        let (said, status) = Victim::new(&self.program, &self.store()).with(["--settle"]).run();
        if !said.folded || !status.success() {
            return Err(format!("not folded, {status}: {said:?}"));
        }
        let holdings = Holdings::try_read(&self.store())?;
        // That records are missing is told, and counted. That files are damaged would be wrong: nobody damaged one.
        let told = said.healths.iter().chain(&holdings.reasons);
        match told.clone().find(|told| !EXPLAINED.iter().any(|explained| told.contains(explained))) {
            Some(_) => Err(told.cloned().collect::<Vec<_>>().join("; ")),
            None => Ok(holdings),
        }
    }

    /// Opens the store, and returns what survived of the last victims' events. What every power cut must leave:
    /// everything from before; of each victim at least the first events that it is `owed`, one number in the order of
    /// [`Ordeal::victims`]; what is not there of those before the last that is, counted as missing; nothing that was
    /// dropped, since nothing was refused; nothing that is called damaged.
    ///
    /// # Errors
    /// What is not so.
    pub fn survivors(&mut self, owed: &[u64]) -> Result<Survived, Broken> {
        let holdings = self.settle().map_err(Broken::Otherwise)?;
        let (mut events, mut holes) = (Vec::new(), 0);
        for (place, (lane, owed)) in self.lanes.iter_mut().zip(owed.iter().chain(std::iter::repeat(&0))).enumerate() {
            let range = place as u64 * LANE_EVENTS..(place as u64 + 1) * LANE_EVENTS;
            let bound = |number| holdings.numbers.partition_point(|found| *found < number);
            let found = &holdings.numbers[bound(range.start)..bound(range.end)];
            let old = &found[..found.partition_point(|number| *number < lane.next)];
            let new = &found[old.len()..];
            let prefix = (lane.next..).zip(new).take_while(|(expected, found)| expected == *found).count() as u64;
            if old != lane.kept || prefix < *owed {
                let (kept, old, next) = (lane.kept.len(), old.len(), lane.next);
                return Err(Broken::Lost(format!(
                    "victim {place}: {kept} events kept and {old} of them there; {owed} owed from {next} on, {prefix} there \
                     without a hole, {} in all",
                    new.len()
                )));
            }
            let end = new.last().map_or(lane.next, |last| last + 1);
            holes += end - lane.next - new.len() as u64;
            events.push(new.len() as u64);
            (lane.kept, lane.next) = (found.to_vec(), end);
        }
        let Holdings { dropped_events, missing_records, .. } = &holdings;
        let missing = missing_records - self.missing;
        self.missing = *missing_records;
        // What lies behind the last that is there may be missing as well, where the header of a segment tells of it.
        if missing < holes || *dropped_events > 0 {
            return Err(Broken::Otherwise(format!(
                "{holes} events are not there, {missing} records are counted as missing, {dropped_events} as dropped"
            )));
        }
        Ok(Survived { events, missing })
    }
}
