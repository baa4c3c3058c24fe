//! The pages of docs/guide, done as they stand there: each command, in a home of a user of that client.
//!
//! The client is played by one that reads the client's own file and starts what stands in it. What `cargo` does is done
//! by `.ci/run`.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod client_home;
mod common;
mod scripted_client;

use client_home::ClientHome;
use common::Run;
use scripted_client::{CALLS, ScriptedClient, TOOL};
use std::path::{Path, PathBuf};

/// Where the pages say that `cargo install` puts the command.
const INSTALLED: &str = "/home/you/.cargo/bin/mcplog";
/// Where Claude Desktop has its file.
const CLAUDE_DESKTOP: &str = if cfg!(target_os = "macos") {
    "Library/Application Support/Claude/claude_desktop_config.json"
} else {
    ".config/Claude/claude_desktop_config.json"
};
/// The same for VS Code's profile.
const VSCODE_PROFILE: &str = if cfg!(target_os = "macos") {
    "Library/Application Support/Code/User/mcp.json"
} else {
    ".config/Code/User/mcp.json"
};

/// A page, and what is to be known of its client.
struct Page {
    client: &'static str,
    /// As the client names itself to servers.
    name: &'static str,
    key: &'static str,
    /// Where the page's example is put.
    file: &'static str,
    /// How the page calls that place.
    place: &'static str,
    /// A file as people have it, and where it lies.
    real: (&'static str, &'static str),
}

const CLAUDE_CODE: Page = Page {
    client: "claude-code",
    name: "claude-code",
    key: "mcpServers",
    file: "work/project/.mcp.json",
    place: "`.mcp.json` in your project's directory",
    real: ("claude-code/user.claude.json", ".claude.json"),
};
const CURSOR: Page = Page {
    client: "cursor",
    name: "cursor-vscode",
    key: "mcpServers",
    file: ".cursor/mcp.json",
    place: "`~/.cursor/mcp.json`",
    real: ("cursor/mcp.json", ".cursor/mcp.json"),
};
const VSCODE: Page = Page {
    client: "vscode",
    name: "Visual Studio Code",
    key: "servers",
    file: "work/project/.vscode/mcp.json",
    place: "`.vscode/mcp.json` in your workspace's directory",
    real: ("vscode/mcp.json", VSCODE_PROFILE),
};
const DESKTOP: Page = Page {
    client: "claude-desktop",
    name: "claude-ai",
    key: "mcpServers",
    file: CLAUDE_DESKTOP,
    place: "claude_desktop_config.json`",
    real: ("claude-desktop/claude_desktop_config.json", CLAUDE_DESKTOP),
};

#[test]
fn what_the_page_for_claude_code_says_works() {
    CLAUDE_CODE.is_right();
}

#[test]
fn what_the_page_for_cursor_says_works() {
    CURSOR.is_right();
}

#[test]
fn what_the_page_for_vs_code_says_works() {
    VSCODE.is_right();
}

#[test]
fn what_the_page_for_claude_desktop_says_works() {
    DESKTOP.is_right();
}

#[test]
fn there_is_no_page_that_is_not_tried() {
    let mut found: Vec<_> =
        std::fs::read_dir(guide()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    let mut tried: Vec<_> = [&CLAUDE_CODE, &CURSOR, &VSCODE, &DESKTOP].map(|page| format!("{}.md", page.client)).into();
    tried.sort();
    assert_eq!(found, tried);
}

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide")
}

impl Page {
    /// Does what the page says, with the file that it shows, and with one as people have it.
    fn is_right(&self) {
        let text = std::fs::read_to_string(guide().join(format!("{}.md", self.client))).unwrap();
        assert!(text.contains(self.place), "the page does not say where its file belongs");
        let files = blocks(&text, "json");
        assert_eq!(files.len(), 2, "the file before and after");
        let commands = commands(&text);

        let home = ClientHome::new();
        home.write(self.file, files[0]);
        let attached = self.follow(&home, &commands, self.file);
        let shown = files[1].replace(INSTALLED, home.path("bin/mcplog").to_str().unwrap());
        assert_eq!(attached, shown, "the page shows what attaching makes of the file");

        let home = ClientHome::new();
        let (fixture, file) = self.real;
        home.write(file, home.fixture(fixture));
        self.follow(&home, &commands, file);
    }

