//! A small file system for one test: made, mounted, filled to the last byte, emptied again, unmounted.
//!
//! Wants root and a loop device; where there is none, [`Volume::or_skip`] says so. Runs in the tests' process.

use crate::need::skip;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a server of a file system may take to mount it, and a process that was killed to let go of its files.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a roomy one has. The images are sparse.
const ROOMY_MIB: u64 = 320;
/// A RAM disk that holds a few images may have them; a container's usual 64 MB may not.
const RAM_DISK_BYTES_MIN: u64 = 2 * 1024 * 1024 * 1024;
/// Written at once to fill what is left.
const FILL_BYTES: usize = 1024 * 1024;

/// What kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Memory.
    Tmpfs,
    /// Blocks written in place.
    Ext4,
    /// Blocks written in place, unless a copy shares them.
    Xfs,
    /// Each change written to a new place.
    Btrfs,
    /// A process that passes everything on to a directory, `fuse_passthrough.py`.
    Fuse,
}

impl Kind {
    /// Those on which segments are mapped.
    pub const MAPPED: [Self; 2] = [Self::Tmpfs, Self::Ext4];
    /// Those on which segments are written.
    pub const WRITTEN: [Self; 3] = [Self::Xfs, Self::Btrfs, Self::Fuse];

    /// XFS wants that much. The others could be smaller, but not much: SQLite's WAL may grow to 64 MiB, and would
    /// take the room that the filler had.
    const fn image_mib(self) -> u64 {
        match self {
            Self::Xfs | Self::Btrfs => 300,
            _ => 160,
        }
    }

    /// What is taken when it is handed out, so that filling the rest is quick.
    const fn ballast_mib(self) -> usize {
        match self {
            Self::Xfs | Self::Btrfs => 160,
            _ => 60,
        }
    }
}

/// Those that could be made in this process: what could be made once can be made again.
static MADE: Mutex<BTreeSet<Kind>> = Mutex::new(BTreeSet::new());

/// The value of a thing that wants a file system of that kind; `None`, said aloud, where there can't be such a one.
///
/// # Panics
/// One could be made before, or nothing may be skipped here.
pub(crate) fn made_or_skipped<T>(test: &str, kind: Kind, made: Result<T, String>) -> Option<T> {
    let mut before = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    match made {
        Ok(made) => {
            before.insert(kind);
            Some(made)
        }
        Err(why) if before.contains(&kind) => panic!("{test}: no further {kind:?}: {why}"),
        Err(why) => {
            skip(&format!("{test} on {kind:?}"), &why);
            None
        }
    }
}

/// A mounted file system. Dropping it unmounts it.
#[derive(Debug)]
pub struct Volume {
    dir: tempfile::TempDir,
    server: Option<Child>,
    /// What has room for the files of `Fuse`.
    beneath: Option<Box<Volume>>,
}

impl Volume {
    /// Makes and mounts one with so little room that it is soon filled; `None`, said aloud, where that is impossible: no
    /// root, no tools, not in the kernel.
    ///
    /// # Panics
    /// It could be made before, or nothing may be skipped here.
    pub fn or_skip(test: &str, kind: Kind) -> Option<Self> {
        made_or_skipped(test, kind, Self::small(kind))
    }

    /// The same with room for whatever a test does.
    ///
    /// # Panics
    /// As [`Volume::or_skip`].
    pub fn roomy_or_skip(test: &str, kind: Kind) -> Option<Self> {
        made_or_skipped(test, kind, Self::roomy(kind))
    }

    /// One with room for whatever a test does.
    ///
    /// # Errors
    /// Why that is impossible here.
    pub(crate) fn roomy(kind: Kind) -> Result<Self, String> {
        Self::empty(kind, &image_place(), ROOMY_MIB)
    }

    fn small(kind: Kind) -> Result<Self, String> {
        let volume = Self::empty(kind, &std::env::temp_dir(), kind.image_mib())?;
        let ballast = vec![b'.'; kind.ballast_mib() * 1024 * 1024];
        std::fs::write(volume.path().join("ballast"), ballast).map_err(|error| error.to_string())?;
        Ok(volume)
    }

    /// Makes and mounts an empty one of that size, with its image in the directory `place`.
    fn empty(kind: Kind, place: &Path, image_mib: u64) -> Result<Self, String> {
        // setup.sh unmounts what a process left that is gone.
        let prefix = format!("mcplog-volume-{}-", std::process::id());
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(place);
        let mut volume = Self { dir: dir.map_err(|error| error.to_string())?, server: None, beneath: None };
        std::fs::create_dir(volume.path()).map_err(|error| error.to_string())?;
        let mkfs: &[&str] = match kind {
            Kind::Tmpfs => {
                let size = format!("size={image_mib}m");
                done(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(volume.path()))?;
                return Ok(volume);
            }
            Kind::Fuse => {
                volume.serve(Self::empty(Kind::Ext4, place, image_mib)?)?;
                return Ok(volume);
            }
            // Blocks as on any disk of today; a small one would get blocks of 1 KiB.
            Kind::Ext4 => &["mkfs.ext4", "-q", "-F", "-b", "4096"],
            Kind::Xfs => &["mkfs.xfs", "-q"],
            Kind::Btrfs => &["mkfs.btrfs", "-q"],
        };
        let image = volume.image();
        let sized = File::create(&image).and_then(|file| file.set_len(image_mib * 1024 * 1024));
        sized.map_err(|error| error.to_string())?;
        done(Command::new(mkfs[0]).args(&mkfs[1..]).arg(&image))?;
        volume.mount_image()?;
        Ok(volume)
    }

