//! A store that goes through one power cut after another, and what it owes after each.

use crate::{Disk, FileSystem, Holdings, Running, Said, Victim};
use std::path::PathBuf;

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
    /// # Errors
    /// Why there can't be such a disk here.
    pub fn new(program: impl Into<PathBuf>, file_system: FileSystem) -> Result<Self, String> {
        Ok(Self { program: program.into(), disk: Disk::new(file_system)?, kept: 0 })
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
    pub fn cut(&mut self, victim: Running) -> Said {
        let said = victim.said().clone();
        self.disk.cut();
        victim.kill();
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
    pub fn survivors(&mut self, owed: u64) -> Result<u64, String> {
        let holdings = Holdings::try_of(&self.store())?;
        let (found, prefix) = (holdings.numbers.len() as u64, holdings.prefix(0));
        if prefix < self.kept + owed {
            let (kept, last) = (self.kept, holdings.numbers.last());
            return Err(format!(
                "{kept} events kept and {owed} owed, {prefix} there without a hole, {found} up to {last:?}"
            ));
        }
        if prefix < found {
            return Err(format!("{found} events up to {:?}, a hole after {prefix}", holdings.numbers.last()));
        }
        if !holdings.health.is_ok() || holdings.quarantined + holdings.gap_events > 0 {
            let Holdings { gap_events, quarantined, health, .. } = &holdings;
            return Err(format!("{health}, {quarantined} in quarantine, {gap_events} in gaps"));
        }
        if self.store().join("quarantine").exists() {
            return Err("a segment was moved to quarantine".into());
        }
        Ok(found - std::mem::replace(&mut self.kept, found))
    }
}
