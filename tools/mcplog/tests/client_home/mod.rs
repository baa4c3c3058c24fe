//! A user with clients of all kinds, and the mcplog command in front of them, with verbs for what tests do to it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of this one")]

use super::common::Run;
use assert_cmd::cargo::cargo_bin;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Every secret of the fixtures has this in it.
pub(crate) const SECRET: &str = "s3cr3t";

/// Files of a client, as people have them: the client, the fixture, and where it lies.
pub(crate) const FILES: [(&str, &str, &str); 12] = [
    ("claude-desktop", "claude-desktop/claude_desktop_config.json", ".config/Claude/claude_desktop_config.json"),
    ("claude-code", "claude-code/project.mcp.json", "work/project/.mcp.json"),
    ("claude-code", "claude-code/user.claude.json", ".claude.json"),
    ("cursor", "cursor/mcp.json", ".cursor/mcp.json"),
    ("cursor", "cursor/project.json", "work/project/.cursor/mcp.json"),
    ("vscode", "vscode/mcp.json", ".config/Code/User/mcp.json"),
    ("windsurf", "windsurf/mcp_config.json", ".codeium/windsurf/mcp_config.json"),
    ("codex", "codex/config.toml", ".codex/config.toml"),
    ("gemini", "gemini/settings.json", ".gemini/settings.json"),
    ("zed", "zed/settings.json", ".config/zed/settings.json"),
    ("continue", "continue/config.yaml", ".continue/config.yaml"),
    ("continue", "continue/project.yaml", "work/project/.continue/mcpServers/playwright.yaml"),
];

/// The clients, in the order in which they are listed.
pub(crate) const CLIENTS: [&str; 9] =
    ["claude-desktop", "claude-code", "cursor", "vscode", "windsurf", "codex", "gemini", "zed", "continue"];

/// A home with a project in it; removed when dropped.
pub(crate) struct ClientHome {
    root: tempfile::TempDir,
}

impl ClientHome {
    /// A user without any client.
    pub(crate) fn new() -> Self {
        let home = Self { root: tempfile::tempdir().unwrap() };
        fs::create_dir_all(home.path("work/project/src/deep")).unwrap();
        fs::create_dir(home.path("bin")).unwrap();
        symlink(cargo_bin!("mcplog"), home.path("bin/mcplog")).unwrap();
        home
    }

    /// A user with all files of [`FILES`].
    pub(crate) fn with_all_clients() -> Self {
        let home = Self::new();
        for (_, fixture, path) in FILES {
            home.write(path, home.fixture(fixture));
        }
        home
    }

    /// A path in the home.
    pub(crate) fn path(&self, within: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(within)
    }

    /// A file of the fixtures, as this user has it.
    pub(crate) fn fixture(&self, name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client_files").join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mcplog = self.path("bin/mcplog");
        text.replace("@PROJECT@", self.path("work/project").to_str().unwrap())
            .replace("@MCPLOG@", mcplog.to_str().unwrap())
    }

    /// Writes a file, and the directories above it.
    pub(crate) fn write(&self, within: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(within);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, within: &str) -> String {
        fs::read_to_string(self.path(within)).unwrap()
    }

    pub(crate) fn mode(&self, within: &str) -> u32 {
        fs::metadata(self.path(within)).unwrap().permissions().mode() & 0o7777
    }

    /// The command of this user in the project, with nothing in the environment but what a login has.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(self.path("bin/mcplog"));
        command.args(line.split_whitespace()).current_dir(self.path("work/project"));
        command
            .env_clear()
            .env("HOME", self.path(""))
            .env("PATH", "/usr/bin:/bin")
            .env("COLUMNS", "80")
            .env("TZ", "UTC");
        // Where the tests of this machine are to write what is temporary.
        if let Some(directory) = std::env::var_os("TMPDIR") {
            command.env("TMPDIR", directory);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Run {
        self.command(line).output().unwrap().into()
    }

    /// Runs the command as a shell would that knows quotes.
    pub(crate) fn run_words(&self, words: &[&str]) -> Run {
        let mut command = self.command("");
        command.args(words);
        command.output().unwrap().into()
    }

    /// All files in the home and what is in them, but for those of mcplog's own state.
    pub(crate) fn all_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        collect(&self.path(""), &mut files);
        files.retain(|(path, _)| !path.starts_with(self.path(".local")));
        files.sort();
        files
    }

    /// The copies of a file, the oldest first.
    pub(crate) fn backups(&self, within: &str) -> Vec<PathBuf> {
        let path = self.path(within);
        let directory = self.path(".local/state/mcplog/backups").join(path.strip_prefix("/").unwrap());
        let mut copies: Vec<_> =
            fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        copies.sort();
        copies
    }
}

fn collect(directory: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            collect(&path, files);
        } else {
            files.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
}