    fn mount_image(&self) -> Result<(), String> {
        done(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.path()))
    }

    /// Unmounts its image and mounts it again. Nobody may have a file open on it any more.
    ///
    /// # Errors
    /// It can't be unmounted, or not mounted again.
    pub(crate) fn remount(&self) -> Result<(), String> {
        let patience = Instant::now() + PATIENCE;
        // A process that was killed is gone for its parent a little before its last file is closed.
        while let Err(error) = done(Command::new("umount").arg(self.path())) {
            if Instant::now() > patience {
                return Err(format!("{error}; open in this process: {:?}", open_below(&self.path())));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.mount_image()
    }

    /// From now on nobody can write to it, root neither.
    ///
    /// # Errors
    /// Somebody has a file open for writing, or the system refuses.
    pub fn make_read_only(&self) -> Result<(), String> {
        done(Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()))?;
        match std::fs::write(self.path().join("proof"), "") {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            written => Err(format!("a file was written to what is mounted read-only: {written:?}")),
        }
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// How much is free for those who are not root, in bytes.
    ///
    /// # Panics
    /// The system does not say.
    pub fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(self.path());
        let found = found.unwrap_or_else(|error| panic!("{}: {error}", self.path().display()));
        found.f_bavail.saturating_mul(found.f_frsize)
    }

    /// Leaves so much room and no more.
    ///
    /// # Panics
    /// There is less already.
    pub fn fill_but(&self, bytes: u64) {
        let Some(taken) = self.free().checked_sub(bytes) else { panic!("{} bytes are free", self.free()) };
        let filler = vec![b'.'; usize::try_from(taken).unwrap_or(usize::MAX)];
        let written = std::fs::write(self.filler(), filler);
        written.unwrap_or_else(|error| panic!("{}: {error}", self.filler().display()));
    }

    /// Leaves no room for anything.
    ///
    /// # Panics
    /// Something else than room is missing.
    pub fn fill(&self) {
        let filler = OpenOptions::new().create(true).append(true).open(self.filler());
        let mut filler = filler.unwrap_or_else(|error| panic!("{}: {error}", self.filler().display()));
        // Ever smaller pieces, and then again: what was freed or written back meanwhile is room as well.
        for _ in 0..2 {
            let mut bytes = FILL_BYTES;
            while bytes > 0 {
                match filler.write_all(&vec![b'.'; bytes]) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => bytes /= 2,
                    Err(error) => panic!("fill {}: {error}", self.path().display()),
                }
            }
            // A file system that promised more than it has says so here, and has no room either.
            let _ = filler.sync_all();
        }
    }

    /// Makes room again.
    ///
    /// # Panics
    /// It was not filled.
    pub fn make_room(&self) {
        // Not shortened before: a full btrfs refuses that, and removes a name all the same.
        let removed = std::fs::remove_file(self.filler());
        removed.unwrap_or_else(|error| panic!("{}: {error}", self.filler().display()));
        // A file system that frees in the background has freed it then.
        let _ = File::open(self.path()).and_then(|dir| dir.sync_all());
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Starts the process that passes everything on to `beneath`, and waits until it does.
    fn serve(&mut self, beneath: Self) -> Result<(), String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuse_passthrough.py");
        let server = Command::new("python3").arg(script).arg(beneath.path()).arg(self.path()).spawn();
        let server = self.server.insert(server.map_err(|error| format!("start python3: {error}"))?);
        let marker = Path::new("came-through");
        std::fs::write(beneath.path().join(marker), "").map_err(|error| error.to_string())?;
        let patience = Instant::now() + PATIENCE;
        while !self.dir.path().join("mounted").join(marker).exists() {
            if server.try_wait().is_ok_and(|ended| ended.is_some()) || Instant::now() > patience {
                return Err("fuse_passthrough.py mounts nothing here; it wants /dev/fuse and fusepy".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.beneath = Some(Box::new(beneath));
        Ok(())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a victim may still be dying. The loop device goes with the last user, and the image with the folder. It
        // is not mounted if it could not be.
        let _ = done(Command::new("umount").arg("--lazy").arg(self.path()));
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// The files in a directory that this process has open.
fn open_below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let open = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    open.filter(|path| path.starts_with(dir)).collect()
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
        Err(error) => Err(format!("{} can't be started: {error}", command.get_program().display())),
    }
}
