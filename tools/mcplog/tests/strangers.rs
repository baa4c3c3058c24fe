//! Stores of another user, as users meet them: what can be read is answered from, what can't be read is never told as
//! absent, and it is said whose it is and who asks.
//!
//! Modes mean nothing to root. So the commands run as somebody who is nobody, which wants root to arrange.

mod common;

use common::{Fixture, Run};
use mcplog::{Config, Request, Store};
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The user without rights, by the number that it has on every Linux.
const NOBODY: u32 = 65534;
const PATIENCE: Duration = Duration::from_secs(60);
/// Everything that only reads.
const READERS: [&str; 9] =
    ["logs", "slow", "stats", "sessions", "unused", "schema", "schema --changes", "check", "check --plan"];

/// Somebody else, who can run the command. Its files are in a directory that everybody may look into.
struct Stranger {
    place: tempfile::TempDir,
}

impl Stranger {
    /// `None`, said aloud, where there can't be one.
    fn or_skip(test: &str) -> Option<Self> {
        let place = tempfile::tempdir().expect("temporary directory");
        chmod(place.path(), 0o755);
        let owner = std::fs::metadata(place.path()).expect("metadata").uid();
        let stranger = Self { place };
        if owner != 0 {
            mcplog_skipped::skip(test, "running a command as somebody else wants root", "cargo test, as root");
            return None;
        }
        // The command may lie where nobody else gets to.
        let command = assert_cmd::cargo::cargo_bin!("mcplog");
        let copied = std::fs::hard_link(command, stranger.command_path())
            .or_else(|_| std::fs::copy(command, stranger.command_path()).map(drop));
        copied.expect("a copy of the command");
        stranger.prove();
        Some(stranger)
    }

    /// A stranger who may do everything would find no fault.
    fn prove(&self) {
        let secret = self.place.path().join("secret");
        std::fs::write(&secret, "").expect("write");
        chmod(&secret, 0o600);
        let output = self.become_stranger(Command::new("cat").arg(&secret)).output().expect("run cat");
        assert!(!output.status.success(), "the stranger may read everything");
        let output = self.run("--version");
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "the stranger can't run the command");
    }

    fn command_path(&self) -> PathBuf {
        self.place.path().join("mcplog")
    }

    fn become_stranger<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        // This leaves the other groups, too.
        command.uid(NOBODY).gid(NOBODY).stdin(Stdio::null())
    }

    /// Runs the command line, split at spaces.
    fn run(&self, line: &str) -> Run {
        let mut command = Command::new(self.command_path());
        command.args(line.split_whitespace()).env("COLUMNS", "80").env("TZ", "UTC").env_remove("MCPLOG_DIR");
        self.become_stranger(&mut command).output().expect("run").into()
    }
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

/// Opens everything in a directory for everybody to read, and for nobody to write.
fn open_for_reading(dir: &Path) {
    chmod(dir, 0o755);
    for entry in std::fs::read_dir(dir).expect("list") {
        let path = entry.expect("list").path();
        if path.is_dir() { open_for_reading(&path) } else { chmod(&path, 0o644) }
    }
}

/// A store of requests, as it is while it is open: what is folded lies in SQLite's WAL. `-shm` is left out.
fn copy_of_open_store(to: &Path) {
    let scratch = tempfile::tempdir().expect("temporary directory");
    let store = Store::open(Config::new(scratch.path().join("data"))).expect("open");
    for number in 0..20 {
        let id = format!("request-{number}");
        store.recorder().record(Request::new(&id, 1_760_000_000_000 + number, "files", "tools/call"));
    }
    store.wait_folded(PATIENCE).expect("folded");
    std::fs::create_dir_all(to.join("wal")).expect("create");
    let segments = std::fs::read_dir(store.dir().join("wal")).expect("list").map(|entry| entry.expect("list").path());
    let segments = segments.filter(|path| path.extension() == Some(OsStr::new("seg")));
    for path in segments.chain(["store.db", "store.db-wal"].map(|name| store.dir().join(name))) {
        let name = path.strip_prefix(store.dir()).expect("within");
        std::fs::copy(&path, to.join(name)).expect("copy");
    }
    assert!(std::fs::metadata(to.join("store.db-wal")).expect("metadata").len() > 0, "nothing lies in the WAL");
}

