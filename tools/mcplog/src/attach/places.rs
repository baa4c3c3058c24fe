//! Where a client's files may be, on each platform: names, before anybody looks whether they are there.
//!
//! Pure; the environment comes in as values, so that each platform's places are known on any other.

use super::client::Client;
use super::facts::{At, FileFormat, FileRule, Layout, Upwards};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What decides where files are.
pub(super) struct Surroundings<'a> {
    pub(super) platform: Platform,
    /// The environment. What is empty counts as unset.
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The user's home.
    pub(super) home: PathBuf,
    /// The directory in which the client is used; absolute.
    pub(super) project: PathBuf,
}

/// An operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    Linux,
    MacOs,
    Windows,
}

impl Platform {
    /// The one that this program was built for.
    pub(super) const HERE: Self = if cfg!(target_os = "macos") {
        Self::MacOs
    } else if cfg!(windows) {
        Self::Windows
    } else {
        Self::Linux
    };
}

/// Whose a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// A project's: everybody who works on it may have it.
    Project,
    /// A user's, for all of their projects.
    User,
}

/// Where one of a client's files may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) scope: Scope,
    /// Paths, one of whose components may have a `*`: the nearest first.
    pub(super) paths: Vec<PathBuf>,
    /// Whether only the first path with a file counts.
    pub(super) is_nearest: bool,
    pub(super) format: FileFormat,
    pub(super) layout: Layout,
}

/// The places of a client's files: those of the project first, as the client prefers them.
pub(super) fn places(client: Client, surroundings: &Surroundings<'_>) -> Vec<Place> {
    client.facts().files.iter().map(|rule| place(rule, surroundings)).collect()
}

