//! What is known of each client: where its files are, how a server stands in them, what follows a change.
//!
//! Pure data, of the clients' documentation. A client that moves its file, or renames a member, is mended here.

use super::client::Client;

/// What is known of a client.
#[derive(Debug)]
pub(super) struct Facts {
    /// Its name, as people write it.
    pub(super) title: &'static str,
    pub(super) files: &'static [FileRule],
    /// The member that holds the servers.
    pub(super) key: &'static str,
    /// The members that may hold a server's address; the first that is there counts. None: the client skips such servers.
    pub(super) url_members: &'static [&'static str],
    /// Whether a server with an address is asked over HTTP although a command stands there too.
    pub(super) prefers_url: bool,
    /// What has to be done so that a change counts.
    pub(super) restart: &'static str,
    /// How the client names itself to servers: a part of that name, in small letters.
    pub(super) session_name: &'static str,
}

/// Where a file of a client is.
#[derive(Debug)]
pub(super) struct FileRule {
    pub(super) at: At,
    pub(super) format: FileFormat,
    pub(super) layout: Layout,
}

/// A place, as far as it can be told without looking. A `*` stands for what there is.
#[derive(Debug)]
pub(super) enum At {
    /// In the user's home.
    Home(&'static str),
    /// In the directory that a variable names, and without it in the user's home.
    Variable { name: &'static str, within: &'static str, home: &'static str },
    /// In `$XDG_CONFIG_HOME` (`~/.config`) on Linux, in the home on macOS, in `%APPDATA%` on Windows.
    Settings { linux: &'static str, macos: &'static str, windows: &'static str },
    /// In a project's directory.
    Project(Upwards, &'static str),
}

/// From which directories on a client looks for its project's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upwards {
    /// Only where it is started.
    No,
    /// The nearest one: its window has that directory open.
    Nearest,
    /// All of them count.
    All,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileFormat {
    Json,
    Toml,
    Yaml,
}

/// How servers stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// By name, in the member that the client's `key` says.
    Named,
    /// The same, and once more for each project: `projects.PATH.mcpServers`.
    NamedAndByProject,
    /// A list of servers that say their name.
    Listed,
}

use FileFormat::{Json, Toml, Yaml};
use Layout::{Listed, Named, NamedAndByProject};

const fn file(at: At, format: FileFormat, layout: Layout) -> FileRule {
    FileRule { at, format, layout }
}

/// The member that most clients have.
const MCP_SERVERS: &str = "mcpServers";

const CLAUDE_DESKTOP: Facts = Facts {
    title: "Claude Desktop",
    files: &[file(
        At::Settings {
            // There is no build of the vendor's for Linux; those of others have it where Electron has it.
            linux: "Claude/claude_desktop_config.json",
            macos: "Library/Application Support/Claude/claude_desktop_config.json",
            windows: "Claude/claude_desktop_config.json",
        },
        Json,
        Named,
    )],
    key: MCP_SERVERS,
    url_members: &[],
    prefers_url: false,
    restart: "quit Claude Desktop (closing its window is not enough) and start it again",
    session_name: "claude-ai",
};

const CLAUDE_CODE: Facts = Facts {
    title: "Claude Code",
    files: &[
        file(At::Project(Upwards::All, ".mcp.json"), Json, Named),
        file(
            At::Variable { name: "CLAUDE_CONFIG_DIR", within: ".claude.json", home: ".claude.json" },
            Json,
            NamedAndByProject,
        ),
    ],
    key: MCP_SERVERS,
    url_members: &["url"],
    prefers_url: false,
    restart: "start Claude Code anew; it may ask again whether a project's server is trusted",
    session_name: "claude-code",
};

const CURSOR: Facts = Facts {
    title: "Cursor",
    files: &[
        file(At::Project(Upwards::Nearest, ".cursor/mcp.json"), Json, Named),
        file(At::Home(".cursor/mcp.json"), Json, Named),
    ],
    key: MCP_SERVERS,
    url_members: &["url"],
    prefers_url: false,
    restart: "switch the server off and on in Cursor's settings (MCP), or restart Cursor",
    session_name: "cursor",
};

const VSCODE: Facts = Facts {
    title: "VS Code",
    files: &[
        file(At::Project(Upwards::Nearest, ".vscode/mcp.json"), Json, Named),
        file(
            At::Settings {
                linux: "Code/User/mcp.json",
                macos: "Library/Application Support/Code/User/mcp.json",
                windows: "Code/User/mcp.json",
            },
            Json,
            Named,
        ),
        file(
            At::Settings {
                linux: "Code/User/profiles/*/mcp.json",
                macos: "Library/Application Support/Code/User/profiles/*/mcp.json",
                windows: "Code/User/profiles/*/mcp.json",
            },
            Json,
            Named,
        ),
        file(
            At::Settings {
                linux: "Code - Insiders/User/mcp.json",
                macos: "Library/Application Support/Code - Insiders/User/mcp.json",
                windows: "Code - Insiders/User/mcp.json",
            },
            Json,
            Named,
        ),
        file(
            At::Settings {
                linux: "Code - Insiders/User/profiles/*/mcp.json",
                macos: "Library/Application Support/Code - Insiders/User/profiles/*/mcp.json",
                windows: "Code - Insiders/User/profiles/*/mcp.json",
            },
            Json,
            Named,
        ),
    ],
    key: "servers",
    url_members: &["url"],
    prefers_url: false,
    restart: "restart the server in VS Code (command palette: MCP: List Servers)",
    session_name: "visual studio code",
};

const WINDSURF: Facts = Facts {
    title: "Windsurf",
    files: &[file(At::Home(".codeium/windsurf/mcp_config.json"), Json, Named)],
    key: MCP_SERVERS,
    url_members: &["serverUrl", "url"],
    prefers_url: false,
    restart: "press Refresh in Windsurf's MCP panel, or restart Windsurf",
    session_name: "windsurf",
};

const CODEX: Facts = Facts {
    title: "Codex",
    files: &[
        file(At::Project(Upwards::All, ".codex/config.toml"), Toml, Named),
        file(At::Variable { name: "CODEX_HOME", within: "config.toml", home: ".codex/config.toml" }, Toml, Named),
    ],
    key: "mcp_servers",
    url_members: &["url"],
    prefers_url: false,
    restart: "start Codex anew",
    session_name: "codex",
};

const GEMINI: Facts = Facts {
    title: "Gemini CLI",
    files: &[
        file(At::Project(Upwards::No, ".gemini/settings.json"), Json, Named),
        file(
            At::Variable { name: "GEMINI_CLI_HOME", within: ".gemini/settings.json", home: ".gemini/settings.json" },
            Json,
            Named,
        ),
    ],
    key: MCP_SERVERS,
    url_members: &["httpUrl", "url"],
    prefers_url: true,
    restart: "start Gemini CLI anew",
    session_name: "gemini",
};

const ZED: Facts = Facts {
    title: "Zed",
    files: &[
        file(At::Project(Upwards::Nearest, ".zed/settings.json"), Json, Named),
        file(
            At::Settings {
                linux: "zed/settings.json",
                macos: ".config/zed/settings.json",
                windows: "Zed/settings.json",
            },
            Json,
            Named,
        ),
    ],
    key: "context_servers",
    url_members: &["url"],
    prefers_url: false,
    restart: "Zed starts a changed server anew by itself; if not, restart Zed",
    session_name: "zed",
};

const CONTINUE: Facts = Facts {
    title: "Continue",
    files: &[
        file(At::Project(Upwards::Nearest, ".continue/mcpServers/*.yaml"), Yaml, Listed),
        file(At::Project(Upwards::Nearest, ".continue/mcpServers/*.yml"), Yaml, Listed),
        file(At::Project(Upwards::Nearest, ".continue/mcpServers/*.json"), Json, Named),
        file(
            At::Variable { name: "CONTINUE_GLOBAL_DIR", within: "config.yaml", home: ".continue/config.yaml" },
            Yaml,
            Listed,
        ),
        file(
            At::Variable {
                name: "CONTINUE_GLOBAL_DIR",
                within: "mcpServers/*.yaml",
                home: ".continue/mcpServers/*.yaml",
            },
            Yaml,
            Listed,
        ),
        file(
            At::Variable {
                name: "CONTINUE_GLOBAL_DIR",
                within: "mcpServers/*.yml",
                home: ".continue/mcpServers/*.yml",
            },
            Yaml,
            Listed,
        ),
        file(
            At::Variable {
                name: "CONTINUE_GLOBAL_DIR",
                within: "mcpServers/*.json",
                home: ".continue/mcpServers/*.json",
            },
            Json,
            Named,
        ),
    ],
    key: MCP_SERVERS,
    url_members: &["url"],
    prefers_url: false,
    restart: "reload the configuration in Continue, or restart the editor",
    session_name: "continue",
};

impl Client {
    /// What is known of it.
    pub(super) const fn facts(self) -> &'static Facts {
        match self {
            Self::ClaudeDesktop => &CLAUDE_DESKTOP,
            Self::ClaudeCode => &CLAUDE_CODE,
            Self::Cursor => &CURSOR,
            Self::VsCode => &VSCODE,
            Self::Windsurf => &WINDSURF,
            Self::Codex => &CODEX,
            Self::Gemini => &GEMINI,
            Self::Zed => &ZED,
            Self::Continue => &CONTINUE,
        }
    }

    /// Its name, as people write it.
    pub(crate) const fn title(self) -> &'static str {
        self.facts().title
    }
}
