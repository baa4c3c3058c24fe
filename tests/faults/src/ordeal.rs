//! A store that goes through one power cut after another, and what it owes after each.

use crate::watchdog::SIGKILL;
use crate::{Disk, Holdings, Kind, Running, Said, Victim};
use std::fmt::{self, Display};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

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

/// A store on a disk of its own.
#[derive(Debug)]
pub struct Ordeal {
    program: PathBuf,
    disk: Disk,
    /// How many events it held, all of them durable, when it was last looked at. Their numbers are `0..kept`.
    kept: u64,
}

impl Ordeal {
    /// `program` is the victim, as [`Victim::new`] wants it.
    ///
    /// `None`, said aloud, where there can't be such a disk.
    ///
    /// # Panics
    /// As [`Disk::or_skip`].
    pub fn or_skip(test: &str, program: impl Into<PathBuf>, kind: Kind) -> Option<Self> {
        Some(Self { program: program.into(), disk: Disk::or_skip(test, kind)?, kept: 0 })
    }

    /// The store's directory.
    pub fn store(&self) -> PathBuf {
        self.disk.path().join("data")
    }

    /// The disk.
    pub fn disk(&mut self) -> &mut Disk {
        &mut self.disk
    }

    /// How many events the store held when it was last looked at.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// A victim that records into the store, from the first number on that is not in it.
    pub fn victim(&self) -> Victim {
        Victim::new(&self.program, &self.store()).with(["--first", &self.kept.to_string()]).quiet()
    }

    /// Cuts the power under a victim, and puts it out of its misery. What it had said by then: what it says when the power
    /// is gone, or what nobody had read, nobody can rely on.
    ///
    /// # Panics
    /// It ended in a way that no power cut explains.
    pub fn cut(&mut self, victim: Running) -> Said {
        let said = victim.said().clone();
        self.disk.cut();
        let (last, status) = victim.put_down();
        // A page that can't be had from the disk any more is SIGBUS, and a store that can't be opened is refused.
        let explained = matches!((status.signal(), status.code()), (Some(SIGKILL | SIGBUS), _) | (_, Some(1)));
        assert!(explained, "the victim ended by itself, {status}, after {last:?}");
        self.disk.power_up();
        said
    }

    /// How many events of the last victim are in the database as the power cut left it.
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
        // Without its tables it has none.
        Holdings::try_read(copy.path()).map_or(0, |holdings| (holdings.numbers.len() as u64).saturating_sub(self.kept))
    }

    /// Opens the store, and returns how many events of the last victim survived. What every power cut must leave: a prefix
    /// of what was recorded, at least `owed` events of the last victim's and everything from before, nothing that looks like
    /// damage, and no gap, since nothing was refused.
    ///
    /// # Errors
    /// What is not so.
    pub fn survivors(&mut self, owed: u64) -> Result<u64, Broken> {
        let holdings = Holdings::try_of(&self.store()).map_err(Broken::Otherwise)?;
        let (found, prefix) = (holdings.numbers.len() as u64, holdings.prefix(0));
        if prefix < self.kept + owed {
            let (kept, last) = (self.kept, holdings.numbers.last());
            return Err(Broken::Lost(format!(
                "{kept} events kept and {owed} owed, {prefix} there without a hole, {found} up to {last:?}"
            )));
        }
        if prefix < found {
            let last = holdings.numbers.last();
            return Err(Broken::Otherwise(format!("{found} events up to {last:?}, a hole after {prefix}")));
        }
        // Of a segment that nobody synced, later pages may reach the disk without the first, and later segments without the
        // end of one: such files are set aside, and numbers before them, or that they may hold, are missing.
        let notes = notes(&self.store().join("quarantine"));
        if !holdings.health.is_ok() || holdings.quarantined > 0 || holdings.gap_events > 0 && notes.is_empty() {
            let Holdings { gap_events, quarantined, health, .. } = &holdings;
            let found = format!("{health}, {quarantined} in quarantine, {gap_events} in gaps");
            return Err(Broken::Otherwise(found));
        }
        // Whole segments behind a gap go there too, without a word of damage.
        for (name, note) in notes {
            if note["damage"].as_array().is_none_or(|damage| !damage.is_empty()) {
                return Err(Broken::Otherwise(format!("a segment was called damaged: {name}: {note}")));
            }
        }
        Ok(found - std::mem::replace(&mut self.kept, found))
    }
}

/// What lies in quarantine is said of by notes; these are all, by name.
fn notes(quarantine: &Path) -> Vec<(String, serde_json::Value)> {
    let entries = std::fs::read_dir(quarantine).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let notes = names.filter(|name| name.ends_with(".json"));
    let read = |name: String| {
        let text = std::fs::read(quarantine.join(&name)).unwrap_or_default();
        let note = serde_json::from_slice(&text).unwrap_or_default();
        (name, note)
    };
    notes.map(read).collect()
}
