//! The file that remembers what is attached, and the lock that two commands at once wait for.
//!
//! Runs on the main thread. What stood in a configuration file may hold secrets, so the directory is its owner's only. The
//! file is replaced whole, by a rename, so that it is the old one or the new one whatever ends the command.

use super::state::{State, VERSION};
use super::whole_file::write_new;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const STATE_FILE: &str = "attached.json";
const LOCK_FILE: &str = "attached.lock";
/// How long another command may take that is at it: reading and writing a few small files takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often its lock is asked for.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// Why nothing is known of what is attached, or nothing can be remembered.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{}: it can't be read as what mcplog wrote there ({what}); move it away, and `mcplog detach` goes by what stands in the clients' files",
        path.display()
    )]
    Damaged { path: PathBuf, what: String },
    #[error("{}: expected version {VERSION}, found {found}: a newer mcplog wrote it, and has to be used", path.display())]
    Newer { path: PathBuf, found: u64 },
    #[error("{}: another `mcplog attach` or `detach` holds it since {} s; try again when that has ended", path.display(), PATIENCE.as_secs())]
    Busy { path: PathBuf },
    #[error("{}: the path of a file is no UTF-8, so that it can't be remembered", path.display())]
    NotUtf8 { path: PathBuf },
}

/// What is remembered, while nobody else changes it.
pub(super) struct StateFile {
    path: PathBuf,
    /// Held until this is dropped.
    _lock: File,
    pub(super) state: State,
}

impl StateFile {
    /// Waits for whoever is at it, and reads what is remembered. Makes the directory.
    pub(super) fn lock(dir: &Path) -> Result<Self, StateError> {
        let lock_path = dir.join(LOCK_FILE);
        let io = |source| StateError::Io { path: lock_path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
        let lock = lock.map_err(io)?;
        let begun = Instant::now();
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(error) if error != rustix::io::Errno::WOULDBLOCK && error != rustix::io::Errno::INTR => {
                    return Err(io(error.into()));
                }
                Err(_) if begun.elapsed() >= PATIENCE => return Err(StateError::Busy { path: lock_path }),
                Err(_) => std::thread::sleep(LOCK_POLL),
            }
        }
        Ok(Self { path: dir.join(STATE_FILE), _lock: lock, state: read(dir)? })
    }

    /// Writes what is to be remembered.
    pub(super) fn save(&self) -> Result<(), StateError> {
        let text = serde_json::to_vec_pretty(&self.state);
        let text = text.map_err(|_| StateError::NotUtf8 { path: self.path.clone() })?;
        let written = write_new(&self.path, &text, |_| Ok(()));
        written.map_err(|source| StateError::Io { path: self.path.clone(), source })
    }
}

/// What is remembered at present, for who changes nothing.
pub(super) fn read(dir: &Path) -> Result<State, StateError> {
    let path = dir.join(STATE_FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::default()),
        Err(source) => return Err(StateError::Io { path, source }),
    };
    // The texts in it are the user's: where it is damaged is said, and not what stands there.
    let damaged = |error: &serde_json::Error| format!("line {}, column {}", error.line(), error.column());
    let value: serde_json::Value = match serde_json::from_slice(&text) {
        Ok(value) => value,
        Err(error) => return Err(StateError::Damaged { path, what: damaged(&error) }),
    };
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(found) => return Err(StateError::Newer { path, found }),
        None => return Err(StateError::Damaged { path, what: "no version".to_owned() }),
    }
    serde_json::from_slice(&text).map_err(|error| StateError::Damaged { path, what: damaged(&error) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::client::Client;
    use crate::attach::places::Scope;
    use crate::attach::state::{Attachment, How, ServerPlace};
    use std::os::unix::fs::PermissionsExt;

    fn attachment(server: &str) -> Attachment {
        Attachment {
            place: ServerPlace {
                client: Client::Cursor,
                file: "/home/u/.cursor/mcp.json".into(),
                section: vec!["mcpServers".to_owned()],
                server: server.to_owned(),
            },
            path: "/home/u/.cursor/mcp.json".into(),
            scope: Scope::User,
            how: How::Wrap,
            attached_at: 1,
            addresses: None,
            changes: Vec::new(),
        }
    }

    #[test]
    fn what_is_saved_is_read_by_the_next_and_by_nobody_else() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        let mut file = StateFile::lock(&dir).unwrap();
        assert_eq!(file.state, State::default());
        file.state.put(attachment("one"));
        file.state.put(attachment("two"));
        file.state.put(attachment("one"));
        file.save().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join(STATE_FILE))), (0o700, 0o600));
        drop(file);
        let servers = |state: &State| state.attached.iter().map(|one| one.place.server.clone()).collect::<Vec<_>>();
        let mut file = StateFile::lock(&dir).unwrap();
        assert_eq!(servers(&file.state), ["two", "one"]);
        file.state.forget(&attachment("two").place);
        file.save().unwrap();
        assert_eq!(read(&dir).unwrap().attached, [attachment("one")]);
        let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "nothing is left of writing: {names:?}");
    }

    #[test]
    fn what_a_newer_one_wrote_or_somebody_damaged_is_refused_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let cases = [
            ("{\"version\": 2, \"attached\": 7}", "newer"),
            ("{\"version\": 1, \"attached\": 7}", "line 1"),
            ("{\"attached\": []}", "no version"),
            ("{\"version\": 1, \"secret", "line 1, column"),
            ("", "line 1"),
        ];
        for (text, expected) in cases {
            fs::write(dir.path().join(STATE_FILE), text).unwrap();
            let error = StateFile::lock(dir.path()).err().unwrap().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
            assert_eq!(fs::read_to_string(dir.path().join(STATE_FILE)).unwrap(), text);
        }
    }
}
