//! Each measurement runs in a process of its own, so that no competitor's threads, pages or allocator disturb another.

use crate::roster::{Competitor, PREDECESSOR};
use measure::log::Failure;
use measure::{Job, Outcome, Task};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Starts measurements.
pub(crate) struct Children {
    /// This program, which measures everyone but the predecessor.
    program: PathBuf,
    /// The other one; or why there is none.
    predecessor: Result<PathBuf, String>,
    /// Where each child gets a directory of its own.
    data_dir: PathBuf,
}

impl Children {
    /// Their data goes below `data_dir`.
    ///
    /// # Errors
    /// There is no such directory, and none can be made.
    pub(crate) fn new(data_dir: Option<&Path>) -> Result<Self, Failure> {
        let predecessor = build_predecessor().map_err(|failure| failure.to_string());
        Ok(Self { program: std::env::current_exe()?, predecessor, data_dir: self::data_dir(data_dir)? })
    }

    /// Measures. Whatever goes wrong is an outcome, too: it belongs into the table.
    pub(crate) fn measure(&self, competitor: &Competitor, task: Task) -> Outcome {
        self.try_measure(competitor, task).unwrap_or_else(|failure| Outcome::Failed { reason: failure.to_string() })
    }

    fn try_measure(&self, competitor: &Competitor, task: Task) -> Result<Outcome, Failure> {
        let program = match (&self.predecessor, competitor.name) {
            (Ok(predecessor), PREDECESSOR) => predecessor,
            (Err(reason), PREDECESSOR) => return Err(reason.clone().into()),
            _ => &self.program,
        };
        let dir = tempfile::tempdir_in(&self.data_dir)?;
        let job = Job { competitor: competitor.name.into(), dir: dir.path().into(), task };
        let output = Command::new(program)
            .args(["child", &serde_json::to_string(&job)?])
            // walrus takes its directory from nowhere else, and prints what it does unless told not to.
            .envs([("WALRUS_DATA_DIR", dir.path().as_os_str()), ("WALRUS_QUIET", "1".as_ref())])
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let answer = said.lines().last().unwrap_or_default();
        serde_json::from_str(answer).map_err(|_| {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let complaint = complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            format!("its process ended with {}: {complaint}", output.status).into()
        })
    }
}

/// That directory, or one beside this program: not in /tmp, which may be memory.
///
/// # Errors
/// It can't be made.
pub(crate) fn data_dir(wanted: Option<&Path>) -> Result<PathBuf, Failure> {
    let dir = wanted.map_or_else(|| Ok(beside()?.join("peers-data")), |wanted| Ok::<_, Failure>(wanted.to_owned()))?;
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// The predecessor's program.
fn build_predecessor() -> Result<PathBuf, Failure> {
    let target_dir = beside()?.join("predecessor");
    build(concat!(env!("CARGO_MANIFEST_DIR"), "/predecessor/Cargo.toml"), &[], &target_dir)?;
    Ok(target_dir.join("release/predecessor"))
}

/// The `mcplog` command.
///
/// # Errors
/// It does not build.
pub(crate) fn build_mcplog() -> Result<PathBuf, Failure> {
    let target_dir = beside()?.join("mcplog");
    build(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"), &["--bin", "mcplog"], &target_dir)?;
    Ok(target_dir.join("release/mcplog"))
}

fn beside() -> Result<PathBuf, Failure> {
    Ok(std::env::current_exe()?.parent().ok_or("this program lies in no directory")?.to_owned())
}

/// Takes a moment if it is built already, and some minutes if not.
fn build(manifest: &str, which: &[&str], target_dir: &Path) -> Result<(), Failure> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--locked", "--quiet", "--manifest-path", manifest])
        .args(which)
        .arg("--target-dir")
        .arg(target_dir)
        .stdout(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("building {manifest} failed with {status}").into()) }
}