    /// Gives the commands in their order; the client runs between attaching and looking. Returns its file meanwhile.
    fn follow(&self, home: &ClientHome, commands: &[&str], file: &str) -> String {
        let client = ScriptedClient { home, name: self.name, file, key: self.key };
        client.install_servers();
        let before = home.read(file);
        let servers = client.servers();
        assert!(!servers.is_empty(), "{before}");
        let mut meanwhile = None;
        for command in commands {
            if command.starts_with("cargo ") {
                let ci = std::fs::read_to_string(guide().join("../../.ci/run")).unwrap();
                assert!(ci.contains(command), "nobody runs {command}");
                continue;
            }
            if meanwhile.is_none() && is_looking(command) {
                assert_ne!(home.read(file), before, "nothing is attached");
                client.uses(&servers);
                meanwhile = Some(home.read(file));
            }
            let words = command.strip_prefix("mcplog ").unwrap_or_else(|| panic!("nobody runs {command}"));
            let run = home.run(words);
            // The command lies in the home of this test; nobody installs it there.
            let complaints = run.stderr.lines().filter(|line| !line.contains("it lies in a temporary directory"));
            assert_eq!(complaints.count(), 0, "{command}: {}", run.stderr);
            self.check(command, run, &servers);
            if command.ends_with("--dry-run") {
                assert_eq!(home.read(file), before, "{command}");
            }
        }
        assert_eq!(home.read(file), before, "detaching leaves the file as it was");
        self.check_rows(home, &servers);
        meanwhile.unwrap()
    }

    /// What a command prints has in it what the page says that it shows.
    fn check(&self, command: &str, run: Run, servers: &[String]) {
        let printed = run.ok();
        let has = |what: &str| assert!(printed.contains(what), "{command} does not show {what}:\n{printed}");
        if command.contains(" attach ") || command.contains(" detach ") || command == "mcplog attached" {
            servers.iter().for_each(|server| has(server));
        }
        match command {
            "mcplog logs" | "mcplog stats" => has(TOOL),
            // A table of 80 columns has room for the beginning of a long name.
            "mcplog sessions" => has(&self.name[..8]),
            _ => {}
        }
    }

    /// Each call of each server is on record, of this client's session, which has ended.
    fn check_rows(&self, home: &ClientHome, servers: &[String]) {
        let sessions = home.run("sessions --json").json();
        assert_eq!(sessions.len(), servers.len(), "{sessions:?}");
        for session in &sessions {
            assert_eq!(session["client_name"], self.name, "{session}");
            assert!(session["ended_at"].is_i64(), "{session}");
        }
        if servers.len() == 1 {
            // What the table calls the session can be typed as it stands there.
            let table = home.run("sessions").ok();
            let shown =
                table.split_whitespace().find(|word| word.starts_with('~')).unwrap_or_else(|| panic!("{table}"));
            assert!(home.run(&format!("logs --session {shown}")).ok().contains(TOOL));
        }
        let rows = home.run("logs --limit 1000 --json").json();
        for server in servers {
            let of_server = rows.iter().filter(|row| row["proxy"] == **server && row["tool"] == TOOL);
            assert_eq!(of_server.count(), CALLS, "{server}: {rows:?}");
        }
    }
}

/// Whether a command asks what was recorded.
fn is_looking(command: &str) -> bool {
    ["mcplog logs", "mcplog stats", "mcplog sessions"].iter().any(|beginning| command.starts_with(beginning))
}

/// The commands of a page's shell blocks.
fn commands(text: &str) -> Vec<&str> {
    blocks(text, "sh").into_iter().flat_map(str::lines).filter(|line| !line.is_empty()).collect()
}

/// The fenced blocks of one language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let begun = text.match_indices(&fence).map(|(at, _)| &text[at + fence.len()..]);
    begun.map(|rest| rest.split("```").next().unwrap()).collect()
}
