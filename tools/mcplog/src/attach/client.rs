//! The clients whose configuration is changed: their names.
//!
//! Pure data; what is known of each is in [`super::facts`].

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// An MCP client that starts servers, or asks them over HTTP, as its configuration files say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Client {
    ClaudeDesktop,
    ClaudeCode,
    Cursor,
    #[value(name = "vscode")]
    #[serde(rename = "vscode")]
    VsCode,
    Windsurf,
    Codex,
    Gemini,
    Zed,
    Continue,
}

impl Client {
    /// All of them, in the order in which they are listed.
    pub(crate) const ALL: [Self; 9] = [
        Self::ClaudeDesktop,
        Self::ClaudeCode,
        Self::Cursor,
        Self::VsCode,
        Self::Windsurf,
        Self::Codex,
        Self::Gemini,
        Self::Zed,
        Self::Continue,
    ];

    /// The name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "claude-desktop",
            Self::ClaudeCode => "claude-code",
            Self::Cursor => "cursor",
            Self::VsCode => "vscode",
            Self::Windsurf => "windsurf",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Zed => "zed",
            Self::Continue => "continue",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_one_name_on_the_command_line_in_json_and_in_the_state() {
        assert_eq!(Client::value_variants(), Client::ALL);
        for client in Client::ALL {
            assert_eq!(client.to_possible_value().unwrap().get_name(), client.name());
            assert_eq!(serde_json::to_value(client).unwrap(), client.name());
        }
    }
}
