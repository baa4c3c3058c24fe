//! A disk of its own for a test, whose power can be cut: an ext4 or XFS file system in a file, mounted through a loop
//! device, and stopped by the shutdown ioctl.
//!
//! The ioctl (0x8004587d with the flag NOLOGFLUSH; `xfs_io -x -c shutdown` issues it on both file systems) lets nothing
//! more reach the disk, neither data nor the file system's own journal, and unmounting writes nothing either. Mounting
//! again replays what the journal had, as after a power cut. What this does not show: that a disk was told to empty its
//! own cache, for a loop device has none.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The images are sparse. XFS refuses anything below 300 MB.
const IMAGE_BYTES: u64 = 320 * 1024 * 1024;
/// A RAM disk that holds a few images may have them; a container's usual 64 MB may not.
const RAM_DISK_BYTES_MIN: u64 = 2 * 1024 * 1024 * 1024;
/// How long a process that was killed may take to let go of its files.
const UNMOUNT_PATIENCE: Duration = Duration::from_secs(30);

/// What a disk is formatted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4, as the distribution sets it up: ordered data, a journal.
    Ext4,
    /// XFS.
    Xfs,
}

impl FileSystem {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ext4, Self::Xfs];

    fn mkfs(self) -> (&'static str, &'static [&'static str]) {
        match self {
            // Blocks as on any disk of today; a small one would get blocks of 1 KiB.
            Self::Ext4 => ("mkfs.ext4", &["-q", "-F", "-b", "4096"]),
            Self::Xfs => ("mkfs.xfs", &["-q"]),
        }
    }
}

/// A mounted disk. Dropping it unmounts it, whatever happened to it.
#[derive(Debug)]
pub struct Disk {
    dir: tempfile::TempDir,
    /// Stands ready to cut the power, so that the cut comes at the moment it is asked for and not a process's start later.
    cutter: Option<Child>,
}

impl Disk {
    /// Makes and mounts a disk.
    ///
    /// # Errors
    /// Why that is impossible here: no root, no tools, no loop devices.
    pub fn new(file_system: FileSystem) -> Result<Self, String> {
        let dir =
            tempfile::Builder::new().prefix("mcplog-disk-").tempdir_in(image_place()).map_err(|e| e.to_string())?;
        let mut disk = Self { dir, cutter: None };
        let image = std::fs::File::create(disk.image()).map_err(|error| error.to_string())?;
        image.set_len(IMAGE_BYTES).map_err(|error| error.to_string())?;
        std::fs::create_dir(disk.path()).map_err(|error| error.to_string())?;
        let (program, arguments) = file_system.mkfs();
        done(Command::new(program).args(arguments).arg(disk.image()))?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
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
        let patience = Instant::now() + UNMOUNT_PATIENCE;
        // A process that was killed is gone for its parent a little before its last file is closed.
        while let Err(error) = done(Command::new("umount").arg(self.path())) {
            assert!(Instant::now() < patience, "{error}");
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Err(error) = self.mount() {
            panic!("{error}");
        }
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn mount(&mut self) -> Result<(), String> {
        done(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.path()))?;
        let cutter = Command::new("xfs_io")
            .arg("-x")
            .arg(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("start xfs_io: {error}"))?;
        self.cutter = Some(cutter);
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(mut cutter) = self.cutter.take() {
            let _ = cutter.kill();
            let _ = cutter.wait();
        }
        // Lazily: a victim may still be dying. The loop device goes with the last user, and the image with the folder. It
        // is not mounted if it could not be.
        let _ = done(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}

/// Where syncing is fast, if there is room: then there are more syncs to cut into.
fn image_place() -> PathBuf {
    let ram_disk = Path::new("/dev/shm");
    match rustix::fs::statvfs(ram_disk) {
        Ok(found) if found.f_bavail.saturating_mul(found.f_frsize) >= RAM_DISK_BYTES_MIN => ram_disk.to_owned(),
        _ => std::env::temp_dir(),
    }
}

/// Runs a command that has nothing to say; the error is what it said.
fn done(command: &mut Command) -> Result<(), String> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip;
    use std::fs::File;

    #[test]
    fn what_was_synced_before_a_cut_is_there_and_what_was_not_is_gone() {
        for file_system in FileSystem::ALL {
            let mut disk = match Disk::new(file_system) {
                Ok(disk) => disk,
                Err(why) => return skip("what_was_synced_before_a_cut_is_there_and_what_was_not_is_gone", &why),
            };
            let (synced, unsynced) = (disk.path().join("synced"), disk.path().join("unsynced"));
            let mut file = File::create(&synced).expect("room");
            file.write_all(b"kept").expect("room");
            file.sync_all().expect("a disk that works");
            file.write_all(b" and lost").expect("room");
            drop(file);
            std::fs::write(&unsynced, "lost").expect("room");
            disk.cut();
            disk.power_up();
            assert_eq!(std::fs::read_to_string(&synced).expect("its name was synced too"), "kept", "{file_system:?}");
            assert!(!unsynced.exists(), "{file_system:?}");
        }
    }
}
