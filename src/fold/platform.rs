//! Which platform a client belongs to, told from its name. Pure.

/// What a lower-cased client name contains, and the platform it means; the first match counts.
const PLATFORMS: &[(&str, &str)] = &[
    ("claude", "claude"),
    ("cursor", "cursor"),
    ("chatgpt", "chatgpt"),
    ("openai", "chatgpt"),
    ("copilot", "vscode"),
    ("vscode", "vscode"),
    ("vs-code", "vscode"),
    ("visual studio code", "vscode"),
];

/// The platform of no known client.
pub const UNKNOWN: &str = "unknown";

/// The platform for `clientInfo.name`: `claude`, `cursor`, `chatgpt`, `vscode` or `unknown`.
///
/// ```
/// assert_eq!(mcplog::platform::from_client_name("Claude Desktop"), "claude");
/// assert_eq!(mcplog::platform::from_client_name("my-agent"), "unknown");
/// ```
pub fn from_client_name(name: &str) -> &'static str {
    let name = name.to_lowercase();
    PLATFORMS.iter().find(|(part, _)| name.contains(part)).map_or(UNKNOWN, |(_, platform)| platform)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_counts_and_case_does_not() {
        let cases = [
            ("claude-ai", "claude"),
            ("CLAUDE-CODE", "claude"),
            ("cursor-vscode", "cursor"),
            ("ChatGPT", "chatgpt"),
            ("openai-mcp", "chatgpt"),
            ("GitHub Copilot", "vscode"),
            ("Visual Studio Code - Insiders", "vscode"),
            ("VS-Code", "vscode"),
            ("mcp-inspector", "unknown"),
            ("", "unknown"),
        ];
        for (name, platform) in cases {
            assert_eq!(from_client_name(name), platform, "{name}");
        }
    }
}
