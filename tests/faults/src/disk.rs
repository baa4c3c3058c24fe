//! A disk of its own for a test, whose power can be cut: an ext4 or XFS file system in a file, mounted through a loop
//! device, and stopped by the shutdown ioctl.
//!
//! The ioctl (0x8004587d with the flag NOLOGFLUSH; `xfs_io -x -c shutdown` issues it on both file systems) lets nothing
//! more reach the disk, neither data nor the file system's own journal, and unmounting writes nothing either. Mounting
//! again replays what the journal had, as after a power cut. What this does not show: that a disk was told to empty its
//! own cache, for a loop device has none.

use crate::volume::{Kind, Volume, made_or_skipped};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A mounted disk. Dropping it unmounts it, whatever happened to it.
#[derive(Debug)]
pub struct Disk {
    volume: Volume,
    /// Stands ready to cut the power, so that the cut comes at the moment it is asked for and not a process's start later.
    cutter: Option<Child>,
}

impl Disk {
    /// The file systems whose power can be cut.
    pub const KINDS: [Kind; 2] = [Kind::Ext4, Kind::Xfs];

    /// Makes and mounts a disk; `None`, said aloud, where that is impossible: no root, no tools, no loop devices.
    ///
    /// # Panics
    /// It could be made before, or nothing may be skipped here.
    pub fn or_skip(test: &str, kind: Kind) -> Option<Self> {
        made_or_skipped(test, kind, Self::new(kind))
    }

    fn new(kind: Kind) -> Result<Self, String> {
        let volume = Volume::roomy(kind)?;
        let cutter = Some(cutter(&volume.path())?);
        Ok(Self { volume, cutter })
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.volume.path()
    }

    /// Cuts the power. Who uses the disk gets errors from now on.
    ///
    /// # Panics
    /// It can't be cut, or was before.
    pub fn cut(&mut self) {
        let Some(mut cutter) = self.cutter.take() else { panic!("the power is off already") };
        let asked = cutter.stdin.take().map(|mut stdin| stdin.write_all(b"shutdown\nquit\n"));
        assert!(matches!(asked, Some(Ok(()))), "ask for the cut: {asked:?}");
        let ended = cutter.wait();
        assert!(matches!(ended, Ok(status) if status.success()), "cut the power: {ended:?}");
        assert!(std::fs::File::create(self.path().join("after")).is_err(), "the power is still on");
    }

    /// Switches the power on again: mounts what is on the disk. Nobody may have a file open on it any more.
    ///
    /// # Panics
    /// It can't be unmounted, or not mounted again.
    pub fn power_up(&mut self) {
        let mounted = self.volume.remount().and_then(|()| cutter(&self.path()));
        self.cutter = Some(mounted.unwrap_or_else(|error| panic!("{error}")));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(mut cutter) = self.cutter.take() {
            let _ = cutter.kill();
            let _ = cutter.wait();
        }
    }
}

/// Starts what will cut the power of a mounted disk.
fn cutter(mounted: &Path) -> Result<Child, String> {
    let mut xfs_io = Command::new("xfs_io");
    let started = xfs_io.arg("-x").arg(mounted).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    started.map_err(|error| format!("xfs_io can't be started: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn what_was_synced_before_a_cut_is_there_and_what_was_not_is_gone() {
        for kind in Disk::KINDS {
            let Some(mut disk) = Disk::or_skip("what was synced before a cut", kind) else { continue };
            let (synced, unsynced) = (disk.path().join("synced"), disk.path().join("unsynced"));
            let mut file = File::create(&synced).expect("room");
            file.write_all(b"kept").expect("room");
            file.sync_all().expect("a disk that works");
            file.write_all(b" and lost").expect("room");
            drop(file);
            std::fs::write(&unsynced, "lost").expect("room");
            disk.cut();
            disk.power_up();
            assert_eq!(std::fs::read_to_string(&synced).expect("its name was synced too"), "kept", "{kind:?}");
            assert!(!unsynced.exists(), "{kind:?}");
        }
    }
}