fn place(rule: &FileRule, surroundings: &Surroundings<'_>) -> Place {
    let home = |path: &str| surroundings.home.join(path);
    let directory = |name: &str| {
        let path = (surroundings.variable)(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // A relative one would be another directory wherever the client is started.
        path.filter(|path| path.is_absolute() || surroundings.platform == Platform::Windows)
    };
    let (scope, paths, is_nearest) = match rule.at {
        At::Home(path) => (Scope::User, vec![home(path)], false),
        At::Variable { name, within, home: path } => {
            (Scope::User, vec![directory(name).map_or_else(|| home(path), |directory| directory.join(within))], false)
        }
        At::Settings { linux, macos, windows } => {
            let path = match surroundings.platform {
                Platform::Linux => directory("XDG_CONFIG_HOME").unwrap_or_else(|| home(".config")).join(linux),
                Platform::MacOs => home(macos),
                Platform::Windows => directory("APPDATA").unwrap_or_else(|| home("AppData/Roaming")).join(windows),
            };
            (Scope::User, vec![path], false)
        }
        At::Project(upwards, path) => {
            let depth = if upwards == Upwards::No { 1 } else { usize::MAX };
            let directories = surroundings.project.ancestors().take(depth);
            let paths = directories.map(|directory: &Path| directory.join(path)).collect();
            (Scope::Project, paths, upwards == Upwards::Nearest)
        }
    };
    Place { scope, paths, is_nearest, format: rule.format, layout: rule.layout }
}

/// The rule for a client's file of that name, wherever it lies.
pub(super) fn rule_of(client: Client, path: &Path) -> Option<&'static FileRule> {
    let name = path.file_name()?.to_str()?;
    let fits = |rule: &&FileRule| {
        let (At::Home(path)
        | At::Variable { within: path, .. }
        | At::Settings { linux: path, .. }
        | At::Project(_, path)) = rule.at;
        let wanted = path.rsplit('/').next().unwrap_or(path);
        match wanted.split_once('*') {
            Some((before, after)) => name.starts_with(before) && name.ends_with(after),
            None => name == wanted,
        }
    };
    client.facts().files.iter().find(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of a client's places, joined by spaces where there are several for one place.
    fn shown(platform: Platform, client: Client, variables: &[(&str, &str)], project: &str) -> Vec<String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(*value));
        let home = if platform == Platform::MacOs { "/Users/u" } else { "/home/u" };
        let surroundings = Surroundings { platform, variable: &variable, home: home.into(), project: project.into() };
        let show = |place: Place| {
            let paths: Vec<_> = place.paths.iter().map(|path| path.display().to_string().replace('\\', "/")).collect();
            paths.join(" ")
        };
        places(client, &surroundings).into_iter().map(show).collect()
    }

    #[test]
    fn each_client_has_its_files_where_each_platform_has_them() {
        use Platform::{Linux, MacOs, Windows};
        let appdata = [("APPDATA", "C:/Users/u/AppData/Roaming")];
        // The user's files, without those of projects.
        let user = |platform, client, variables: &[(&str, &str)]| {
            let projects = client_projects(client);
            shown(platform, client, variables, "/p").split_off(projects)
        };
        let table: [(Client, [&[&str]; 3]); 9] = [
            (
                Client::ClaudeDesktop,
                [
                    &["/home/u/.config/Claude/claude_desktop_config.json"],
                    &["/Users/u/Library/Application Support/Claude/claude_desktop_config.json"],
                    &["C:/Users/u/AppData/Roaming/Claude/claude_desktop_config.json"],
                ],
            ),
            (Client::ClaudeCode, [&["/home/u/.claude.json"], &["/Users/u/.claude.json"], &["/home/u/.claude.json"]]),
            (
                Client::Cursor,
                [&["/home/u/.cursor/mcp.json"], &["/Users/u/.cursor/mcp.json"], &["/home/u/.cursor/mcp.json"]],
            ),
            (
                Client::VsCode,
                [
                    &[
                        "/home/u/.config/Code/User/mcp.json",
                        "/home/u/.config/Code/User/profiles/*/mcp.json",
                        "/home/u/.config/Code - Insiders/User/mcp.json",
                        "/home/u/.config/Code - Insiders/User/profiles/*/mcp.json",
                    ],
                    &[
                        "/Users/u/Library/Application Support/Code/User/mcp.json",
                        "/Users/u/Library/Application Support/Code/User/profiles/*/mcp.json",
                        "/Users/u/Library/Application Support/Code - Insiders/User/mcp.json",
                        "/Users/u/Library/Application Support/Code - Insiders/User/profiles/*/mcp.json",
                    ],
                    &[
                        "C:/Users/u/AppData/Roaming/Code/User/mcp.json",
                        "C:/Users/u/AppData/Roaming/Code/User/profiles/*/mcp.json",
                        "C:/Users/u/AppData/Roaming/Code - Insiders/User/mcp.json",
                        "C:/Users/u/AppData/Roaming/Code - Insiders/User/profiles/*/mcp.json",
                    ],
                ],
            ),
            (
                Client::Windsurf,
                [
                    &["/home/u/.codeium/windsurf/mcp_config.json"],
                    &["/Users/u/.codeium/windsurf/mcp_config.json"],
                    &["/home/u/.codeium/windsurf/mcp_config.json"],
                ],
            ),
            (
                Client::Codex,
                [&["/home/u/.codex/config.toml"], &["/Users/u/.codex/config.toml"], &["/home/u/.codex/config.toml"]],
            ),
            (
                Client::Gemini,
                [
                    &["/home/u/.gemini/settings.json"],
                    &["/Users/u/.gemini/settings.json"],
                    &["/home/u/.gemini/settings.json"],
                ],
            ),
            (
                Client::Zed,
                [
                    &["/home/u/.config/zed/settings.json"],
                    &["/Users/u/.config/zed/settings.json"],
                    &["C:/Users/u/AppData/Roaming/Zed/settings.json"],
                ],
            ),
            (
                Client::Continue,
                [
                    &[
                        "/home/u/.continue/config.yaml",
                        "/home/u/.continue/mcpServers/*.yaml",
                        "/home/u/.continue/mcpServers/*.yml",
                        "/home/u/.continue/mcpServers/*.json",
                    ],
                    &[
                        "/Users/u/.continue/config.yaml",
                        "/Users/u/.continue/mcpServers/*.yaml",
                        "/Users/u/.continue/mcpServers/*.yml",
                        "/Users/u/.continue/mcpServers/*.json",
                    ],
                    &[
                        "/home/u/.continue/config.yaml",
                        "/home/u/.continue/mcpServers/*.yaml",
                        "/home/u/.continue/mcpServers/*.yml",
                        "/home/u/.continue/mcpServers/*.json",
                    ],
                ],
            ),
        ];
        assert_eq!(table.each_ref().map(|(client, _)| *client), Client::ALL);
        for (client, expected) in table {
            for (platform, expected) in [Linux, MacOs, Windows].into_iter().zip(expected) {
                assert_eq!(user(platform, client, &appdata), expected, "{client:?} {platform:?}");
            }
        }
    }

    /// How many of a client's rules are of projects.
    fn client_projects(client: Client) -> usize {
        client.facts().files.iter().filter(|rule| matches!(rule.at, At::Project(..))).count()
    }

    #[test]
    fn a_projects_file_is_looked_for_from_where_one_is_as_the_client_does_it() {
        let of = |client| shown(Platform::Linux, client, &[], "/home/u/p").swap_remove(0);
        assert_eq!(of(Client::ClaudeCode), "/home/u/p/.mcp.json /home/u/.mcp.json /home/.mcp.json /.mcp.json");
        assert_eq!(
            of(Client::VsCode),
            "/home/u/p/.vscode/mcp.json /home/u/.vscode/mcp.json /home/.vscode/mcp.json /.vscode/mcp.json"
        );
        assert_eq!(of(Client::Gemini), "/home/u/p/.gemini/settings.json");
    }

    #[test]
    fn the_clients_own_variables_move_their_files_and_an_empty_or_relative_one_does_not() {
        let cases = [
            (Client::Codex, "CODEX_HOME", "/c", "/c/config.toml"),
            (Client::ClaudeCode, "CLAUDE_CONFIG_DIR", "/c", "/c/.claude.json"),
            (Client::Gemini, "GEMINI_CLI_HOME", "/c", "/c/.gemini/settings.json"),
            (Client::Continue, "CONTINUE_GLOBAL_DIR", "/c", "/c/config.yaml"),
            (Client::Zed, "XDG_CONFIG_HOME", "/c", "/c/zed/settings.json"),
            (Client::VsCode, "XDG_CONFIG_HOME", "/c", "/c/Code/User/mcp.json"),
            (Client::ClaudeDesktop, "XDG_CONFIG_HOME", "/c", "/c/Claude/claude_desktop_config.json"),
        ];
        for (client, variable, value, expected) in cases {
            let at = client_projects(client);
            let of = |value: &str| shown(Platform::Linux, client, &[(variable, value)], "/p").swap_remove(at);
            assert_eq!(of(value), expected, "{client:?}");
            for nothing in ["", "relative"] {
                assert_eq!(of(nothing), shown(Platform::Linux, client, &[], "/p").swap_remove(at), "{client:?}");
            }
            let on_macos = shown(Platform::MacOs, client, &[("XDG_CONFIG_HOME", "/x")], "/p").swap_remove(at);
            assert!(!on_macos.starts_with("/x"), "{client:?}: {on_macos}");
        }
    }

    #[test]
    fn a_file_that_was_once_found_is_read_as_what_it_is() {
        let of = |client, path: &str| rule_of(client, Path::new(path)).map(|rule| (rule.format, rule.layout));
        use FileFormat::{Json, Toml, Yaml};
        assert_eq!(of(Client::ClaudeCode, "/x/.mcp.json"), Some((Json, Layout::Named)));
        assert_eq!(of(Client::ClaudeCode, "/x/.claude.json"), Some((Json, Layout::NamedAndByProject)));
        assert_eq!(of(Client::Codex, "/x/.codex/config.toml"), Some((Toml, Layout::Named)));
        assert_eq!(of(Client::Continue, "/x/.continue/mcpServers/a.yml"), Some((Yaml, Layout::Listed)));
        assert_eq!(of(Client::Continue, "/x/.continue/mcpServers/a.json"), Some((Json, Layout::Named)));
        assert_eq!(of(Client::Continue, "/x/.continue/config.yaml"), Some((Yaml, Layout::Listed)));
        assert_eq!(of(Client::Cursor, "/x/other.json"), None);
    }
}
