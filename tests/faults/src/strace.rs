//! The command lines of strace(1): watching a victim's system calls, and making them fail or kill.
//!
//! Pure but for [`Strace::attach`] and [`dir`], which start something. strace counts `when=N` for each thread by itself: under
//! [`Strace::around`] and [`Strace::attach_to_all`] the first thread to come that far is hit, with [`Strace::attach`] a
//! thread that the test chose.

use crate::need::{missing, skip};
use crate::victim::Running;
use crate::volume::{Kind, Volume};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Long enough for a loaded machine; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often to look whether something has happened.
const LOOK: Duration = Duration::from_millis(1);

/// What strace is to do.
#[derive(Clone, Debug, Default)]
pub struct Strace {
    calls: String,
    injections: Vec<String>,
    paths: Vec<PathBuf>,
    log: Option<PathBuf>,
}

impl Strace {
    /// Watches `calls`: names, separated by commas, `?` before one that not every machine has.
    pub fn of(calls: &str) -> Self {
        Self { calls: calls.to_owned(), ..Self::default() }
    }

    /// Does something at some of these calls, in strace's own words: `signal=SIGKILL:when=3`, `error=EIO:when=2+`.
    #[must_use]
    pub fn injecting(mut self, calls: &str, what: &str) -> Self {
        self.injections.push(format!("inject={calls}:{what}"));
        self
    }

    /// Only at calls that concern this path; may be said again.
    #[must_use]
    pub fn at(mut self, path: impl Into<PathBuf>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Writes what it sees to a file that [`Trace`](crate::Trace) reads.
    #[must_use]
    pub fn log(mut self, path: impl Into<PathBuf>) -> Self {
        self.log = Some(path.into());
        self
    }

    /// The words before a victim's own command line, for [`Victim::under`](crate::Victim::under): all its threads from
    /// its first call on.
    pub fn around(&self) -> Vec<OsString> {
        let mut line = vec!["strace".into(), "-f".into()];
        line.extend(self.arguments());
        line.push("--".into());
        line
    }

    /// Attaches to the thread of that name of a process that runs, and waits until it is attached. It ends with the thread.
    ///
    /// # Panics
    /// There is no such thread, or strace can't be attached.
    pub fn attach(&self, victim: &Running, thread: &str) -> Tracer {
        let tasks = tasks_of(victim);
        let deadline = Instant::now() + PATIENCE;
        // A thread names itself, some time after it was started.
        let id = loop {
            let named = |id: &String| {
                std::fs::read_to_string(tasks.join(id).join("comm")).is_ok_and(|name| name.trim_end() == thread)
            };
            match ids_in(&tasks).into_iter().find(named) {
                Some(id) => break id,
                None => assert!(Instant::now() < deadline, "{} has no thread {thread}", tasks.display()),
            }
            std::thread::sleep(LOOK);
        };
        self.attach_with(&["-p", &id], || is_traced(&tasks.join(&id)))
    }

    /// Attaches to all threads of a process that runs. It ends with the process.
    ///
    /// # Panics
    /// It can't be attached.
    pub fn attach_to_all(&self, victim: &Running) -> Tracer {
        let tasks = tasks_of(victim);
        let id = victim.pid().to_string();
        self.attach_with(&["-f", "-p", &id], || ids_in(&tasks).iter().all(|id| is_traced(&tasks.join(id))))
    }

    fn attach_with(&self, target: &[&str], is_attached: impl Fn() -> bool) -> Tracer {
        let started = Command::new("strace").args(self.arguments()).args(target).spawn();
        let mut strace = Tracer(started.unwrap_or_else(|error| panic!("start strace: {error}")));
        let deadline = Instant::now() + PATIENCE;
        while !is_attached() {
            let ended = strace.0.try_wait().unwrap_or_else(|error| panic!("wait for strace: {error}"));
            // It was attached, and what it traced has ended since: killed at its first call, say.
            if ended.is_some_and(|status| status.success()) {
                break;
            }
            assert!(ended.is_none() && Instant::now() < deadline, "strace {target:?} did not attach: {ended:?}");
            std::thread::sleep(LOOK);
        }
        strace
    }

    fn arguments(&self) -> Vec<OsString> {
        let log = self.log.clone().unwrap_or_else(|| "/dev/null".into());
        // -y: descriptors with their paths. -s: enough of what is written to tell one line of a victim from another.
        let mut line: Vec<OsString> = ["-qq", "-y", "-s", "64", "-e", "signal=none", "-o"].map(Into::into).into();
        line.push(log.into());
        line.extend(["-e".into(), format!("trace={}", self.calls).into()]);
        for injection in &self.injections {
            line.extend(["-e".into(), injection.into()]);
        }
        for path in &self.paths {
            line.extend(["-P".into(), path.into()]);
        }
        line
    }
}

/// A strace that was attached. It is killed when this is dropped.
#[derive(Debug)]
pub struct Tracer(Child);

impl Tracer {
    /// Waits for its end, which comes with that of what it traces: then its log is complete.
    ///
    /// # Panics
    /// It goes on.
    pub fn finish(mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.0.try_wait().unwrap_or_else(|error| panic!("wait for strace: {error}")).is_none() {
            assert!(Instant::now() < deadline, "strace does not end with what it traces");
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It has ended if it was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory to work in for a test that traces, where segments are mapped; `None`, said aloud, where there is none or
/// nothing can be traced.
///
/// # Panics
/// There is no room for a directory, or nothing may be skipped here.
pub fn dir(test: &str) -> Option<TempDir> {
    let mapped = [std::env::temp_dir(), "/dev/shm".into()].into_iter().find(|place| is_mapped_on(place));
    let missing = missing("strace");
    match (missing, mapped) {
        (None, Some(place)) => Some(TempDir::new_in(place).unwrap_or_else(|error| panic!("make a directory: {error}"))),
        (missing, _) => {
            skip(
                test,
                &missing.unwrap_or_else(|| "neither the temporary directory nor /dev/shm is ext4 or tmpfs".into()),
            );
            None
        }
    }
}

/// The same where segments are written by pwrite(2) and synced by fdatasync(2): on XFS.
///
/// # Panics
/// Nothing may be skipped here.
pub fn written_dir(test: &str) -> Option<Volume> {
    if let Some(why) = missing("strace") {
        skip(test, &why);
        return None;
    }
    Volume::roomy_or_skip(test, Kind::Xfs)
}

/// Whether segments are mapped in that directory: elsewhere they are synced by other calls.
fn is_mapped_on(place: &Path) -> bool {
    const EXT4: u32 = 0xef53;
    const TMPFS: u32 = 0x0102_1994;
    // The type's width and sign differ by architecture; the numbers above fit all of them.
    rustix::fs::statfs(place)
        .is_ok_and(|found| u32::try_from(found.f_type).is_ok_and(|kind| [EXT4, TMPFS].contains(&kind)))
}

fn tasks_of(victim: &Running) -> PathBuf {
    PathBuf::from(format!("/proc/{}/task", victim.pid()))
}

fn ids_in(tasks: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(tasks).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

fn is_traced(task: &Path) -> bool {
    let text = std::fs::read_to_string(task.join("status")).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix("TracerPid:")).any(|tracer| tracer.trim() != "0")
}