#[test]
fn a_store_of_another_user_whose_files_can_be_read_is_answered_from_as_its_owner_would_be() {
    let Some(stranger) = Stranger::or_skip("strangers") else { return };
    let fixture = Fixture::with_events();
    chmod(fixture.root.path(), 0o755);
    let open = fixture.root.path().join("open");
    copy_of_open_store(&open);
    for (dir, in_wal) in [(fixture.dir(), false), (open, true)] {
        for companion in ["store.db-shm", "store.db-wal"] {
            // What readers left of a store that was shut down.
            let _ = in_wal || std::fs::remove_file(dir.join(companion)).is_ok();
        }
        open_for_reading(&dir);
        for line in READERS {
            let line = format!("{line} --dir {}", dir.display());
            let as_owner = |line: &str| fixture.run(line);
            let theirs = stranger.run(&line);
            // A directory that is open to others wants attention.
            let code = if line.starts_with("check --dir") { 2 } else { 0 };
            assert_eq!((theirs.code, theirs.stderr.as_str()), (code, ""), "{line}: {}", theirs.stdout);
            if !line.starts_with("check") {
                assert!(!dir.join("store.db-shm").exists(), "{line}: made where nothing may be made");
                let copy = fixture.root.path().join("copy");
                let copied = Command::new("cp").arg("-r").args([&dir, &copy]).status().expect("run cp");
                assert!(copied.success());
                let owners = as_owner(&line.replace(&*dir.to_string_lossy(), &copy.to_string_lossy()));
                assert_eq!(theirs.stdout, owners.ok(), "{line}");
                std::fs::remove_dir_all(&copy).expect("remove");
            }
        }
    }
}

#[test]
fn what_may_not_be_read_is_told_as_that_and_never_as_absent_with_whose_it_is_and_who_asks() {
    let Some(stranger) = Stranger::or_skip("strangers") else { return };
    let closed = |path: &Path| chmod(path, 0o700);
    let listed_only = |path: &Path| chmod(path, 0o744);
    let no_database = |path: &Path| chmod(&path.join("store.db"), 0o600);
    let no_wal = |path: &Path| {
        std::fs::write(path.join("store.db-wal"), "not for others").expect("write");
        chmod(&path.join("store.db-wal"), 0o600);
    };
    type Close<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Close<'_>, &str); 4] = [
        ("the directory", &closed, ""),
        ("the directory, but for its names", &listed_only, ""),
        ("the database", &no_database, "store.db"),
        ("SQLite's WAL", &no_wal, "store.db-wal"),
    ];
    for (name, close, file) in cases {
        let fixture = Fixture::with_events();
        chmod(fixture.root.path(), 0o755);
        let dir = fixture.dir();
        open_for_reading(&dir);
        close(&dir);
        let refusing = dir.join(file);
        let refusing = refusing.to_str().expect("UTF-8").trim_end_matches('/');
        for line in READERS {
            let run = stranger.run(&format!("{line} --dir {}", dir.display()));
            let text = run.stdout + &run.stderr;
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(run.code, 1, "{name}: {line}: {text}");
            assert!(text.contains("Permission denied"), "{name}: {line}: {text}");
            assert!(!text.contains("no store here") && !text.contains("there is no"), "{name}: {line}: {text}");
            // A finding is broken at the width, its path too.
            let whose = if line == "check" {
                "belongs to user root (0), mode"
            } else {
                &format!("{refusing} belongs to user root (0)")
            };
            assert!(text.contains(whose) && text.contains("(65534)"), "{name}: {line}: {text}");
        }
        for line in ["rebuild", "rebuild --from-log", "ingest /dev/null"] {
            let run = stranger.run(&format!("{line} --dir {}", dir.display()));
            let text = run.stdout + &run.stderr;
            assert_eq!(run.code, 1, "{name}: {line}: {text}");
            assert!(!text.contains("no store here"), "{name}: {line}: {text}");
            assert!(text.contains("root (0)") && text.contains("(65534)"), "{name}: {line}: {text}");
        }
    }
}

#[test]
fn only_where_there_is_none_it_is_said_that_there_is_no_store() {
    let Some(stranger) = Stranger::or_skip("strangers") else { return };
    for dir in [stranger.place.path().to_owned(), stranger.place.path().join("nowhere")] {
        for line in READERS.iter().chain(&["rebuild", "rebuild --from-log"]) {
            let run = stranger.run(&format!("{line} --dir {}", dir.display()));
            assert_eq!((run.code, run.stderr.contains("no store here")), (1, true), "{line}: {}", run.stderr);
        }
    }
}

#[test]
fn who_wants_to_record_into_another_users_directory_is_told_whose_it_is_and_what_would_do() {
    let Some(stranger) = Stranger::or_skip("strangers") else { return };
    let theirs = stranger.place.path().join("theirs");
    std::fs::create_dir(&theirs).expect("create");
    chmod(&theirs, 0o777);
    let run = stranger.run(&format!("ingest /dev/null --dir {}", theirs.display()));
    let told = format!("{}: belongs to user root (0), and this is user", theirs.display());
    assert!(run.stderr.contains(&told) && run.stderr.contains("a directory within it"), "{}", run.stderr);
    assert_eq!(run.code, 1);
    // And so it does.
    stranger.run(&format!("ingest /dev/null --dir {}", theirs.join("mine").display())).ok();

    chmod(&theirs, 0o755);
    let run = stranger.run(&format!("ingest /dev/null --dir {}", theirs.join("new").display()));
    let told = format!("{} belongs to user root (0), mode 755, and this is user", theirs.display());
    assert!(run.stderr.contains(&told) && run.stderr.contains("of your own"), "{}", run.stderr);
}
